// One block's share of a row among whose tokens a kept set is sought: loops over it that measure, and the token in it
// at which a running measure passes a target.
//
// The fast loops hold a rule in floats (RowMeasure), and go through what lies wholly in the row; what they do not serve
// goes logit by logit.
#pragma once

#include "kernels/device/measure.cuh"
#include "kernels/device/run_search.cuh"

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

  // Finds which part of a row a target falls into, once part_mass[0] is there; each warp for itself.
  __device__ __forceinline__ Passing FindPart(uint64_t target) const {
    return WarpPassing<kMostBlocks * kMostWarps>(storage_.part_mass[0], blockDim.x / 32 * team().blocks,
                                                 [&](uint64_t) { return target; });
  }

  // Finds the entry in the run of one of this block's warps at which the running measure exceeds the target; for the
  // first warp, which alone writes and reads it. 0 where it does not, as of a shard's state of any bits.
  __device__ __forceinline__ uint64_t FindInRun(uint32_t warp, const TokenMeasure& measure, uint64_t target) const {
    NarrowRun<true>(Part().RunOf(warp), measure, target);
    __syncthreads();  // all have read what shares of the run measure; else the next run's overwrite that
    return ptx::ThreadAnew() < 32 ? storage_.found_entry : 0;
  }

 protected:
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

  // Writes the entry at which the running measure exceeds the target to found_entry of all blocks, once part_mass[0] is
  // there.
  __device__ __forceinline__ void FindInOwnPart(const TokenMeasure& measure, uint64_t target) const {
    const Passing part = FindPart(target);
    const PartOwner owner = OwnerOf(part.index);
    if (part.found && owner.block == team().rank)
      NarrowRun<false>(Part().RunOf(owner.warp), measure, target - part.before);
  }

 private:
  // What RunSearch asks of a TokenMeasure.
  struct MeasureInRun {
    const RowTokens& tokens;
    const TokenMeasure& measure;

    __device__ __forceinline__ bool IsFast() const { return !measure.Weighs() || tokens.storage_.fast_scale.is_exact; }
    __device__ __forceinline__ uint64_t SumOf(Run run) const { return tokens.SumOf(run, measure); }
    __device__ __forceinline__ uint64_t Exactly(uint32_t key, uint32_t id) const { return measure.Exactly(key, id); }
    __device__ __forceinline__ auto InFloats() const {
      const float largest = measure.only_key != 0 ? definition::KeyToFloat(measure.only_key) : INFINITY;
      return [fast = RowMeasure(measure), largest, weighs = measure.Weighs(), counts = measure.counts](float x,
                                                                                                       uint32_t id) {
        const uint64_t amount = weighs ? fast.Amount(x, counts) : 1;
        return x <= largest && fast.Keeps(x, id) ? amount : 0;
      };
    }
  };

  // Tells all blocks, or with kStays this one alone, the entry of a run of this block's at which the running measure
  // exceeds the target: found_entry, 0 where it does not, and found_rest. A barrier must follow.
  template <bool kStays>
  __device__ __forceinline__ void NarrowRun(const Run& run, const TokenMeasure& measure, uint64_t target) const {
    const MeasureInRun in_run = {*this, measure};
    const FoundInRun found = RunSearch<Logit, kResident, MeasureInRun>(in_run).Find(run, target);
    if (ptx::ThreadAnew() >= 32) return;
    const bool is_nowhere = !__any_sync(~0u, found.is_here);
    if (is_nowhere ? ptx::ThreadAnew() != 0 : !found.is_here) return;
    const uint64_t entry =
        is_nowhere ? 0 : Entry(definition::Key(Part().template LogitAt<kResident>(found.id)), found.id);
    const uint32_t first = kStays ? team().rank : 0, last = kStays ? first : team().blocks - 1;
#pragma unroll 1
    for (uint32_t block = first; block <= last; ++block) {
      ptx::Push(&storage_.found_entry, block, entry);
      ptx::Push(&storage_.found_rest, block, found.rest);
    }
  }

 protected:
  Storage& storage_;
};

}  // namespace fire::kernels
