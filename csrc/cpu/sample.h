// Sampling a row: the draw from its kept set, and what is told of the token drawn.
#pragma once

#include "cpu/support.h"
#include "definition/code.h"
#include "definition/status.h"

namespace fire::cpu::FIRE_ISA {

struct Drawn {
  uint32_t token;
  uint64_t weight;
  uint64_t rest;  // what of the point lies beyond the kept mass in front of the token
};

// The listed token whose share of the mass covers `point`.
inline Drawn DrawFromList(uint64_t point, const Workspace& workspace) {
  for (uint32_t i = 0;; ++i) {
    const uint64_t weight = workspace.candidate_weight[i];
    if (point < weight) return {workspace.candidate_id[i], weight, point};
    point -= weight;
  }
}

// The same of a strip of the row, whose mass is above `point`.
template <typename T>
inline Drawn DrawFromStrip(uint64_t point, const Row<T>& row, uint32_t strip, const RuleMasks& masks) {
  Drawn drawn = {0, 0, 0};
  row.ForGroups(strip, [&](uint32_t id, Floats x) {
    if (drawn.weight != 0) return;
    alignas(64) uint64_t weight[kLanes];
    StoreWeights(weight, masks.KeptWeights(id, x));
    for (uint32_t i = 0; i < kLanes; ++i) {
      if (point < weight[i]) {
        drawn = {id + i, weight[i], point};
        return;
      }
      point -= weight[i];
    }
  });
  return drawn;
}

template <typename T>
inline Drawn DrawFromRow(uint64_t point, const Row<T>& row, const KeptRule& rule, const VectorScale& scale,
                         const Workspace& workspace) {
  uint32_t strip = 0;
  while (point >= workspace.strip_mass[strip]) point -= workspace.strip_mass[strip++];
  return DrawFromStrip(point, row, strip, RuleMasks(rule, scale));
}

// Draws with 64 random bits from the kept set of a row that is not decided.
template <typename T>
Drawn Draw(uint64_t random_bits, const KeptRow<T>& kept, const Workspace& workspace) {
  const KeptSet& kept_set = kept.kept_set();
  const uint64_t point = definition::DrawPoint(random_bits, kept_set.mass);
  return kept_set.listed ? DrawFromList(point, workspace)
                         : DrawFromRow(point, kept.row(), kept_set.rule, kept.vector_scale(), workspace);
}

// Adds ref_logprob and rank: one more read of the row.
template <typename T>
void AddReference(const RowTask& task, const KeptRow<T>& kept, const Workspace& workspace, RowSample* out) {
  if (kept.AllMasked()) {
    out->rank = static_cast<int32_t>(task.vocabulary);
    out->ref_logprob = 0.0f;
    return;
  }
  const float logit = ValueAt(kept.row().logits, static_cast<uint32_t>(out->token));
  const float temperature = definition::ReferenceTemperature(task.record);
  if (kept.HasInfinity()) {
    const KeptRule at_least = {.last = definition::LastOfKey(Key(logit)), .min_weight = 0};
    out->rank = static_cast<int32_t>(CountKept(
        kept.row(), at_least, VectorScale(definition::MakeWeightScale(0.0f, 1.0f, task.vocabulary)), workspace));
    out->ref_logprob = 0.0f;
    return;
  }
  const WeightScale scale = definition::MakeWeightScale(kept.maximum(), temperature, task.vocabulary);
  uint64_t mass;
  out->rank = static_cast<int32_t>(RankAndMass(kept.row(), logit, VectorScale(scale), &mass));
  out->ref_logprob =
      definition::LogSoftmax(logit, kept.maximum(), temperature, definition::WeightOfMaximum(task.vocabulary), mass);
}

template <typename T>
RowSample Sample(const RowTask& task, const SampleRequest& request, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = request.logprob_or_counts, .mass = true}, workspace);
  RowSample out = {};
  out.status = definition::StatusOf(phase, kept.maximum(), kept.has_nan(), kept.decided());
  if (kept.decided()) {
    out.token = kept.only();
    out.kept = static_cast<int32_t>(kept.Count(workspace));
  } else {
    const Drawn drawn = Draw(definition::DrawBits(task.record, task.step), kept, workspace);
    out.token = drawn.token;
    if (request.logprob_or_counts) {
      out.logprob = definition::LogRatio(drawn.weight, kept.kept_set().mass);
      out.kept = static_cast<int32_t>(kept.Count(workspace));
    }
  }
  if (request.reference) AddReference(task, kept, workspace, &out);
  if (request.support != nullptr) AddSupport(kept, *request.support, workspace, &out);
  return out;
}

// Draws with `code` instead of the record's random bits.
template <typename T>
CodedSample SampleCoded(const RowTask& task, uint64_t code, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = true}, workspace);
  if (kept.decided()) return {kept.only(), code};
  const Drawn drawn = Draw(code, kept, workspace);
  const uint64_t fresh = definition::FreshBits(task.record, task.step);
  return {drawn.token, definition::NextCode(code, kept.kept_set().mass, drawn.rest, drawn.weight, fresh)};
}

}  // namespace fire::cpu::FIRE_ISA
