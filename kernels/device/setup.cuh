// A row's record, step and slot, read on the device, and what follows from them alone. Four warps each work out a
// share, while the others' loads of the row are under way.
#pragma once

#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/philox.h"
#include "definition/weight.h"
#include "fire/status.h"
#include "kernels/launch.h"
#include "kernels/storage.h"

namespace fire::kernels {

// A nucleus is sought first among so many of the most probable tokens.
inline constexpr uint32_t kNucleusGuess = 192;

// log2 of a weight is right to about 2^-18; near its threshold min-p is decided token by token.
inline constexpr float kMinPMargin = 0x1p-8f;

struct RowInput {
  Record record;
  int64_t step;
  bool slot_out_of_range;
};

__device__ __forceinline__ RowInput ReadInput(const Batch& batch, int64_t row) {
  RowInput input;
  const int64_t at = row * batch.step_stride;
  input.step =
      batch.step_is_int64 ? static_cast<const int64_t*>(batch.step)[at] : static_cast<const int32_t*>(batch.step)[at];
  definition::Slot slot = {row, false};
  if (batch.slot != nullptr) slot = definition::ClampSlot(batch.slot[row * batch.slot_stride], batch.record_count);
  input.slot_out_of_range = slot.out_of_range;
  const uint32_t* words = reinterpret_cast<const uint32_t*>(batch.records) + slot.index * kRecordWords;
  uint32_t* copy = reinterpret_cast<uint32_t*>(&input.record);
#pragma unroll
  for (int i = 0; i < kRecordWords; ++i) copy[i] = words[i];
  return input;
}

// Top-k alone, for `heat_logits_`: the engine applies what else there is.
__device__ __forceinline__ definition::Phase PhaseFor(Task task, const RowInput& input, uint32_t vocabulary) {
  definition::Phase phase = definition::PhaseOf(input.record, input.step, vocabulary);
  if (task == Task::kHeatLogits && definition::HandsOver(input.record, vocabulary)) phase.top_p = 1.0f, phase.min_p = 0;
  return phase;
}

__device__ __forceinline__ void WriteFilters(const definition::Phase& phase, const RowInput& input, uint32_t vocabulary,
                                             RowSetup* setup) {
  setup->record = input.record;
  setup->step = input.step;
  setup->phase = phase;
  setup->status = (phase.hot ? kStatusHot : 0) | (phase.heat == definition::Heat::kGreedy ? kStatusGreedy : 0) |
                  (input.slot_out_of_range ? kStatusSlotOutOfRange : 0);
  // Of d = 0, whatever the maximum and the temperature are.
  const uint64_t weight_of_maximum =
      definition::Weight(0.0f, {0.0f, 0.0f, -1.0f, definition::WeightScaleBits(vocabulary)});
  const uint64_t min_weight = definition::MinPThreshold(phase.min_p, weight_of_maximum);
  setup->weight_of_maximum = weight_of_maximum;
  setup->min_weight = min_weight;
  const bool top_k_on = phase.top_k < vocabulary, top_p_on = definition::TopPIsOn(phase.top_p);
  setup->top_k_on = top_k_on;
  setup->top_p_on = top_p_on;
  // Where top-p counts tokens that fail min-p, the list must hold them.
  setup->min_p_bounds_list = min_weight != 0 && (phase.order == Order::kVllm || !top_p_on);
  setup->pivot_count = 0;
  if (phase.heat == definition::Heat::kGreedy || min_weight > weight_of_maximum) {
    setup->way = Way::kDecided;
  } else if (!top_k_on && !top_p_on && min_weight == 0) {
    setup->way = Way::kAll;
  } else if (top_k_on || setup->min_p_bounds_list) {
    setup->way = Way::kList;
    if (top_k_on) setup->pivot_count = phase.top_k;
  } else {
    setup->way = Way::kNucleus;
    setup->pivot_count = min(kNucleusGuess, vocabulary);
  }
}

__device__ __forceinline__ void WriteMinPBounds(const definition::Phase& phase, uint32_t vocabulary, RowSetup* setup) {
  const uint64_t whole = definition::Weight(0.0f, {0.0f, 0.0f, -1.0f, definition::WeightScaleBits(vocabulary)});
  const uint64_t least = definition::MinPThreshold(phase.min_p, whole);
  const WeightScale scale = definition::MakeWeightScale(0.0f, phase.temperature, vocabulary);
  if (least == 0 || least > whole || scale.slope == 0.0f || phase.heat == definition::Heat::kGreedy) {
    setup->min_p_below = setup->min_p_above = -INFINITY;
    return;
  }
  const float distance = log2f(static_cast<float>(least) / static_cast<float>(whole));
  setup->min_p_below = definition::Divide(distance - kMinPMargin, scale.slope);
  setup->min_p_above = definition::Divide(distance + kMinPMargin, scale.slope);
}

// Fills storage.setup; a barrier must follow.
__device__ __forceinline__ void SetUpRow(const Work& work, int64_t row, RowSetup* setup) {
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp >= 4 || lane >= (warp == 1 ? 2 : 1)) return;
  const uint32_t vocabulary = static_cast<uint32_t>(work.batch.vocabulary);
  const RowInput input = ReadInput(work.batch, row);
  const definition::Phase phase = PhaseFor(work.task, input, vocabulary);
  if (warp == 0) WriteFilters(phase, input, vocabulary, setup);
  if (warp == 1) {
    const float temperature = lane == 0 ? phase.temperature : definition::ReferenceTemperature(input.record);
    const bool greedy = definition::HeatOf(temperature) == definition::Heat::kGreedy;
    const WeightScale scale = definition::MakeWeightScale(0.0f, greedy ? 1.0f : temperature, vocabulary);
    (lane == 0 ? setup->slope : setup->ref_slope) = scale.slope;
    (lane == 0 ? setup->floor : setup->ref_floor) = scale.floor;
    if (lane == 0) setup->weight_bits = scale.bits;
    if (lane == 1) setup->ref_temperature = temperature;
  }
  if (warp == 2)
    setup->draw_bits = definition::DrawBits(definition::SeedOf(input.record), input.step, input.record.stream);
  if (warp == 3) WriteMinPBounds(phase, vocabulary, setup);
}

}  // namespace fire::kernels
