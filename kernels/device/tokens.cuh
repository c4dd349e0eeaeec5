// The tokens among which a kept set is sought: the leader's list of candidates, or the row itself, shared by the team.
// What is asked of either is the same, so one piece of code serves both.
#pragma once

#include "definition/filter.h"
#include "kernels/device/row_part.cuh"
#include "kernels/device/search.cuh"
#include "kernels/device/weights.cuh"

namespace fire::kernels {

__device__ __forceinline__ uint64_t WeightOfKey(uint32_t key, const WeightScale& scale) {
  return definition::Weight(definition::KeyToFloat(key), scale);
}

// The scale of the row's temperature, once its maximum is known.
__device__ __forceinline__ WeightScale ScaleOf(const Storage& storage) {
  const RowSettings& settings = storage.settings;
  return {
      .maximum = storage.state.maximum, .slope = settings.slope, .floor = settings.floor, .bits = settings.weight_bits};
}

// The same as WeightOfKey, as fast as the row allows, once storage.fast_scale is there.
__device__ __forceinline__ uint64_t WeightInRow(uint32_t key, const Storage& storage) {
  if (storage.fast_scale.is_exact) return FastWeight(definition::KeyToFloat(key), storage.fast_scale);
  return WeightOfKey(key, ScaleOf(storage));
}

// What a token counts for: 1 or its weight where the rule keeps it, else 0.
struct TokenMeasure {
  const KeptRule& rule;  // kept in shared memory: as members its words would take registers, and a thread has 64
  bool counts;
  uint32_t only_key;  // 0: any

  __device__ __forceinline__ bool Keeps(uint32_t key, uint32_t id, uint64_t* weight) const {
    if (Entry(key, id) < rule.last) return false;
    *weight = WeightInRow(key, SharedStorage());
    return *weight >= rule.min_weight;
  }
  __device__ __forceinline__ uint64_t operator()(uint32_t key, uint32_t id) const {
    if (only_key != 0 && key != only_key) return 0;
    if (counts && rule.min_weight == 0) return Entry(key, id) >= rule.last;
    uint64_t weight;
    if (!Keeps(key, id, &weight)) return 0;
    return counts ? 1 : weight;
  }
};

// Tells all blocks of `team` what this warp's part of the row weighs: part_mass[which].
__device__ __forceinline__ void PushPartMass(uint64_t sum, uint32_t which, const Team& team, Storage& storage) {
  const uint32_t part = team.rank * (blockDim.x / 32) + threadIdx.x / 32;
  if (threadIdx.x % 32 < team.blocks) ptx::Push(&storage.part_mass[which][part], threadIdx.x % 32, sum);
}

// Sums the mass of the whole row, at its temperature (0) or the reference's (1), where it has been found; for all lanes
// of a warp.
__device__ __forceinline__ uint64_t RowMass(uint32_t which, const Storage& storage) {
  uint64_t sum = 0;
#pragma unroll 1
  for (uint32_t i = threadIdx.x % 32; i < storage.part.blocks * (blockDim.x / 32); i += 32)
    sum += storage.part_mass[which][i];
  return ReduceWarp(sum, Add());
}

// A row's tokens by their distance from its maximum, in kBins bins of equal width: where logits vary as a model's do,
// few share one. The last bin has all that are further away.
__device__ __forceinline__ float BinsAUnit(const RowSettings& settings) {
  // As far as anything weighs, but no further than a model's logits go.
  return definition::Divide(static_cast<float>(kBins), fminf(-settings.floor, 32.0f));
}
// Larger keys have no larger bins: subtracting and multiplying round monotonically.
__device__ __forceinline__ uint32_t DistanceBin(uint32_t key, const Storage& storage) {
  const float distance = storage.state.maximum - definition::KeyToFloat(key);
  return min(__float2uint_rz(distance * storage.bins_a_unit), kBins - 1);
}
// Bounds of a bin's keys: a hundredth of its width is far more than rounding takes.
__device__ __forceinline__ uint32_t LargestKeyOfBin(uint32_t bin, const Storage& storage) {
  const float distance = definition::Divide(static_cast<float>(bin) - 0.01f, storage.bins_a_unit);
  return definition::Key(__fsub_ru(storage.state.maximum, distance));
}
__device__ __forceinline__ uint32_t LeastKeyOfBin(uint32_t bin, const Storage& storage) {
  if (bin == kBins - 1) return definition::kMaskedKey + 1;
  const float distance = definition::Divide(static_cast<float>(bin) + 1.01f, storage.bins_a_unit);
  return max(definition::Key(__fsub_rd(storage.state.maximum, distance)), definition::kMaskedKey + 1);
}

// The tokens in question: the leader's list where storage.state says that it has them, else the row, shared by the
// team. kAlone: a block has the row to itself. All that is known of them stays in shared memory: as members it would
// take registers, and a thread has 64.
template <typename Logit, bool kResident, bool kAlone>
class Tokens {
 public:
  __device__ __forceinline__ Tokens() : storage_(SharedStorage()) {}

  __device__ __forceinline__ bool IsList() const { return storage_.state.is_listed != 0; }
  __device__ __forceinline__ Team team() const {
    return kAlone || IsList() ? Team{0, 1} : Team{storage_.part.rank, storage_.part.blocks};
  }

  // visit(key, id) for every token that this block has.
  template <typename Visit>
  __device__ __forceinline__ void ForEach(const Visit& visit) const {
    if (IsList()) {
      ForList(storage_.state.count, visit);
    } else {
      ForIds(Part().IdsOf({storage_.part.begin, storage_.part.end}), threadIdx.x, blockDim.x, visit);
    }
  }

  // Finds where the running measure over descending keys, from `top_key` on, exceeds the target: storage.in, ordinals
  // are distances from `top_key`.
  __device__ __forceinline__ void DescendKeys(uint32_t top_key, const TokenMeasure& measure, uint64_t target) const {
    if (IsList()) {
      SearchIn({.low = 0, .high = top_key - (definition::kMaskedKey + 1), .before = 0, .inside = 0}, storage_);
    } else {
      NarrowToBin(top_key, measure, target);
      if (storage_.in.inside == 0) return;
    }
    SearchByHistogram(target, team(), storage_, [&](const auto& visit) {
      const auto visit_token = [&](uint32_t key, uint32_t id) {
        visit(top_key - key, [&] { return measure(key, id); });
      };
      if (IsList() || storage_.entry_count <= kListCapacity) {
        ForList(IsList() ? storage_.state.count : storage_.entry_count, visit_token);
      } else {
        ForBin(visit_token);
      }
    });
  }

  // Sums what all tokens measure, for every thread.
  __device__ __forceinline__ uint64_t Sum(const TokenMeasure& measure) const {
    uint64_t sum = 0;
    ForEach([&](uint32_t key, uint32_t id) { sum += measure(key, id); });
    return ReduceTeam(sum, Add(), team(), storage_);
  }

  // Finds the entry at which the running measure in id order exceeds the target. `is_unfiltered`: every token counts
  // with its weight, and part_mass[0] holds what each part of the row weighs. For every thread of the team; with
  // `for_owner`, which saves a meeting of the blocks, for those of the block that has the token, and 0 for the others.
  // The team must have met before the next.
  __device__ __forceinline__ uint64_t FindInIdOrder(const TokenMeasure& measure, uint64_t target, bool is_unfiltered,
                                                    bool for_owner) const {
    bool is_owner = true;
    if (IsList()) {
      SearchIn({.low = 0, .high = storage_.part.vocabulary - 1, .before = 0, .inside = 0}, storage_);
      SearchByHistogram(target, team(), storage_, [&](const auto& visit) {
        ForEach([&](uint32_t key, uint32_t id) { visit(id, [&] { return measure(key, id); }); });
      });
      ForEach([&](uint32_t key, uint32_t id) {
        if (id == storage_.in.low)
          storage_.found_entry = Entry(key, id), storage_.found_rest = target - storage_.in.before;
      });
    } else {
      if (!is_unfiltered) ShareParts(measure);
      is_owner = FindInOwnPart(measure, target, is_unfiltered, for_owner);
    }
    if (for_owner) {
      __syncthreads();  // the entry is written for the block; else its other threads read an older one
    } else {
      team().Sync();  // the entry is pushed to all blocks; else they read an older one
    }
    return for_owner && !is_owner ? 0 : storage_.found_entry;
  }

  // Tells all blocks what each part of a row measures: part_mass[0].
  __device__ __forceinline__ void ShareParts(const TokenMeasure& measure) const {
    PushPartMass(ReduceWarp(SumOf(Part().IdsOf(Part().OwnRun()), measure, false), Add()), 0, team(), storage_);
    team().Sync();  // every part's sum is pushed; else the point falls into the wrong part
  }

  // Finds which part of a row a target falls into, once part_mass[0] is there; for all threads of a block.
  __device__ __forceinline__ Passing FindPart(uint64_t target) const {
    return BlockPassing(threadIdx.x < blockDim.x / 32 * team().blocks ? storage_.part_mass[0][threadIdx.x] : 0, target,
                        storage_);
  }

  // Finds the entry in the run of one of this block's warps at which the running measure exceeds the target; for all
  // threads of the block.
  __device__ __forceinline__ uint64_t FindInRun(uint32_t warp, const TokenMeasure& measure, uint64_t target,
                                                bool is_unfiltered) const {
    NarrowRun(Part().RunOf(warp), measure, target, is_unfiltered, true);
    __syncthreads();  // the entry is written for the block; else its other threads read an older one
    return storage_.found_entry;
  }

 private:
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }

  template <typename Visit>
  __device__ __forceinline__ void ForList(uint32_t count, const Visit& visit) const {
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
      const uint64_t entry = storage_.list[i];
      visit(KeyOf(entry), IdOf(entry));
    }
  }

  template <typename Visit>
  __device__ __forceinline__ void ForIds(Run ids, uint32_t thread, uint32_t stride, const Visit& visit) const {
    Part().template ForElements<kResident>(ids, thread, stride,
                                           [&](float x, uint32_t id) { visit(definition::Key(x), id); });
  }

  // Sums a lane's share of what a warp's ids measure.
  __device__ __forceinline__ uint64_t SumOf(Run ids, const TokenMeasure& measure, bool is_unfiltered) const {
    uint64_t sum = 0;
    if (is_unfiltered && storage_.fast_scale.is_exact) {
      const FastScale scale = storage_.fast_scale;
      Part().template ForElements<kResident>(ids, threadIdx.x % 32, 32, [&](float x, uint32_t) {
        if (!definition::IsNanBits(__float_as_uint(x))) sum += FastWeight(x, scale);
      });
    } else {
      ForIds(ids, threadIdx.x % 32, 32, [&](uint32_t key, uint32_t id) { sum += measure(key, id); });
    }
    return sum;
  }

  // Calls visit(key, id) for the row's tokens in bin storage.bin.
  template <typename Visit>
  __device__ __forceinline__ void ForBin(const Visit& visit) const {
    ForEach([&](uint32_t key, uint32_t id) {
      if (key > definition::kMaskedKey && DistanceBin(key, storage_) == storage_.bin) visit(key, id);
    });
  }

  // Narrows storage.in of a row to the bin of distances in which the measure exceeds the target. What this block has
  // of that bin is in its list once the threads have met, entry_count of them; more than kListCapacity where it has no
  // room.
  __device__ __forceinline__ void NarrowToBin(uint32_t top_key, const TokenMeasure& measure, uint64_t target) const {
    RestartBins(storage_);
    ForEach([&](uint32_t key, uint32_t id) {
      if (key > definition::kMaskedKey) AddToBin(DistanceBin(key, storage_), measure(key, id), storage_);
    });
    const PassingBin at = FindPassingBin(TeamBins(team(), storage_), target, storage_);
    if (threadIdx.x == 0) {
      storage_.in = {.low = top_key - min(LargestKeyOfBin(at.bin, storage_), top_key),
                     .high = top_key - LeastKeyOfBin(at.bin, storage_),
                     .before = at.before,
                     .inside = at.inside};
      storage_.bin = at.bin;
      storage_.entry_count = 0;
    }
    __syncthreads();  // the bin is written and the list empty; else entries of an older bin are kept, or lost
    if (at.inside == 0) return;
    ForBin([&](uint32_t key, uint32_t id) {
      const uint32_t to = atomicAdd(&storage_.entry_count, 1u);
      if (to < kListCapacity) storage_.list[to] = Entry(key, id);
    });
  }

  // Writes the entry to found_entry of all blocks, or of the block that has it alone, once part_mass[0] is there. True
  // in that block.
  __device__ __forceinline__ bool FindInOwnPart(const TokenMeasure& measure, uint64_t target, bool is_unfiltered,
                                                bool for_owner) const {
    const uint32_t warps = blockDim.x / 32;
    const Passing owner = FindPart(target);
    if (!owner.found || owner.index / warps != team().rank) return false;
    NarrowRun(Part().RunOf(owner.index % warps), measure, target - owner.before, is_unfiltered, for_owner);
    return true;
  }

  // Does so for a run of this block in which the measure exceeds the target.
  __device__ __forceinline__ void NarrowRun(const Run& run, const TokenMeasure& measure, uint64_t target,
                                            bool is_unfiltered, bool for_owner) const {
    const uint32_t warps = blockDim.x / 32;
    Run ids = Part().IdsOf(run);
    // A share of them a warp, until they are one a thread.
#pragma unroll 1
    while (ids.end - ids.begin > blockDim.x) {
      const uint32_t share = (ids.end - ids.begin + warps - 1) / warps;
      const uint32_t begin = min(ids.begin + threadIdx.x / 32 * share, ids.end);
      const uint64_t of_share = ReduceWarp(SumOf({begin, min(begin + share, ids.end)}, measure, is_unfiltered), Add());
      const Passing at = BlockPassing(threadIdx.x % 32 == 0 ? of_share : 0, target, storage_);
      if (!at.found) return;
      ids.begin = min(ids.begin + at.index / 32 * share, ids.end);
      ids.end = min(ids.begin + share, ids.end);
      target -= at.before;
    }
    uint64_t own = 0, entry = 0;
    ForIds(ids, threadIdx.x, blockDim.x, [&](uint32_t key, uint32_t id) {
      own = measure(key, id);
      entry = Entry(key, id);
    });
    const Passing at = BlockPassing(own, target, storage_);
    if (!at.found || at.index != threadIdx.x) return;
    ptx::Push(&storage_.found_rest, for_owner ? team().rank : 0, target - at.before);
    const uint32_t first = for_owner ? team().rank : 0, last = for_owner ? team().rank : team().blocks - 1;
#pragma unroll 1
    for (uint32_t block = first; block <= last; ++block) ptx::Push(&storage_.found_entry, block, entry);
  }

  Storage& storage_;
};

}  // namespace fire::kernels
