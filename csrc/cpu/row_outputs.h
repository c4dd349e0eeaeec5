// What keeps a row's kept set instead of drawing from it: processed logits, heated logits, the log-probability of a
// given token and its gradient.
#pragma once

#include "cpu/sample.h"
#include "definition/heat.h"

namespace fire::cpu::FIRE_ISA {

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
  if (!hands_over) {
    const uint64_t random_bits = definition::DrawBits(task.record, task.step);
    return WriteOneHot(Draw(random_bits, kept, workspace).token, logits, task.vocabulary);
  }
  const Floats ratio = Broadcast(definition::Divide(task.record.temperature, task.record.hot_temperature));
  WriteKept(kept.row(), kept.Rule(), kept.vector_scale(), logits, [&](Floats x) { return Multiply(x, ratio); });
}

template <typename T>
float LogProb(const RowTask& task, int64_t token, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = true}, workspace);
  if (!kept.Holds(token)) return kMasked;
  if (kept.decided()) return 0.0f;
  const float logit = ValueAt(kept.row().logits, static_cast<uint32_t>(token));
  return definition::LogSoftmax(logit, kept.maximum(), phase.temperature, definition::WeightOfMaximum(task.vocabulary),
                                kept.kept_set().mass);
}

// Writes grad · ∂ log_prob(token) / ∂ x where the rule keeps, of `mass`.
template <typename T>
void WriteSlopesOfKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale, const Workspace& workspace,
                       uint64_t mass, int64_t token, float temperature, float grad, T* grad_logits) {
  ForKept(row, rule, scale, workspace, [&](uint32_t id, Floats x, uint32_t bits) {
    alignas(64) uint64_t weight[kLanes];
    StoreWeights(weight, WeightsOf(x, scale));
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
      const float slope = definition::LogProbSlope(weight[lane], mass, id + lane == token, temperature);
      Narrow(slope * grad, grad_logits + id + lane);
    }
  });
}

template <typename T>
void LogProbBackward(const RowTask& task, int64_t token, float grad, T* grad_logits, Workspace& workspace) {
  memset(static_cast<void*>(grad_logits), 0, task.vocabulary * sizeof(T));
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = true}, workspace);
  if (kept.decided() || !kept.Holds(token)) return;
  WriteSlopesOfKept(kept.row(), kept.Rule(), kept.vector_scale(), workspace, kept.kept_set().mass, token,
                    phase.temperature, grad, grad_logits);
}

}  // namespace fire::cpu::FIRE_ISA
