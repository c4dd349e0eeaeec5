// How a Batch and its outputs are read, row by row, on host and device.
#pragma once

#include "definition/phase.h"
#include "fire/sampling.h"

namespace fire::definition {

// The bytes of one logit.
FIRE_RULE constexpr int64_t BytesOf(LogitsType type) { return type == LogitsType::kFloat32 ? 4 : 2; }

// Reads an integer: of any alignment on the host; on the device, where that would be a load a byte, of its own.
template <typename Int>
FIRE_RULE int64_t IntegerAt(const void* data, int64_t index) {
#if defined(__CUDA_ARCH__)
  return static_cast<const Int*>(data)[index];
#else
  Int value;
  memcpy(&value, static_cast<const char*>(data) + index * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
#endif
}

FIRE_RULE int64_t StepOf(const Batch& batch, int64_t row) {
  const int64_t at = row * batch.step_stride;
  return batch.step_is_int64 ? IntegerAt<int64_t>(batch.step, at) : IntegerAt<int32_t>(batch.step, at);
}

// Which record rules the row.
FIRE_RULE Slot SlotOf(const Batch& batch, int64_t row) {
  if (batch.slot == nullptr) return {row, false};
  return ClampSlot(batch.slot[row * batch.slot_stride], batch.record_count);
}

// True where the outputs need the row's whole mass at the reference temperature, or the rank.
FIRE_RULE bool WantsReference(const SampleOutputs& outputs) {
  return outputs.reference && (outputs.ref_logprob != nullptr || outputs.rank != nullptr);
}

// What ref_logprob and rank become where SampleOutputs::reference is false.
inline constexpr float kNoRefLogprob = __builtin_nanf("");
inline constexpr int32_t kNoRank = -1;

}  // namespace fire::definition
