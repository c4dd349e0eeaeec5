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

// What min-p asks of a weight; 0 and 0 where it is off, which costs nothing then.
struct MinP {
  uint64_t min_weight, weight_of_maximum;
};

__device__ __forceinline__ MinP MinPFor(const definition::Phase& phase, uint32_t vocabulary) {
  MinP min_p = {.min_weight = 0, .weight_of_maximum = 0};
  if (definition::MinPIsOn(phase.min_p)) {
    min_p.weight_of_maximum = definition::WeightOfMaximum(vocabulary);
    min_p.min_weight = definition::MinPThreshold(phase.min_p, min_p.weight_of_maximum);
  }
  return min_p;
}

// What a row's phase comes to, for a vocabulary.
struct RowFilters {
  uint64_t min_weight;
  bool is_decided, top_k_on, top_p_on, min_p_bounds_list;
  Regime regime;
  uint32_t pivot_count;
};

// One after the other, not branch by branch: all blocks wait for the threads that work this out.
__device__ __forceinline__ RowFilters FiltersOf(const definition::Phase& phase, uint32_t vocabulary) {
  RowFilters filters;
  const MinP min_p = MinPFor(phase, vocabulary);
  filters.min_weight = min_p.min_weight;
  filters.is_decided = (phase.heat == definition::Heat::kGreedy) | (min_p.min_weight > min_p.weight_of_maximum);
  const bool has_min_p = filters.min_weight != 0;
  filters.top_k_on = phase.top_k < vocabulary;
  filters.top_p_on = definition::TopPIsOn(phase.top_p);
  // Where top-p counts tokens that fail min-p, the list must hold them.
  filters.min_p_bounds_list = has_min_p & ((phase.order == Order::kVllm) | !filters.top_p_on);
  const Regime filtered = filters.top_k_on | filters.min_p_bounds_list ? Regime::kList : Regime::kNucleus;
  filters.regime = filters.is_decided                                ? Regime::kDecided
                   : filters.top_k_on | filters.top_p_on | has_min_p ? filtered
                                                                     : Regime::kAll;
  const uint32_t of_nucleus = filters.regime == Regime::kNucleus ? min(kNucleusGuess, vocabulary) : 0;
  filters.pivot_count = (filters.regime == Regime::kList) & filters.top_k_on ? phase.top_k : of_nucleus;
  return filters;
}

__device__ __forceinline__ void WriteFilters(const definition::Phase& phase, const RowFilters& filters,
                                             RowSettings* settings) {
  // Field by field: in a copy of all the bytes behind the last one take a register from the kernel's first instruction
  // on.
  settings->phase.temperature = phase.temperature, settings->phase.heat = phase.heat;
  settings->phase.top_k = phase.top_k, settings->phase.top_p = phase.top_p, settings->phase.min_p = phase.min_p;
  settings->phase.order = phase.order, settings->phase.ties = phase.ties, settings->phase.hot = phase.hot;
  settings->min_weight = filters.min_weight;
  settings->min_p_bounds_list = filters.min_p_bounds_list;
  settings->regime = filters.regime;
  settings->pivot_count = filters.pivot_count;
}

// What a row's word tells of its filters.
__device__ __forceinline__ bool TopKIsOn(const RowSettings& settings) { return (settings.asks & kAsksFirstOfK) != 0; }
__device__ __forceinline__ bool TopPIsOn(const RowSettings& settings) { return (settings.asks & kAsksNucleus) != 0; }
__device__ __forceinline__ bool TakesPlace(const RowSettings& settings) { return (settings.asks & kAsksPlace) != 0; }

// True where top-p counts the mass of the whole row, whatever the list holds.
__device__ __forceinline__ bool TopPCountsRow(const RowSettings& settings) {
  return (settings.asks & kAsksTopPOfRow) != 0;
}

// Delegates of a row that `lanes` read, so many that `wanted` is a small part of them: one for up to 32 lanes, or for
// each word of a lane. Somewhat fewer than wanted will do: then fewer of them must reach the pivot (DelegatesWanted).
// 0 where there are far too few.
__device__ __forceinline__ uint32_t DelegateCount(uint32_t wanted, uint32_t lanes) {
  const uint32_t enough = wanted * 5 / 2;
  const uint32_t least = max(min(256u, lanes), lanes / 32), most = min(lanes, kMostDelegates);
  uint32_t count = enough > most ? most : enough > least ? 1u << (32 - __clz(enough - 1)) : least;
  if (count < enough && lanes * 4 <= kMostDelegates) count = lanes * 4;
  return (wanted != 0) & (wanted <= count + count / 2) ? count : 0;
}

// A token is sought for the tasks that draw one; and where the record names its place, since it is all that is kept.
__device__ __forceinline__ bool SeeksToken(Task task, bool is_enumerated) {
  const bool draws = (task == Task::kSample) | (task == Task::kSampleWithReference) |
                     (task == Task::kSampleWithSupport) | (task == Task::kHeatLogits);
  return draws | (is_enumerated & (task != Task::kSampleGroup));
}

__device__ __forceinline__ uint32_t AsksOf(const RowFilters& filters, const definition::Phase& phase,
                                           bool is_enumerated, const Work& work) {
  const Order order = phase.order;
  const Regime regime = filters.regime;
  const bool wants_token_alone = (work.task == Task::kSample) & (work.outputs.kept == nullptr) & !is_enumerated;
  const bool counts_row =
      filters.top_p_on & ((regime == Regime::kNucleus) | ((order == Order::kJoint) & (regime != Regime::kDecided)));
  const bool tests_min_p = (regime != Regime::kDecided) & (order == Order::kVllm) & (filters.min_weight != 0);
  uint32_t asks = regime == Regime::kAll ? kAsksNoList | kAsksRowMass : 0;
  asks |= counts_row ? kAsksTopPOfRow | kAsksRowMass : 0;
  asks |= definition::WantsReference(work.outputs) ? kAsksReference : 0;
  asks |= regime == Regime::kNucleus ? kAsksListedMass : 0;
  asks |= tests_min_p ? kAsksMinP : 0;
  asks |= (regime == Regime::kList) & filters.top_k_on ? kAsksTopK : 0;
  asks |= (regime == Regime::kAll) & wants_token_alone ? kAsksTokenAlone : 0;
  asks |= filters.top_k_on ? (phase.ties != Ties::kExact ? kAsksFirstOfK | kAsksEqualsOfK : kAsksFirstOfK) : 0;
  asks |= filters.top_p_on ? (phase.ties == Ties::kKeep ? kAsksNucleus | kAsksEqualsOfP : kAsksNucleus) : 0;
  asks |= (order == Order::kVllm ? kAsksMinPFirst : 0) | (is_enumerated ? kAsksPlace : 0);
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
      // At once: registers are few while the row is read. By the thread that adds to it.
      if (threadIdx.x == 2 * 32) settings->status = slot.out_of_range ? kStatusSlotOutOfRange : 0;
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
    if (warp == 1) {
      const float temperature = lane == 0 ? phase.temperature : definition::ReferenceTemperature(record);
      const bool greedy = definition::HeatOf(temperature) == definition::Heat::kGreedy;
      const WeightScale scale = definition::MakeWeightScale(0.0f, greedy ? 1.0f : temperature, vocabulary);
      if (lane == 0) {
        settings->slope = scale.slope, settings->floor = scale.floor, settings->weight_bits = scale.bits;
        settings->weight_of_maximum = definition::WeightOfMaximum(vocabulary);
      }
      if (lane == 1)
        settings->ref_slope = scale.slope, settings->ref_floor = scale.floor, settings->ref_temperature = temperature;
    } else if (warp == 2) {
      if (lane < kRecordWords) reinterpret_cast<uint32_t*>(&settings->record)[lane] = input.word;
      if (lane == 0) {
        settings->draw_bits =
            work_.code != nullptr ? work_.code[row_ * work_.code_stride] : definition::DrawBits(record, input.step);
        settings->status |= definition::StatusOfPhase(phase);
        const MinP min_p = MinPFor(phase, vocabulary);
        settings->min_p_bounds = definition::MinPBoundsOf(phase, min_p.min_weight, min_p.weight_of_maximum);
      }
    } else if (lane == 0) {
      const RowFilters filters = FiltersOf(phase, vocabulary);
      if (warp == 0) {
        WriteFilters(phase, filters, settings);
        const uint32_t delegates = DelegateCount(filters.pivot_count, lanes);
        settings->delegates = delegates;
        settings->lane_bits = (delegates == 0) | (delegates > lanes) ? 0 : __clz(delegates) - __clz(lanes);
      } else {
        const bool is_enumerated = definition::IsEnumerated(record, input.step);
        settings->seeks_token = SeeksToken(work_.task, is_enumerated);
        settings->asks = AsksOf(filters, phase, is_enumerated, work_);
        settings->bins_of_thread = kBins >> (31 - __clz(blockDim.x));
      }
    }
  }

 private:
  __device__ __forceinline__ bool TakesPart() const { return is_needed_ && threadIdx.x < 4 * 32; }

  const Work& work_;
  int64_t row_;
  bool is_needed_;
};

}  // namespace fire::kernels
