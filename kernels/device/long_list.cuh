// The kept set of a list that is too long to compare each candidate with each, and the draw from it. The candidates are
// counted and weighed in bins by their distance from the maximum, whose running sums tell in which bin a filter ends:
// only what is in that one is compared with each other. What is kept is then put in bins by id, for the draw. Costs a
// few readings of the list and about ten barriers, whatever the filters.
#pragma once

#include "kernels/device/short_list.cuh"

namespace fire::kernels {

// What is remembered of a candidate: its weight above, its bin, and how many came into that before it.
class InBin {
 public:
  static constexpr uint32_t kNone = 255;  // of a candidate that is in no bin; also one that is too far behind in it
  static_assert(kShortList < kNone && kBins == 512);

  __device__ __forceinline__ explicit InBin(uint64_t packed) : packed_(packed) {}
  __device__ __forceinline__ InBin(uint64_t weight, uint32_t bin, uint32_t place)
      : packed_(weight << 17 | bin << 8 | min(place, kNone)) {}

  __device__ __forceinline__ uint64_t packed() const { return packed_; }
  __device__ __forceinline__ uint64_t weight() const { return packed_ >> 17; }
  __device__ __forceinline__ uint32_t bin() const { return static_cast<uint32_t>(packed_ >> 8) % kBins; }
  __device__ __forceinline__ uint32_t place() const { return static_cast<uint32_t>(packed_) & 255; }

 private:
  uint64_t packed_;
};

// Where a bin's sums lie: a lane has consecutive bins, and the lanes' lie side by side.
__device__ __forceinline__ uint32_t SlotOf(uint32_t bin) { return bin % (kBins / 32) * 32 + bin / (kBins / 32); }

// Makes the bins' values running sums: up to each, with it. By one warp, whose last lane gets the sum of all.
template <typename Number>
__device__ __forceinline__ Number SumUpBins(Number* slots) {
  constexpr uint32_t kOfLane = kBins / 32;
  Number* own = slots + threadIdx.x % 32;
  Number up_to[kOfLane], sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < kOfLane; ++i) up_to[i] = sum += own[32 * i];
  const Number before = WarpRunning(sum) - sum;
#pragma unroll
  for (uint32_t i = 0; i < kOfLane; ++i) own[32 * i] = before + up_to[i];
  return before + sum;
}

// Puts what of the list is not behind `last` and weighs enough into bins, which are empty. `bin_of` an entry. `weighs`:
// the candidates' weights are not known yet. A barrier must follow.
template <typename BinOf>
__device__ __forceinline__ void BinList(uint64_t last, uint64_t min_weight, bool weighs, const BinOf& bin_of,
                                        Storage& storage) {
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < storage.state.count; i += blockDim.x) {
    const uint64_t entry = storage.list[i];
    const uint64_t weight = weighs ? WeightInRow(KeyOf(entry), storage) : InBin(storage.in_bin[i]).weight();
    uint32_t bin = 0, place = InBin::kNone;
    if (entry >= last && weight >= min_weight) {
      bin = bin_of(entry);
      const uint32_t slot = SlotOf(bin);
      place = atomicAdd(&storage.counts[slot], 1u);
      AddToBin(slot, weight, storage);
    }
    storage.in_bin[i] = InBin(weight, bin, place).packed();
  }
}

// Copies into the short list what is in the bin up to whose end there is `target`, counted or weighed, and tells in
// storage.deciding what lies before it. Nothing where all bins together do not reach the target.
__device__ __forceinline__ void GatherBin(uint32_t stage, bool by_count, uint64_t target, Storage& storage) {
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < storage.state.count; i += blockDim.x) {
    const InBin at(storage.in_bin[i]);
    if (at.place() == InBin::kNone) continue;
    const uint32_t bin = at.bin(), slot = SlotOf(bin), previous = SlotOf(bin - 1) % kBins;
    const uint32_t up_to = storage.counts[slot], before = bin == 0 ? 0 : storage.counts[previous];
    const uint64_t mass_up_to = storage.bins[slot], mass_before = bin == 0 ? 0 : storage.bins[previous];
    if ((by_count ? before : mass_before) >= target || (by_count ? up_to : mass_up_to) < target) continue;
    if (at.place() < kShortList) {
      storage.short_entry[at.place()] = storage.list[i];
      storage.short_weight[at.place()] = at.weight() << kCountBits | 1;
    }
    if (at.place() == 0)
      storage.deciding = {.stage = stage, .size = up_to - before, .count_before = before, .mass_before = mass_before};
  }
}

// What top-p asks of a nucleus, where top-k keeps `mass`.
__device__ __forceinline__ uint64_t MassOfTopP(const RowSettings& settings, uint64_t row_mass, uint64_t mass) {
  return definition::TopPTarget(settings.phase.top_p, TopPCountsRow(settings) ? row_mass : mass);
}

// Fills storage.outcome, but for the rank, from the leader's list of a row that is not decided, once the row's scales
// are there. bins_of_list() are bins that spread the list. False where too many candidates share a bin: nothing is
// found then.
template <typename BinsOfList>
__device__ __forceinline__ bool FindKeptOfLongList(const BinsOfList& bins_of_list, uint64_t row_mass,
                                                   Storage& storage) {
  const RowSettings& settings = storage.settings;
  const definition::Phase& phase = settings.phase;
  // One loop over three stages, not three calls: they inline.
  enum Stage : uint32_t { kTopK, kTopP, kDraw, kStages };
  if (threadIdx.x == 0) {
    const KeptRule all = {.last = KeepAll().last, .min_weight = settings.min_weight};
    storage.outcome = {.rule = all, .mass = 0, .drawn = 0, .kept = 0, .rank = 0};
    storage.deciding.stage = kStages;
  }
  bool is_binned = false, is_clear = true;
#pragma unroll 1
  for (uint32_t stage = kTopK; stage < kStages; ++stage) {
    if (stage == kTopK && !TopKIsOn(settings)) continue;
    if (stage == kTopP && !TopPIsOn(settings)) continue;
    const bool takes_place = stage == kDraw && TakesPlace(settings);
    const bool by_id = stage == kDraw && !takes_place, by_count = stage == kTopK || takes_place;
    if (stage == kDraw || !is_binned) {
      if (!is_clear) ClearListBins(storage);
      if (!is_clear) __syncthreads();  // the bins are empty; else a late clear erases what was added
      const uint64_t last = is_binned ? storage.outcome.rule.last : KeepAll().last;
      const DistanceBins bins = by_id ? DistanceBins(1, 0) : bins_of_list();
      const uint32_t id_bits = 32 - __clz(storage.part.vocabulary - 1), bin_bits = 31 - __clz(kBins);
      const uint32_t shift = id_bits > bin_bits ? id_bits - bin_bits : 0;
      BinList(
          last, stage == kDraw || phase.order == Order::kVllm ? settings.min_weight : 0, !is_binned,
          [&](uint64_t entry) { return by_id ? IdOf(entry) >> shift : bins.Of(definition::KeyToFloat(KeyOf(entry))); },
          storage);
      __syncthreads();  // everything is in its bin; else the sums miss some
      is_binned = true, is_clear = false;
      if (threadIdx.x < 32) {
        const uint64_t mass = SumUpBins(storage.bins);
        if (threadIdx.x == 31) {
          storage.outcome.mass = mass;
          if (stage == kTopP) storage.target.top_p = MassOfTopP(settings, row_mass, mass);
          if (by_id) storage.target.draw = definition::DrawPoint(settings.draw_bits, mass) + 1;
        }
      } else if (threadIdx.x < 64) {
        const uint32_t count = SumUpBins(storage.counts);
        if (threadIdx.x == 63) {
          storage.outcome.kept = count;
          if (takes_place) storage.target.draw = definition::PlaceOf(settings.record, count) + 1;
        }
      }
      __syncthreads();  // sums and target are written; else some threads search for an older one
      if (stage == kDraw && !settings.seeks_token) break;
      if (stage == kTopK && storage.outcome.kept < phase.top_k) {
        if (threadIdx.x == 0 && TopPIsOn(settings))
          storage.target.top_p = MassOfTopP(settings, row_mass, storage.outcome.mass);
        __syncthreads();  // top-p's target is written; else an older one ends the nucleus
        continue;
      }
    }
    const uint64_t target = stage == kTopK ? phase.top_k : stage == kTopP ? storage.target.top_p : storage.target.draw;
    GatherBin(stage, by_count, target, storage);
    __syncthreads();  // what is in the bin is in the short list; else some are not compared with
    const auto& deciding = storage.deciding;
    if (deciding.stage != stage) continue;  // all together do not reach the target
    const uint32_t size = deciding.size;
    if (size > kShortList) return false;
    is_clear = stage == kTopP || !TopPIsOn(settings);  // top-p ends in the bins of top-k
    if (threadIdx.x < size) {
      const uint64_t mask = by_id ? 0xFFFFFFFFu : ~uint64_t{0};
      const uint64_t entry = storage.short_entry[threadIdx.x];
      uint64_t sum = 0, reaching = 0;
#pragma unroll 1
      for (uint32_t i = 0; i < size; ++i) {
        const uint64_t other = storage.short_entry[i], value = storage.short_weight[i];
        if ((other & mask) > (entry & mask)) sum += value;
        if (KeyOf(other) >= KeyOf(entry)) reaching += value;
      }
      const uint64_t own = storage.short_weight[threadIdx.x];
      const uint64_t before =
          by_count ? deciding.count_before + CountIn(sum) : deciding.mass_before + (sum >> kCountBits);
      const uint64_t rest = target - 1 - before;  // wraps to a huge one where the target is before it
      if (rest < (by_count ? 1 : own >> kCountBits)) {
        if (stage == kDraw) {
          storage.outcome.drawn = entry, storage.found_rest = rest;
        } else {
          const bool keeps_equals = stage == kTopK ? phase.ties != Ties::kExact : phase.ties == Ties::kKeep;
          const uint64_t last = keeps_equals ? LastOfKey(KeyOf(entry)) : entry;
          if (last > storage.outcome.rule.last) storage.outcome.rule.last = last;
          if (stage == kTopK && TopPIsOn(settings)) {
            const uint64_t mass = deciding.mass_before + ((keeps_equals ? reaching : sum + own) >> kCountBits);
            storage.target.top_p = MassOfTopP(settings, row_mass, mass);
          }
        }
      }
    }
    if (is_clear) ClearListBins(storage);
    __syncthreads();  // what one thread has found is written; else the others go on with an older rule or outcome
  }
  return true;
}

}  // namespace fire::kernels
