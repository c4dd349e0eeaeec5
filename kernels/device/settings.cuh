// A row's record, step and slot, read on the device, and what follows from them alone. Four warps each work out a
// share, while the others' loads of the row are under way.
#pragma once

#include "definition/batch.h"
#include "definition/design.h"
#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/status.h"
#include "definition/weight.h"
#include "kernels/device/ptx.cuh"
#include "kernels/launch.h"
#include "kernels/storage.h"

namespace fire::kernels {

// A nucleus is sought first among so many of the most probable tokens.
inline constexpr uint32_t kNucleusGuess = 192;

__device__ __forceinline__ const uint32_t* RecordWords(const Batch& batch, int64_t slot) {
  return reinterpret_cast<const uint32_t*>(batch.records) + slot * kRecordWords;
}

__device__ __forceinline__ Record ReadRecord(const Batch& batch, int64_t slot) {
  const uint32_t* words = RecordWords(batch, slot);
  Record record;
  uint32_t* copy = reinterpret_cast<uint32_t*>(&record);
#pragma unroll
  for (int i = 0; i < kRecordWords; ++i) copy[i] = words[i];
  return record;
}

// What a lane holds of a row's settings while its logits come in.
struct RowInput {
  int64_t step;
  uint32_t word;  // of the record, the lane's
};

__device__ __forceinline__ Record RecordOf(const RowInput& input) {
  Record record;
  uint32_t* copy = reinterpret_cast<uint32_t*>(&record);
#pragma unroll
  for (int i = 0; i < kRecordWords; ++i) copy[i] = __shfl_sync(~0u, input.word, i);
  return record;
}

// The phase that rules the row: where `heat_logits_` hands it over, what is left of that.
__device__ __forceinline__ definition::Phase PhaseFor(Task task, const Record& record, int64_t step,
                                                      uint32_t vocabulary) {
  definition::Phase phase = definition::PhaseOf(record, step, vocabulary);
  if (task == Task::kHeatLogits && definition::HandsOver(record, vocabulary)) phase = definition::HandOverPhase(phase);
  return phase;
}

__device__ __forceinline__ void WriteFilters(const definition::Phase& phase, uint32_t vocabulary,
                                             RowSettings* settings) {
  // Field by field: in a copy of all the bytes behind the last one take a register from the kernel's first instruction
  // on.
  settings->phase.temperature = phase.temperature, settings->phase.heat = phase.heat;
  settings->phase.top_k = phase.top_k, settings->phase.top_p = phase.top_p, settings->phase.min_p = phase.min_p;
  settings->phase.order = phase.order, settings->phase.ties = phase.ties, settings->phase.hot = phase.hot;
  const uint64_t weight_of_maximum = definition::WeightOfMaximum(vocabulary);
  const uint64_t min_weight = definition::MinPThreshold(phase.min_p, weight_of_maximum);
  settings->weight_of_maximum = weight_of_maximum;
  settings->min_weight = min_weight;
  const bool top_k_on = phase.top_k < vocabulary, top_p_on = definition::TopPIsOn(phase.top_p);
  settings->top_k_on = top_k_on;
  settings->top_p_on = top_p_on;
  // Where top-p counts tokens that fail min-p, the list must hold them.
  settings->min_p_bounds_list = min_weight != 0 && (phase.order == Order::kVllm || !top_p_on);
  settings->pivot_count = 0;
  if (phase.heat == definition::Heat::kGreedy || min_weight > weight_of_maximum) {
    settings->regime = Regime::kDecided;
  } else if (!top_k_on && !top_p_on && min_weight == 0) {
    settings->regime = Regime::kAll;
  } else if (top_k_on || settings->min_p_bounds_list) {
    settings->regime = Regime::kList;
    if (top_k_on) settings->pivot_count = phase.top_k;
  } else {
    settings->regime = Regime::kNucleus;
    settings->pivot_count = min(kNucleusGuess, vocabulary);
  }
}

// True where top-p counts the mass of the whole row, whatever the list holds.
__device__ __forceinline__ bool TopPCountsRow(const RowSettings& settings) {
  return settings.top_p_on && (settings.regime == Regime::kNucleus || settings.phase.order == Order::kJoint);
}

__device__ __forceinline__ definition::MinPBounds MinPBoundsFor(const definition::Phase& phase, uint32_t vocabulary) {
  const uint64_t whole = definition::WeightOfMaximum(vocabulary);
  return definition::MinPBoundsOf(phase, definition::MinPThreshold(phase.min_p, whole), whole);
}

// Delegates of a row that `lanes` read, so many that `wanted` is a small part of them: one for up to 32 lanes, or for
// each word of a lane. Somewhat fewer than wanted will do: then fewer of them must reach the pivot (DelegatesWanted).
// 0 where there are far too few.
__device__ __forceinline__ uint32_t DelegateCount(uint32_t wanted, uint32_t lanes) {
  if (wanted == 0) return 0;
  const uint32_t enough = wanted * 5 / 2;
  const uint32_t least = max(min(256u, lanes), lanes / 32), most = min(lanes, kMostDelegates);
  uint32_t count = enough > most ? most : enough > least ? 1u << (32 - __clz(enough - 1)) : least;
  if (count < enough && lanes * 4 <= kMostDelegates) count = lanes * 4;
  return wanted <= count + count / 2 ? count : 0;
}

__device__ __forceinline__ Draws DrawsOf(const Work& work, Regime regime, bool is_enumerated) {
  if (work.task == Task::kSampleGroup) return Draws::kNothing;  // its members draw
  if (is_enumerated) return Draws::kForTeam;                    // the token is all that is kept
  switch (work.task) {
    case Task::kSample:
      return regime == Regime::kAll && work.outputs.kept == nullptr ? Draws::kForOwner : Draws::kForTeam;
    case Task::kSampleWithReference:
    case Task::kHeatLogits:
      return Draws::kForTeam;
    default:
      return Draws::kNothing;
  }
}

__device__ __forceinline__ uint32_t AsksOf(const RowSettings& settings, bool wants_reference) {
  const bool is_decided = settings.regime == Regime::kDecided, is_unfiltered = settings.regime == Regime::kAll;
  const bool is_vllm = settings.phase.order == Order::kVllm;
  uint32_t asks = is_unfiltered ? kAsksNoList | kAsksRowMass : 0;
  if (TopPCountsRow(settings)) asks |= kAsksRowMass;
  if (wants_reference) asks |= kAsksReference;
  if (settings.regime == Regime::kNucleus) asks |= kAsksListedMass;
  if (!is_decided && is_vllm && settings.min_weight != 0) asks |= kAsksMinP;
  if (settings.regime == Regime::kList && settings.top_k_on) asks |= kAsksTopK;
  return asks;
}

// Works out a row's settings, by four warps. A row that is read again keeps what it has.
class SettingsReader {
 public:
  __device__ __forceinline__ SettingsReader(const Work& work, int64_t row, bool is_needed)
      : work_(work), row_(row), is_needed_(is_needed) {}

  // Asked for before the row's logits: a record is two trips to memory away.
  __device__ __forceinline__ RowInput Read(RowSettings* settings) const {
    RowInput input;
    if (TakesPart()) {
      const definition::Slot slot = definition::SlotOf(work_.batch, row_);
      input.step = definition::StepOf(work_.batch, row_);
      input.word = RecordWords(work_.batch, slot.index)[threadIdx.x % kRecordWords];
      // At once: registers are few while the row is read.
      if (threadIdx.x == 0) settings->status = slot.out_of_range ? kStatusSlotOutOfRange : 0;
    }
    return input;
  }

  // `lanes` of the team. A barrier must follow.
  __device__ __forceinline__ void WorkOut(const RowInput& input, uint32_t lanes, RowSettings* settings) const {
    if (!TakesPart()) return;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t vocabulary = static_cast<uint32_t>(work_.batch.vocabulary);
    const Record record = RecordOf(input);
    const definition::Phase phase = PhaseFor(work_.task, record, input.step, vocabulary);
    if (warp == 0 && lane == 0) {
      WriteFilters(phase, vocabulary, settings);
      settings->record = record;
      settings->status |= definition::StatusOfPhase(phase);
      const uint32_t delegates = DelegateCount(settings->pivot_count, lanes);
      settings->delegates = delegates;
      settings->lane_bits = delegates == 0 || delegates > lanes ? 0 : __clz(delegates) - __clz(lanes);
      settings->bins_of_thread = kBins / blockDim.x;
      settings->is_enumerated = definition::IsEnumerated(record, input.step);
      settings->asks = AsksOf(*settings, definition::WantsReference(work_.outputs));
      settings->draws = DrawsOf(work_, settings->regime, settings->is_enumerated);
    }
    if (warp == 1) {
      const float temperature = lane == 0 ? phase.temperature : definition::ReferenceTemperature(record);
      const bool greedy = definition::HeatOf(temperature) == definition::Heat::kGreedy;
      const WeightScale scale = definition::MakeWeightScale(0.0f, greedy ? 1.0f : temperature, vocabulary);
      if (lane == 0) settings->slope = scale.slope, settings->floor = scale.floor, settings->weight_bits = scale.bits;
      if (lane == 1)
        settings->ref_slope = scale.slope, settings->ref_floor = scale.floor, settings->ref_temperature = temperature;
    }
    if (warp == 2 && lane == 0) {
      settings->draw_bits =
          work_.code != nullptr ? work_.code[row_ * work_.code_stride] : definition::DrawBits(record, input.step);
    }
    if (warp == 3 && lane == 0) settings->min_p_bounds = MinPBoundsFor(phase, vocabulary);
  }

 private:
  __device__ __forceinline__ bool TakesPart() const { return is_needed_ && threadIdx.x < 4 * 32; }

  const Work& work_;
  int64_t row_;
  bool is_needed_;
};

}  // namespace fire::kernels
