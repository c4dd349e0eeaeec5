// One block's share of a row among whose tokens a kept set is sought: loops over it that measure, and the token in it
// at which a running measure passes a target.
//
// The fast loops hold a rule in floats (RowMeasure), and go through what lies wholly in the row; what they do not serve
// goes logit by logit.
#pragma once

#include "kernels/device/measure.cuh"

namespace fire::kernels {

// kAlone: a block has the row to itself. All that is known of a row stays in shared memory: as members it would take
// registers, and a thread has 64.
template <typename Logit, bool kResident, bool kAlone>
class RowTokens {
 public:
  __device__ __forceinline__ RowTokens() : storage_(SharedStorage()) {}

  __device__ __forceinline__ bool IsList() const { return storage_.state.is_listed != 0; }
  __device__ __forceinline__ Team team() const {
    return kAlone || IsList() ? Team{0, 1} : Team{storage_.part.rank, storage_.part.blocks};
  }

  // Tells all blocks what each part of a row measures: part_mass[0].
  __device__ __forceinline__ void ShareParts(const TokenMeasure& measure) const {
    PushPartMass(ReduceWarp(SumOf(Part().OwnRun(), measure), Add()), 0, team(), storage_);
    team().Sync();  // every part's sum is pushed; else the point falls into the wrong part
  }

  // Finds which part of a row a target falls into, once part_mass[0] is there; for all threads of a block.
  __device__ __forceinline__ Passing FindPart(uint64_t target) const {
    const uint32_t part = ptx::ThreadAnew();
    return BlockPassing(part < blockDim.x / 32 * team().blocks ? storage_.part_mass[0][part] : 0, target, storage_);
  }

  // Finds the entry in the run of one of this block's warps at which the running measure exceeds the target; for all
  // threads of the block. 0 where it does not, as of a shard's state of any bits.
  __device__ __forceinline__ uint64_t FindInRun(uint32_t warp, const TokenMeasure& measure, uint64_t target) const {
    NarrowRun(Part().RunOf(warp), measure, target, true);
    __syncthreads();  // the entry is written for the block; else its other threads read an older one
    return storage_.found_entry;
  }

 protected:
  __device__ __forceinline__ bool IsForOwner() const { return storage_.settings.draws == Draws::kForOwner; }
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }

  template <typename Visit>
  __device__ __forceinline__ void ForIds(Run ids, uint32_t thread, uint32_t stride, const Visit& visit) const {
    Part().template ForElements<kResident>(ids, thread, stride,
                                           [&](float x, uint32_t id) { visit(definition::Key(x), id); });
  }

  // What of a run the fast loops go through; the rest goes logit by logit.
  __device__ __forceinline__ Run FastPart(Run run, bool is_fast) const {
    return is_fast ? Part().FullOf(run) : Run{run.begin, run.begin};
  }
  template <typename Visit>
  __device__ __forceinline__ void ForRest(Run fast_part, Run run, const Visit& visit) const {
    Part().template ForElementsBut<kResident>(fast_part, run,
                                              [&](float x, uint32_t id) { visit(definition::Key(x), id); });
  }

  // Sums a lane's share of what a warp's run of vectors measures.
  __device__ __forceinline__ uint64_t SumOf(Run run, const TokenMeasure& measure) const {
    uint64_t sum = 0;
    // Equals measure the same: they are counted.
    const bool are_equals = measure.only_key != 0, weighs = !are_equals && measure.Weighs();
    const Run fast_part = FastPart(run, !weighs || storage_.fast_scale.is_exact);
    const RowMeasure fast(measure);
    const float largest = are_equals ? definition::KeyToFloat(measure.only_key) : INFINITY;
    Part().template ForLogits<kResident>(fast_part, [&](float x, uint32_t id) {
      const uint64_t amount = weighs ? fast.Amount(x, measure.counts) : 1;
      if (x <= largest && fast.Keeps(x, id)) sum += amount;
    });
    if (are_equals) sum *= measure.OfKey(measure.only_key);
    ForRest(fast_part, run, [&](uint32_t key, uint32_t id) { sum += measure.Exactly(key, id); });
    return sum;
  }

  // Writes the entry at which the running measure exceeds the target to found_entry of all blocks, or of the block that
  // has it alone, once part_mass[0] is there. True in that block.
  __device__ __forceinline__ bool FindInOwnPart(const TokenMeasure& measure, uint64_t target) const {
    const uint32_t warps = blockDim.x / 32;
    const Passing owner = FindPart(target);
    if (!owner.found || owner.index / warps != team().rank) return false;
    NarrowRun(Part().RunOf(owner.index % warps), measure, target - owner.before, false);
    return true;
  }

  // Does so for a run of this block in which the measure exceeds the target. `stays`: the entry is for this block
  // alone.
  __device__ __forceinline__ void NarrowRun(const Run& run, const TokenMeasure& measure, uint64_t target,
                                            bool stays) const {
    // What is left of the run lies in shared memory: the sums need the registers.
    Interval& left = storage_.in;
    if (ptx::ThreadAnew() == 0) left = {.low = run.begin, .high = run.end, .before = target, .inside = 0};
    __syncthreads();  // the run is written; else some threads sum what is left of an older one

    // A share of its vectors a warp, until their logits are one a thread.
#pragma unroll 1
    while ((left.high - left.low) * Logit::kPerVector > blockDim.x) {
      const uint64_t of_share = ReduceWarp(SumOf(ShareOf(left, ptx::ThreadAnew() / 32), measure), Add());
      const Passing at = BlockPassing(ptx::ThreadAnew() % 32 == 0 ? of_share : 0, left.before, storage_);
      if (ptx::ThreadAnew() == 0) {
        const Run share = at.found ? ShareOf(left, at.index / 32) : Run{left.low, left.low};
        left = {.low = share.begin, .high = share.end, .before = left.before - at.before, .inside = 0};
      }
      __syncthreads();  // the share is written; else some threads sum what was left before
    }
    const Run ids = Part().IdsOf({left.low, left.high});
    uint64_t own = 0, entry = 0;
    ForIds(ids, ptx::ThreadAnew(), blockDim.x, [&](uint32_t key, uint32_t id) {
      own = measure(key, id);
      entry = Entry(key, id);
    });
    const Passing at = BlockPassing(own, left.before, storage_);
    if (ptx::ThreadAnew() != (at.found ? at.index : 0)) return;
    if (!at.found) entry = 0;
    const bool for_owner = stays || IsForOwner();
    const uint32_t first = for_owner ? team().rank : 0, last = for_owner ? team().rank : team().blocks - 1;
#pragma unroll 1
    for (uint32_t block = first; block <= last; ++block) {
      ptx::Push(&storage_.found_entry, block, entry);
      ptx::Push(&storage_.found_rest, block, left.before - at.before);
    }
  }

  // The vectors of what is left of a run that a warp sums.
  static __device__ __forceinline__ Run ShareOf(const Interval& left, uint32_t warp) {
    const uint32_t warps = blockDim.x / 32, share = (left.high - left.low + warps - 1) / warps;
    const uint32_t begin = min(left.low + warp * share, left.high);
    return {begin, min(begin + share, left.high)};
  }

  Storage& storage_;
};

}  // namespace fire::kernels
