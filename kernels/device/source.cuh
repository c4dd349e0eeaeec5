// The tokens among which a kept set is sought: the leader's list of candidates, or the row itself, shared by the team.
// What is asked of either is the same, so one piece of code serves both.
#pragma once

#include "definition/key.h"
#include "kernels/device/descend.cuh"
#include "kernels/device/row_part.cuh"
#include "kernels/device/weights.cuh"

namespace fire::kernels {

__device__ __forceinline__ uint64_t WeightOfKey(uint32_t key, const WeightScale& scale) {
  return definition::Weight(definition::KeyToFloat(key), scale);
}

// The scale of the row's temperature, once its maximum is known.
__device__ __forceinline__ WeightScale ScaleOf(const Storage& storage) {
  const RowSetup& setup = storage.setup;
  return {storage.state.maximum, setup.slope, setup.floor, setup.weight_bits};
}

// What a token counts for: 1 or its weight where the rule keeps it, else 0.
struct Measure {
  KeptRule rule;
  bool counts;
  uint32_t only_key;  // 0: any

  __device__ __forceinline__ bool Keeps(uint32_t key, uint32_t id, uint64_t* weight) const {
    if (Entry(key, id) < rule.last) return false;
    *weight = WeightOfKey(key, ScaleOf(SharedStorage()));
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

template <typename Logit, bool kResident>
class Tokens {
 public:
  // `count` entries of storage.list, in any order, for one block alone; the row, for its team, where `is_list` is
  // false.
  __device__ __forceinline__ Tokens(bool is_list, uint32_t count, const Team& team)
      : is_list_(is_list), count_(count), team_(is_list ? Team{0, 1} : team), storage_(SharedStorage()) {}

  // visit(key, id) for every token that this block has.
  template <typename Visit>
  __device__ __forceinline__ void ForEach(const Visit& visit) const {
    if (is_list_) {
#pragma unroll 1
      for (uint32_t i = threadIdx.x; i < count_; i += blockDim.x) {
        const uint64_t entry = storage_.list[i];
        visit(KeyOf(entry), IdOf(entry));
      }
    } else {
      ForEachOf(Part().IdsOf({storage_.part.begin, storage_.part.end}), threadIdx.x, blockDim.x, visit);
    }
  }

  // Where the running measure over descending keys, from `top_key` on, exceeds the target.
  __device__ __forceinline__ Interval DescendKeys(uint32_t top_key, const Measure& measure, uint64_t target,
                                                  uint64_t enough) const {
    const uint32_t largest = top_key - (definition::kMaskedKey + 1);
    return Descend(largest, target, enough, team_, storage_, [&](const auto& visit) {
      ForEach([&](uint32_t key, uint32_t id) { visit(top_key - key, [&] { return measure(key, id); }); });
    });
  }

  // For every thread: what all tokens together measure.
  __device__ __forceinline__ uint64_t Sum(const Measure& measure) const {
    uint64_t sum = 0;
    ForEach([&](uint32_t key, uint32_t id) { sum += measure(key, id); });
    return TeamSum(sum, team_, storage_);
  }

  // The entry at which the running measure in id order exceeds the target. `is_shared`: part_mass[0] holds what each
  // part of the row measures. For every thread of the team; with `for_owner`, which saves a meeting of the blocks, for
  // those of the block that has the token, and 0 for the others.
  __device__ __forceinline__ uint64_t FindInIdOrder(const Measure& measure, uint64_t target, bool is_shared,
                                                    bool for_owner) const {
    bool is_owner = true;
    if (is_list_) {
      const Interval at = Descend(storage_.part.vocabulary - 1, target, 0, team_, storage_, [&](const auto& visit) {
        ForEach([&](uint32_t key, uint32_t id) { visit(id, [&] { return measure(key, id); }); });
      });
      ForEach([&](uint32_t key, uint32_t id) {
        if (id == at.low) storage_.found[3] = Entry(key, id);
      });
    } else {
      if (!is_shared) {
        uint64_t sum = 0;
        ForEachOf(Part().IdsOf(Part().OwnRun()), threadIdx.x % 32, 32,
                  [&](uint32_t key, uint32_t id) { sum += measure(key, id); });
        PushPartMass(WarpSum(sum), 0);
        team_.Sync();  // every part's sum is there
      }
      is_owner = FindInOwnPart(measure, target, for_owner);
    }
    if (for_owner) {
      __syncthreads();  // the entry is there for the block
    } else {
      team_.Sync();  // the entry is there for all
    }
    const uint64_t entry = for_owner && !is_owner ? 0 : storage_.found[3];
    __syncthreads();  // and may be replaced
    return entry;
  }

  // For all blocks: what this warp's part measures.
  __device__ __forceinline__ void PushPartMass(uint64_t sum, uint32_t which) const {
    const uint32_t part = team_.rank * (blockDim.x / 32) + threadIdx.x / 32;
    if (threadIdx.x % 32 < team_.blocks) ptx::Push(&storage_.part_mass[which][part], threadIdx.x % 32, sum);
  }

 private:
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }

  template <typename Visit>
  __device__ __forceinline__ void ForEachOf(Run ids, uint32_t thread, uint32_t stride, const Visit& visit) const {
    Part().template ForElements<kResident>(ids, thread, stride,
                                           [&](float x, uint32_t id) { visit(definition::Key(x), id); });
  }

  // Once part_mass[0] is there: writes the entry to found[3] of all blocks, or of the block that has it alone. True in
  // that block.
  __device__ __forceinline__ bool FindInOwnPart(const Measure& measure, uint64_t target, bool for_owner) const {
    const uint32_t warps = blockDim.x / 32;
    const uint64_t sum = threadIdx.x < warps * team_.blocks ? storage_.part_mass[0][threadIdx.x] : 0;
    const Passing owner = BlockPassing(sum, target, storage_);
    if (!owner.found || owner.index / warps != team_.rank) return false;
    // The ids of that warp, a run of them a thread of the block.
    Run ids = Part().IdsOf(Part().RunOf(owner.index % warps));
    const uint32_t length = (ids.end - ids.begin + blockDim.x - 1) / blockDim.x;
    ids.begin = min(ids.begin + threadIdx.x * length, ids.end);
    ids.end = min(ids.begin + length, ids.end);
    target -= owner.before;
    // Once for what the run measures, and in the thread that passes the target once more, for where.
    uint64_t left = ~uint64_t{0}, own = 0, entry = 0;
    for (bool locates = false;; locates = true) {
      ForEachOf(ids, 0, 1, [&](uint32_t key, uint32_t id) {
        const uint64_t part = measure(key, id);
        own += part;
        if (entry == 0 && own > left) entry = Entry(key, id);
      });
      if (locates) break;
      const Passing passing = BlockPassing(own, target, storage_);
      if (!passing.found || passing.index != threadIdx.x) return true;
      left = target - passing.before;
      own = 0;
    }
    const uint32_t first = for_owner ? team_.rank : 0, last = for_owner ? team_.rank : team_.blocks - 1;
#pragma unroll 1
    for (uint32_t block = first; block <= last; ++block) ptx::Push(&storage_.found[3], block, entry);
    return true;
  }

  bool is_list_;
  uint32_t count_;
  Team team_;
  Storage& storage_;
};

}  // namespace fire::kernels
