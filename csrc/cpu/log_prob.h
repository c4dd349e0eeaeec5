// The log-probability of a given token, and its gradient.
#pragma once

#include "cpu/kept_row.h"
#include "definition/draw.h"

namespace fire::cpu::FIRE_ISA {

template <typename T>
float LogProb(const RowTask& task, int64_t token, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = true}, workspace);
  if (!kept.Holds(token)) return kMasked;
  if (kept.decided()) return 0.0f;
  const float logit = ValueAt(kept.row().logits, static_cast<uint32_t>(token));
  return definition::LogSoftmax(logit, kept.maximum(), phase.temperature, definition::WeightOfMaximum(task.vocabulary),
                                kept.selection().mass);
}

inline void Narrow(float value, float* out) { *out = value; }
inline void Narrow(float value, BFloat16* out) { out->bits = definition::FloatToBFloat16(value); }
inline void Narrow(float value, Float16* out) { out->bits = definition::FloatToFloat16(value); }

template <typename T>
void LogProbBackward(const RowTask& task, int64_t token, float grad, T* grad_logits, Workspace& workspace) {
  memset(static_cast<void*>(grad_logits), 0, task.vocabulary * sizeof(T));
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const KeptRow<T> kept(task, phase, {.has_nan = false, .mass = true}, workspace);
  if (kept.decided() || !kept.Holds(token)) return;
  const RuleMasks masks(kept.Rule(), kept.vector_scale());
  for (uint32_t strip = 0; strip < kept.row().strips; ++strip) {
    kept.row().ForGroups(strip, [&](uint32_t id, Floats x) {
      uint32_t bits = Bits(masks.Kept(id, x));
      if (bits == 0) return;
      alignas(64) uint64_t weight[kLanes];
      StoreWeights(weight, WeightsOf(x, kept.vector_scale()));
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
        const float slope =
            definition::LogProbSlope(weight[lane], kept.selection().mass, id + lane == token, phase.temperature);
        Narrow(slope * grad, grad_logits + id + lane);
      }
    });
  }
}

}  // namespace fire::cpu::FIRE_ISA
