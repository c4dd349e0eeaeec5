// Finding where a running measure (tokens, or their mass) over ascending ordinals passes a target, without sorting: a
// histogram of kBins over the range in question tells in which bin, and the search goes on inside it.
//
// One routine finds everything that must be found so: the k-th key, the end of the nucleus, the n-th of equal tokens
// and the token a draw falls on differ in what is an ordinal and what is measured.
#pragma once

#include "kernels/device/row_part.cuh"
#include "kernels/device/team.cuh"

namespace fire::kernels {

// Adds up the blocks' histograms, for all of them. After it no peer reads storage.bins.
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

// The bin of a histogram in which the running measure exceeds the target; for all threads of a block.
struct PassingBin {
  uint32_t bin;
  uint64_t before, inside;  // measured in smaller bins; in this one, 0 where all together do not exceed the target
};

__device__ __forceinline__ PassingBin FindPassingBin(const uint64_t* bins, uint64_t target, Storage& storage) {
  // Each thread has a run of bins: which run first, then which bin.
  const uint32_t run = (kBins + blockDim.x - 1) / blockDim.x;
  uint64_t sum = 0;
#pragma unroll 1
  for (uint32_t i = 0; i < run; ++i) sum += bins[threadIdx.x * run + i];
  const Passing passing = BlockPassing(sum, target, storage);
  if (!passing.found) return {0, 0, 0};
  uint32_t bin = passing.index * run;
  uint64_t before = passing.before;
#pragma unroll 1
  while (before + bins[bin] <= target) before += bins[bin++];
  return {bin, before, bins[bin]};
}

// For a new histogram, for all threads of a block, which have met since any of them read the last one.
__device__ __forceinline__ void RestartBins(Storage& storage) {
  ClearBins(storage);
  __syncthreads();  // the bins are empty
}

// Starts a search, for all threads of a block.
__device__ __forceinline__ void SearchIn(const Interval& in, Storage& storage) {
  __syncthreads();  // where the last search has come to has been read
  if (threadIdx.x == 0) storage.in = in;
  __syncthreads();  // the interval is there
}

// Narrows storage.in, in which the measure passes the target, to one ordinal; nothing is inside where the measure does
// not pass it. for_each(visit) must call visit(ordinal, measure) for every element this block has, the same ones each
// time; measure() is asked only of ordinals that matter.
template <typename ForEach>
__device__ __forceinline__ void Descend(uint64_t target, const Team& team, Storage& storage, const ForEach& for_each) {
  Interval& in = storage.in;
  uint32_t shift;
  do {
    const uint32_t width = 32 - __clz(in.high - in.low);
    const uint32_t bin_bits = 31 - __clz(kBins);
    shift = width > bin_bits ? width - bin_bits : 0;
    RestartBins(storage);
    for_each([&](uint32_t ordinal, const auto& measure) {
      const uint32_t low = in.low;
      if (ordinal - low <= in.high - low) AddToBin((ordinal - low) >> shift, measure(), storage);
    });
    const PassingBin at = FindPassingBin(TeamBins(team, storage), target - in.before, storage);
    // All have read the interval: they have met since.
    if (threadIdx.x == 0) {
      const uint32_t low = in.low + (at.bin << shift);
      in = {low, min(in.high, low + ((1u << shift) - 1)), in.before + at.before, at.inside};
    }
    __syncthreads();  // and it is narrower
  } while (shift != 0 && in.inside != 0);
}

}  // namespace fire::kernels
