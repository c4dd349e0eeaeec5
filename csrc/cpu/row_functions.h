// What each operator does with one row, for one instruction set: a table of functions (row.h).
#pragma once

#include "cpu/log_prob.h"
#include "definition/heat.h"
#include "definition/philox.h"
#include "definition/status.h"

namespace fire::cpu::FIRE_ISA {

struct Drawn {
  uint32_t token;
  uint64_t weight;
};

// The listed token whose share of the mass covers `point`.
inline Drawn DrawFromList(uint64_t point, const Workspace& workspace) {
  for (uint32_t i = 0;; ++i) {
    const uint64_t weight = workspace.candidate_weight[i];
    if (point < weight) return {workspace.candidate_id[i], weight};
    point -= weight;
  }
}

template <typename T>
inline Drawn DrawFromRow(uint64_t point, const Row<T>& row, const KeptRule& rule, const VectorScale& scale,
                         const Workspace& workspace) {
  uint32_t strip = 0;
  while (point >= workspace.strip_mass[strip]) point -= workspace.strip_mass[strip++];
  const RuleMasks masks(rule, scale);
  Drawn drawn = {0, 0};
  row.ForGroups(strip, [&](uint32_t id, Floats x) {
    if (drawn.weight != 0) return;
    alignas(64) uint64_t weight[kLanes];
    StoreWeights(weight, masks.KeptWeights(id, x));
    for (uint32_t i = 0; i < kLanes; ++i) {
      if (point < weight[i]) {
        drawn = {id + i, weight[i]};
        return;
      }
      point -= weight[i];
    }
  });
  return drawn;
}

// Draws from the kept set of a row that is not decided.
template <typename T>
Drawn Draw(const RowTask& task, const KeptRow<T>& kept, const Workspace& workspace) {
  const Selection& selection = kept.selection();
  const uint64_t bits = definition::DrawBits(definition::SeedOf(task.record), task.step, task.record.stream);
  const uint64_t point = definition::DrawPoint(bits, selection.mass);
  return selection.listed ? DrawFromList(point, workspace)
                          : DrawFromRow(point, kept.row(), selection.rule, kept.vector_scale(), workspace);
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
    out.kept = 1;
  } else {
    const Drawn drawn = Draw(task, kept, workspace);
    out.token = drawn.token;
    if (request.logprob_or_counts) {
      const Selection& selection = kept.selection();
      out.logprob = definition::LogRatio(drawn.weight, selection.mass);
      out.kept = static_cast<int32_t>(
          selection.listed ? selection.count : CountKept(kept.row(), selection.rule, kept.vector_scale(), workspace));
    }
  }
  if (request.reference) AddReference(task, kept, workspace, &out);
  return out;
}

inline void Fill(float* out, uint32_t size, float value) {
  for (uint32_t i = 0; i < size; ++i) out[i] = value;
}

// Writes value(logits) where the rule keeps and −inf elsewhere. `out` may be the row itself.
template <typename T, typename Value>
void WriteKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale, float* out, const Value& value) {
  const RuleMasks masks(rule, scale);
  const Floats most = Broadcast(definition::kFloatMax), least = Broadcast(kLowestFinite), none = Broadcast(kMasked);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      const Floats result = Select(masks.Kept(id, x), Max(Min(value(x), most), least), none);
      if (id + kLanes <= row.size) {
        Store(out + id, result);
      } else {
        alignas(64) float lanes[kLanes];
        Store(lanes, result);
        memcpy(out + id, lanes, (row.size - id) * sizeof(float));
      }
    });
  }
}

// Writes 0 on one token and −inf elsewhere.
inline void WriteOneHot(uint32_t token, float* out, uint32_t size) {
  Fill(out, size, kMasked);
  out[token] = 0.0f;
}

template <typename T>
void ProcessLogits(const RowTask& task, float* out, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = false}, workspace);
  if (kept.decided()) return WriteOneHot(kept.only(), out, task.vocabulary);
  const bool infinite = phase.heat == definition::Heat::kInfinite;
  const Floats temperature = Broadcast(phase.temperature), zero = Broadcast(0.0f);
  WriteKept(kept.row(), kept.Rule(), kept.vector_scale(), out,
            [&](Floats x) { return infinite ? zero : Divide(x, temperature); });
}

inline void HeatLogits(const RowTask& task, float* logits, Workspace& workspace) {
  Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  if (!phase.hot) return;
  const bool hands_over = definition::HandsOver(task.record, task.vocabulary);
  if (hands_over) phase = definition::HandOverPhase(phase);
  const KeptRow<float> kept(task, phase, {.has_nan = false, .mass = !hands_over}, workspace);
  if (kept.AllMasked()) return Fill(logits, task.vocabulary, kMasked);
  if (kept.decided()) return WriteOneHot(kept.only(), logits, task.vocabulary);
  if (!hands_over) return WriteOneHot(Draw(task, kept, workspace).token, logits, task.vocabulary);
  const Floats ratio = Broadcast(definition::Divide(task.record.temperature, task.record.hot_temperature));
  WriteKept(kept.row(), kept.Rule(), kept.vector_scale(), logits, [&](Floats x) { return Multiply(x, ratio); });
}

// Calls function(a null pointer of the row's logit type): the one place where the type is looked at.
template <typename Function>
auto WithType(LogitsType type, const Function& function) {
  switch (type) {
    case LogitsType::kBFloat16:
      return function(static_cast<const BFloat16*>(nullptr));
    case LogitsType::kFloat16:
      return function(static_cast<const Float16*>(nullptr));
    default:
      return function(static_cast<const float*>(nullptr));
  }
}

template <typename T>
T TypeOf(const T*);

constexpr RowFunctions MakeRowFunctions(const char* name) {
  return {name,
          [](const RowTask& task, const SampleRequest& request, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return Sample<decltype(TypeOf(t))>(task, request, workspace); });
          },
          [](const RowTask& task, float* out, Workspace& workspace) {
            WithType(task.logits_type, [&](auto* t) { ProcessLogits<decltype(TypeOf(t))>(task, out, workspace); });
          },
          [](const RowTask& task, float* logits, Workspace& workspace) { HeatLogits(task, logits, workspace); },
          [](const RowTask& task, int64_t token, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return LogProb<decltype(TypeOf(t))>(task, token, workspace); });
          },
          [](const RowTask& task, int64_t token, float grad, void* grad_logits, Workspace& workspace) {
            WithType(task.logits_type, [&](auto* t) {
              using T = decltype(TypeOf(t));
              LogProbBackward<T>(task, token, grad, static_cast<T*>(grad_logits), workspace);
            });
          }};
}

}  // namespace fire::cpu::FIRE_ISA
