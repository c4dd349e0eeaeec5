// Finding where a running measure (tokens, or their mass) over ascending ordinals passes a target, without sorting: a
// histogram of kBins over the range in question tells in which bin, and the search goes on inside it.
//
// One routine finds everything that must be found so: the k-th key, the end of the nucleus, the n-th of equal tokens
// and the token a draw falls on differ in what is an ordinal and what is measured.
#pragma once

#include "kernels/device/row_part.cuh"
#include "kernels/device/team.cuh"

namespace fire::kernels {

struct Interval {
  uint32_t low, high;  // ordinals; the measure passes the target within
  uint64_t before;     // measured at smaller ordinals
  uint64_t inside;     // measured at low … high
  bool found;          // false where everything together does not exceed the target
};

// Adds up the blocks' histograms, for all of them. After it storage.bins may be cleared.
__device__ __forceinline__ const uint64_t* TeamBins(const Team& team, Storage& storage) {
  team.Sync();  // every block's histogram is complete
  if (team.blocks == 1) return storage.bins;
  ClusterStorage* cluster = &SharedClusterStorage();
  const uint32_t share = kBins / team.blocks;
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < share; i += blockDim.x) {
    const uint32_t bin = team.rank * share + i;
    uint64_t sum = 0;
#pragma unroll 1
    for (uint32_t block = 0; block < team.blocks; ++block) sum += ptx::Pull(&storage.bins[bin], block);
#pragma unroll 1
    for (uint32_t block = 0; block < team.blocks; ++block) ptx::Push(&cluster->total[bin], block, sum);
  }
  team.Sync();  // every block has the totals, and none reads a peer's histogram any more
  return cluster->total;
}

// for_each(visit) must call visit(ordinal, measure) for every element this block has, the same ones each time;
// measure() is asked only of ordinals that matter, of which none is above `largest`. The search ends at one ordinal, or
// as soon as no more than `enough` is measured up to the interval's end.
template <typename ForEach>
__device__ __forceinline__ Interval Descend(uint32_t largest, uint64_t target, uint64_t enough, const Team& team,
                                            Storage& storage, const ForEach& for_each) {
  Interval in = {0, largest, 0, 0, true};
  do {
    const uint32_t width = 32 - __clz(in.high - in.low);
    const uint32_t bin_bits = 31 - __clz(kBins);
    const uint32_t shift = width > bin_bits ? width - bin_bits : 0;
    __syncthreads();  // the last round's bins have been read
    ClearBins(storage);
    __syncthreads();  // the bins are empty
    for_each([&](uint32_t ordinal, const auto& measure) {
      if (ordinal - in.low <= in.high - in.low) AddToBin((ordinal - in.low) >> shift, measure(), storage);
    });
    const uint64_t* bins = TeamBins(team, storage);
    // Each thread has a run of bins: which run first, then which bin.
    const uint32_t run = (kBins + blockDim.x - 1) / blockDim.x;
    uint64_t sum = 0;
#pragma unroll 1
    for (uint32_t i = 0; i < run; ++i) sum += bins[threadIdx.x * run + i];
    const Passing passing = BlockPassing(sum, target - in.before, storage);
    if (!passing.found) {
      in.found = false;
      return in;
    }
    uint32_t bin = passing.index * run;
    uint64_t before = in.before + passing.before;
#pragma unroll 1
    while (before + bins[bin] <= target) before += bins[bin++];
    in.before = before;
    in.inside = bins[bin];
    in.low += bin << shift;
    in.high = min(in.high, in.low + ((1u << shift) - 1));
  } while (in.low != in.high && in.before + in.inside > enough);
  return in;
}

}  // namespace fire::kernels
