// The token in a warp's run at which a running measure passes a target, by all warps of the block that has the run:
// they share it out until few logits are left, which one of them looks at.
#pragma once

#include "kernels/device/row_part.cuh"
#include "kernels/device/search.cuh"

namespace fire::kernels {

// Where a lane has found what is sought.
struct FoundInRun {
  bool is_here;
  uint32_t id;
  uint64_t rest;  // what of the target lies beyond the measure of those before it
};

// Of a measure it needs, once the row's maximum is there: SumOf(run), a lane's share of what a warp's run measures;
// where IsFast(), InFloats()(x, id), what a logit measures, 0 of −inf and any id; Exactly(key, id), the same always.
template <typename Logit, bool kResident, typename Measure>
class RunSearch {
 public:
  __device__ __forceinline__ explicit RunSearch(const Measure& measure)
      : measure_(measure), storage_(SharedStorage()) {}

  // For the lanes of the first warp; one of them finds it, if the run's measure exceeds the target. All have met since
  // the last search's sums were read.
  __device__ __forceinline__ FoundInRun Find(const Run& run, uint64_t target) const {
    // What is left of the run lies in shared memory: the sums need the registers. Each warp has its own, which takes no
    // barrier.
    NarrowedRun& left = storage_.narrowed_run[ptx::ThreadAnew() / 32];
    if (ptx::ThreadAnew() % 32 == 0) left = {.begin = run.begin, .end = run.end, .rest = target, .is_odd = 0};
    __syncwarp();  // the run is written; else some lanes sum what is left of an older one

    // A share of its vectors a warp, until half of one a lane is left.
#pragma unroll 1
    while (left.end - left.begin > 16) {
      const uint64_t own = ReduceWarp(measure_.SumOf(ShareOf(left, ptx::ThreadAnew() / 32)), Add());
      uint64_t* of_share = storage_.of_share[left.is_odd];
      if (ptx::ThreadAnew() % 32 == 0) of_share[ptx::ThreadAnew() / 32] = own;
      __syncthreads();  // every warp's sum is written, and what was read of the sums before last is; else shares differ
      const uint64_t rest = left.rest;
      const Passing at = WarpPassing<kMostWarps>(of_share, blockDim.x / 32, [&](uint64_t) { return rest; });
      const Run share = at.found ? ShareOf(left, at.index) : Run{left.begin, left.begin};
      const uint32_t is_odd = left.is_odd ^ 1;
      __syncwarp();  // all lanes have read what was left; else they share out what is left of that
      if (ptx::ThreadAnew() % 32 == 0)
        left = {.begin = share.begin, .end = share.end, .rest = rest - at.before, .is_odd = is_odd};
      __syncwarp();  // the share is written; else some lanes sum what was left before
    }
    if (ptx::ThreadAnew() >= 32 || left.begin == left.end) return {.is_here = false, .id = 0, .rest = 0};
    const Run few = {left.begin, left.end};
    return measure_.IsFast() ? FindInHalf(few, left.rest) : FindOneByOne(Part().IdsOf(few), left.rest);
  }

 private:
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }

  // The vectors of what is left that a warp sums.
  static __device__ __forceinline__ Run ShareOf(const NarrowedRun& left, uint32_t warp) {
    const uint32_t share = ShiftRoundingUp(left.end - left.begin, Log2(blockDim.x / 32));
    const uint32_t begin = min(left.begin + warp * share, left.end);
    return {begin, min(begin + share, left.end)};
  }

  // By half a vector a lane, whose logits do not wait for each other.
  __device__ __forceinline__ FoundInRun FindInHalf(const Run& run, uint64_t target) const {
    constexpr uint32_t kEach = Logit::kPerVector / 2;
    const Run ids = Part().IdsOf(run);
    const uint32_t first = Part().IdOfFirst(run.begin) + ptx::ThreadAnew() % 32 * kEach;  // huge before the row
    const auto in_floats = measure_.InFloats();
    uint64_t amount[kEach], own = 0;
#pragma unroll
    for (uint32_t i = 0; i < kEach; ++i) {
      const bool is_there = first + i - ids.begin < ids.end - ids.begin;
      const float x = Part().template LogitAt<kResident>(is_there ? first + i : ids.begin);
      amount[i] = in_floats(is_there ? x : -INFINITY, first + i);
      own += amount[i];
    }
    const uint64_t before = WarpRunning(own) - own;
    FoundInRun found = {.is_here = before <= target && before + own > target, .id = first, .rest = target - before};
#pragma unroll
    for (uint32_t i = 0; i < kEach - 1; ++i)
      if (found.id == first + i && found.rest >= amount[i]) found.rest -= amount[i], ++found.id;
    return found;
  }

  // By a logit a lane, as the definition weighs it.
  __device__ __forceinline__ FoundInRun FindOneByOne(Run ids, uint64_t target) const {
    FoundInRun found = {.is_here = false, .id = ids.begin + ptx::ThreadAnew() % 32, .rest = target};
#pragma unroll 1
    for (; ids.begin < ids.end; ids.begin += 32, found.id += 32) {
      const bool is_there = found.id < ids.end;
      const uint64_t own =
          is_there ? measure_.Exactly(definition::Key(Part().template LogitAt<kResident>(found.id)), found.id) : 0;
      const uint64_t running = WarpRunning(own);
      found.is_here = running > found.rest && running - own <= found.rest;
      if (found.is_here) found.rest -= running - own;
      if (__any_sync(~0u, found.is_here)) break;
      found.rest -= __shfl_sync(~0u, running, 31);
    }
    return found;
  }

  const Measure& measure_;
  Storage& storage_;
};

}  // namespace fire::kernels
