// What each operator does with one row, for one instruction set: a table of functions (row.h).
#pragma once

#include "cpu/log_prob.h"
#include "definition/heat.h"
#include "definition/philox.h"

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

template <typename T>
Drawn Draw(const RowTask& task, const Row<T>& row, const Selection& selection, const VectorScale& scale,
           const Workspace& workspace) {
  const uint64_t bits = definition::DrawBits(definition::SeedOf(task.record), task.step, task.record.stream);
  const uint64_t point = definition::DrawPoint(bits, selection.mass);
  return selection.listed ? DrawFromList(point, workspace) : DrawFromRow(point, row, selection.rule, scale, workspace);
}

// ref_logprob and rank: one more read of the row.
template <typename T>
void AddWholeRow(const RowTask& task, const PreparedRow<T>& prepared, const Workspace& workspace, RowSample* out) {
  if (prepared.AllMasked()) {
    out->rank = static_cast<int32_t>(task.vocabulary);
    out->ref_logprob = 0.0f;
    return;
  }
  const float logit = ValueAt(prepared.row.logits, static_cast<uint32_t>(out->token));
  const float temperature = definition::ReferenceTemperature(task.record);
  if (prepared.HasInfinity()) {
    KeptRule at_least;
    at_least.threshold = logit;
    out->rank = static_cast<int32_t>(CountKept(
        prepared.row, at_least, VectorScale(definition::MakeWeightScale(0.0f, 1.0f, task.vocabulary)), workspace));
    out->ref_logprob = 0.0f;
    return;
  }
  const WeightScale scale = definition::MakeWeightScale(prepared.maximum, temperature, task.vocabulary);
  uint64_t mass;
  out->rank = static_cast<int32_t>(RankAndMass(prepared.row, logit, VectorScale(scale), &mass));
  out->ref_logprob =
      definition::LogSoftmax(logit, prepared.maximum, temperature, definition::Weight(prepared.maximum, scale), mass);
}

template <typename T>
RowSample Sample(const RowTask& task, const SampleRequest& request, Workspace& workspace) {
  const PreparedRow<T> prepared = request.details ? PreparedRow<T>::template Of<true>(task, workspace)
                                                  : PreparedRow<T>::template Of<false>(task, workspace);
  RowSample out = {};
  out.status = (prepared.phase.hot ? kStatusHot : 0) |
               (prepared.phase.heat == definition::Heat::kGreedy ? kStatusGreedy : 0) |
               (prepared.has_nan ? kStatusNan : 0) | (prepared.AllMasked() ? kStatusNoFiniteLogit : 0) |
               (prepared.HasInfinity() ? kStatusInfinity : 0);
  bool decided = true;
  if (prepared.Undecided()) {
    Selector<T> selector(prepared.row, prepared.phase, prepared.maximum, workspace);
    const Selection selection = selector.Select();
    decided = selection.decided;
    if (!decided) {
      const Drawn drawn = Draw(task, prepared.row, selection, selector.vector_scale(), workspace);
      out.token = drawn.token;
      if (request.details) {
        out.logprob = definition::LogRatio(drawn.weight, selection.mass);
        out.kept = static_cast<int32_t>(
            selection.listed ? selection.count
                             : CountKept(prepared.row, selection.rule, selector.vector_scale(), workspace));
      }
    }
  }
  if (decided) {
    out.token = prepared.FirstOfOrder(workspace);
    out.kept = 1;
    out.status |= kStatusDecided;
  }
  if (request.whole_row) AddWholeRow(task, prepared, workspace, &out);
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

template <typename T>
void ProcessLogits(const RowTask& task, float* out, Workspace& workspace) {
  const PreparedRow<T> prepared = PreparedRow<T>::template Of<false>(task, workspace);
  if (prepared.Undecided()) {
    Selector<T> selector(prepared.row, prepared.phase, prepared.maximum, workspace);
    const Selection selection = selector.Select();
    if (!selection.decided) {
      const bool infinite = prepared.phase.heat == definition::Heat::kInfinite;
      const Floats temperature = Broadcast(prepared.phase.temperature), zero = Broadcast(0.0f);
      WriteKept(prepared.row, selector.Rule(selection), selector.vector_scale(), out,
                [&](Floats x) { return infinite ? zero : Divide(x, temperature); });
      return;
    }
  }
  Fill(out, task.vocabulary, kMasked);
  out[prepared.FirstOfOrder(workspace)] = 0.0f;
}

inline void HeatLogits(const RowTask& task, float* logits, Workspace& workspace) {
  if (!definition::IsHot(task.record, task.step)) return;
  const PreparedRow<float> prepared = PreparedRow<float>::Of<false>(task, workspace);
  if (prepared.AllMasked()) {
    Fill(logits, task.vocabulary, kMasked);
  } else if (prepared.FiniteMaximum() && definition::HandsOver(task.record, task.vocabulary)) {
    Selector<float> selector(prepared.row, prepared.phase, prepared.maximum, workspace);
    const KeptRule rule = selector.SelectTopK();
    const Floats ratio = Broadcast(definition::Divide(task.record.temperature, task.record.hot_temperature));
    WriteKept(prepared.row, rule, selector.vector_scale(), logits, [&](Floats x) { return Multiply(x, ratio); });
  } else {
    const int64_t token = Sample<float>(task, {false, false}, workspace).token;
    Fill(logits, task.vocabulary, kMasked);
    logits[token] = 0.0f;
  }
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
                            [&](auto* t) { return KeptRow<decltype(TypeOf(t))>(task, workspace).LogProb(token); });
          },
          [](const RowTask& task, int64_t token, float grad, void* grad_logits, Workspace& workspace) {
            WithType(task.logits_type, [&](auto* t) {
              using T = decltype(TypeOf(t));
              LogProbBackward<T>(task, token, grad, static_cast<T*>(grad_logits), workspace);
            });
          }};
}

}  // namespace fire::cpu::FIRE_ISA
