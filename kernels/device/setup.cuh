// A row's record, step and slot, read on the device, and what follows from them alone. Four warps each work out a
// share, while the others' loads of the row are under way.
#pragma once

#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/philox.h"
#include "definition/weight.h"
#include "fire/status.h"
#include "kernels/device/ptx.cuh"
#include "kernels/launch.h"
#include "kernels/storage.h"

namespace fire::kernels {

// A nucleus is sought first among so many of the most probable tokens.
inline constexpr uint32_t kNucleusGuess = 192;

// log2 of a weight is right to about 2^-18; near its threshold min-p is decided token by token.
inline constexpr float kMinPMargin = 0x1p-8f;

struct RowInput {
  int64_t step;
  definition::Slot slot;
};

__device__ __forceinline__ RowInput ReadInput(const Batch& batch, int64_t row) {
  RowInput input;
  const int64_t at = row * batch.step_stride;
  input.step =
      batch.step_is_int64 ? static_cast<const int64_t*>(batch.step)[at] : static_cast<const int32_t*>(batch.step)[at];
  input.slot = {row, false};
  if (batch.slot != nullptr)
    input.slot = definition::ClampSlot(batch.slot[row * batch.slot_stride], batch.record_count);
  return input;
}

__device__ __forceinline__ const uint32_t* RecordWords(const Batch& batch, const RowInput& input) {
  return reinterpret_cast<const uint32_t*>(batch.records) + input.slot.index * kRecordWords;
}

__device__ __forceinline__ Record ReadRecord(const Batch& batch, const RowInput& input) {
  const uint32_t* words = RecordWords(batch, input);
  Record record;
  uint32_t* copy = reinterpret_cast<uint32_t*>(&record);
#pragma unroll
  for (int i = 0; i < kRecordWords; ++i) copy[i] = words[i];
  return record;
}

// Top-k alone, for `heat_logits_`: the engine applies what else there is.
__device__ __forceinline__ definition::Phase PhaseFor(Task task, const Record& record, int64_t step,
                                                      uint32_t vocabulary) {
  definition::Phase phase = definition::PhaseOf(record, step, vocabulary);
  if (task == Task::kHeatLogits && definition::HandsOver(record, vocabulary)) phase.top_p = 1.0f, phase.min_p = 0;
  return phase;
}

// Of d = 0, whatever the maximum and the temperature are.
__device__ __forceinline__ uint64_t WeightOfMaximum(uint32_t vocabulary) {
  return definition::Weight(0.0f, {0.0f, 0.0f, -1.0f, definition::WeightScaleBits(vocabulary)});
}

__device__ __forceinline__ void WriteFilters(const definition::Phase& phase, uint32_t vocabulary, RowSetup* setup) {
  setup->phase = phase;
  const uint64_t weight_of_maximum = WeightOfMaximum(vocabulary);
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
  const uint64_t whole = WeightOfMaximum(vocabulary);
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

// Delegates of a row that `lanes` read, so many that `wanted` is a small part of them: one for up to 32 lanes, or for
// each word of a lane. 0 where there cannot be enough.
__device__ __forceinline__ uint32_t DelegateCount(uint32_t wanted, uint32_t lanes) {
  if (wanted == 0) return 0;
  const uint32_t enough = wanted * 5 / 2;
  const uint32_t least = max(min(256u, lanes), lanes / 32), most = min(lanes, kMostDelegates);
  uint32_t count = enough > most ? most : enough > least ? 1u << (32 - __clz(enough - 1)) : least;
  if (count < enough && lanes * 4 <= kMostDelegates) count = lanes * 4;
  return wanted <= count ? count : 0;
}

__device__ __forceinline__ Draws DrawsOf(const Work& work, Way way) {
  switch (work.task) {
    case Task::kSample:
      return way == Way::kAll && work.outputs.kept == nullptr ? Draws::kForOwner : Draws::kForTeam;
    case Task::kSampleWithReference:
    case Task::kHeatLogits:
      return Draws::kForTeam;
    default:
      return Draws::kNothing;
  }
}

// Of one row, by four warps. A row that is read again keeps what it has.
class SetUp {
 public:
  __device__ __forceinline__ SetUp(const Work& work, int64_t row, bool is_needed)
      : work_(work), row_(row), is_needed_(is_needed) {}

  // Asked for before the row's logits: a record is two trips to memory away.
  __device__ __forceinline__ RowInput Read() const {
    RowInput input;
    if (TakesPart()) {
      input = ReadInput(work_.batch, row_);
      ptx::PrefetchToL2(RecordWords(work_.batch, input));
    }
    return input;
  }

  // `lanes` of the team. A barrier must follow.
  __device__ __forceinline__ void WorkOut(const RowInput& input, uint32_t lanes, RowSetup* setup) const {
    if (!TakesPart()) return;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t vocabulary = static_cast<uint32_t>(work_.batch.vocabulary);
    const Record record = ReadRecord(work_.batch, input);
    const definition::Phase phase = PhaseFor(work_.task, record, input.step, vocabulary);
    if (warp == 0) {
      WriteFilters(phase, vocabulary, setup);
      setup->record = record;
      setup->status = (phase.hot ? kStatusHot : 0) | (phase.heat == definition::Heat::kGreedy ? kStatusGreedy : 0) |
                      (input.slot.out_of_range ? kStatusSlotOutOfRange : 0);
      setup->delegates = DelegateCount(setup->pivot_count, lanes);
      setup->draws = DrawsOf(work_, setup->way);
    }
    if (warp == 1) {
      const float temperature = lane == 0 ? phase.temperature : definition::ReferenceTemperature(record);
      const bool greedy = definition::HeatOf(temperature) == definition::Heat::kGreedy;
      const WeightScale scale = definition::MakeWeightScale(0.0f, greedy ? 1.0f : temperature, vocabulary);
      (lane == 0 ? setup->slope : setup->ref_slope) = scale.slope;
      (lane == 0 ? setup->floor : setup->ref_floor) = scale.floor;
      if (lane == 0) setup->weight_bits = scale.bits;
      if (lane == 1) setup->ref_temperature = temperature;
    }
    if (warp == 2) setup->draw_bits = definition::DrawBits(definition::SeedOf(record), input.step, record.stream);
    if (warp == 3) WriteMinPBounds(phase, vocabulary, setup);
  }

 private:
  __device__ __forceinline__ bool TakesPart() const {
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    return is_needed_ && warp < 4 && lane < (warp == 1 ? 2 : 1);
  }

  const Work& work_;
  int64_t row_;
  bool is_needed_;
};

}  // namespace fire::kernels
