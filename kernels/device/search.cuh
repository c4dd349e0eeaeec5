// Finding where a running count or mass passes a target, without sorting.
//
// Among values that one warp can count at once, by bisection over keys (BisectKeys): the other warps need not wait at
// barriers, and a warp alone issues a small part of what a block would. Among tokens of a list, by a histogram of kBins
// over the range in question, which tells in which bin, and the search goes on inside it (SearchByHistogram): the k-th
// key, the end of the nucleus, the n-th of equal tokens and the token a draw falls on differ in what is an ordinal and
// what is measured. A row is first narrowed to what lists hold (row_search.cuh), or to a run (row_tokens.cuh).
#pragma once

#include "kernels/device/row_part.cuh"
#include "kernels/device/team.cuh"

namespace fire::kernels {

// A key of [least, largest] that enough values reach, and, where they differ enough, no more than `most` of them; 0
// where `least` has too few. reaching(key), the same for all lanes, is how many reach it, or 0 where that is too few.
template <typename Reaching>
__device__ __forceinline__ uint32_t BisectKeys(uint32_t least, uint32_t largest, uint32_t most,
                                               const Reaching& reaching) {
  uint32_t low = 0, high = largest + 1;  // enough reach low, once it is not 0; fewer reach high
  uint32_t middle = least;
#pragma unroll 1
  do {
    const uint32_t count = reaching(middle);
    if (count != 0) {
      low = middle;
      if (count <= most) break;
    } else {
      if (low == 0) break;
      high = middle;
    }
    middle = low + (high - low) / 2;
  } while (middle != low);
  return low;
}

// How many of the floats in `count` vectors reach a key's. By one warp.
__device__ __forceinline__ uint32_t CountReaching(const float4* vectors, uint32_t count, uint32_t key) {
  const float threshold = definition::KeyToFloat(key);
  uint32_t reaching = 0;
#pragma unroll 1
  for (uint32_t i = threadIdx.x % 32; i < count; i += 32) {
    const float4 of = vectors[i];
    reaching += (of.x >= threshold) + (of.y >= threshold) + (of.z >= threshold) + (of.w >= threshold);
  }
  return __reduce_add_sync(~0u, reaching);
}

// The sum over the lanes of a warp up to the caller's, for the first kLanes, a power of two.
template <int kLanes = 32, typename Number>
__device__ __forceinline__ Number WarpRunning(Number value) {
  const uint32_t lane = ptx::ThreadAnew() % 32;
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2) {
    const Number below = __shfl_up_sync(~0u, value, distance);
    ptx::AddWhereAtLeast(lane, distance, below, &value);
  }
  return value;
}

// The sum over the block's threads up to the caller's.
__device__ __forceinline__ uint64_t BlockRunning(uint64_t value, Storage& storage) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint64_t running = WarpRunning(value);
  __syncthreads();  // all have read what the last sum left in warp_total; else it is overwritten
  if (lane == 31) storage.warp_total[warp] = running;
  __syncthreads();  // every warp's total is written; else sums are wrong
  return running + ReduceWarp(lane < warp ? storage.warp_total[lane] : 0, Add());
}

// Where a running sum passes a target.
struct Passing {
  uint32_t index;   // the first whose running sum exceeds the target
  uint64_t before;  // the sum of those before it
  bool found;       // false where all together do not exceed the target
};

// Finds which of `count` values, a power of two up to kMost, makes their running sum exceed target_of(their sum); each
// warp for itself. The first must be there whatever the count.
template <uint32_t kMost, typename TargetOf>
__device__ __forceinline__ Passing WarpPassing(const uint64_t* values, uint32_t count, const TargetOf& target_of) {
  // A lane has consecutive ones.
  constexpr uint32_t kLanes = kMost < 32 ? kMost : 32, kOfLane = kMost / kLanes;
  const uint32_t lane = ptx::ThreadAnew() % 32, of_lane = max(count / 32, 1), first = lane * of_lane;
  uint64_t sum = 0;
  // All loads under way at once: none depends on whether there is a value.
#pragma unroll
  for (uint32_t i = 0; i < kOfLane; ++i) {
    const bool is_there = i < of_lane && first + i < count;
    const uint64_t value = values[is_there ? first + i : 0];
    sum += is_there ? value : 0;
  }
  const uint64_t running = WarpRunning<kLanes>(sum);
  const uint64_t target = target_of(__shfl_sync(~0u, running, kLanes - 1));
  // Running sums never fall, so those that do not exceed it are the first.
  const uint32_t owner = __popc(__ballot_sync(~0u, lane < kLanes && running <= target));
  Passing at = {.index = owner * of_lane, .before = __shfl_sync(~0u, running - sum, owner), .found = owner < kLanes};
  if (kOfLane == 1 || of_lane == 1 || !at.found) return at;
  // The same among the owner's.
  const uint64_t one = values[at.index + (lane < of_lane ? lane : 0)];
  const uint64_t up_to = at.before + WarpRunning<kOfLane>(lane < of_lane ? one : 0);
  const uint32_t passed = __popc(__ballot_sync(~0u, lane < of_lane && up_to <= target));
  if (passed != 0) at.before = __shfl_sync(~0u, up_to, passed - 1);
  at.index += passed;
  return at;
}

// Finds whose value makes the running sum over the block's threads exceed `target`, for all threads.
__device__ __forceinline__ Passing BlockPassing(uint64_t value, uint64_t target, Storage& storage) {
  const uint32_t thread = ptx::ThreadAnew(), lane = thread % 32, warp = thread / 32;
  uint64_t running = WarpRunning(value);
  __syncthreads();  // all have read what the last call left in warp_total and passing; else it is overwritten
  if (lane == 31) storage.warp_total[warp] = running;
  if (threadIdx.x == 0) storage.passing.index = ~uint64_t{0};
  __syncthreads();  // every warp's total is written and passing is reset; else sums are wrong, or the reset erases what
                    // was found
  running += ReduceWarp(lane < warp ? storage.warp_total[lane] : 0, Add());
  if (running > target && running - value <= target) {
    storage.passing.index = threadIdx.x;
    storage.passing.before = running - value;
  }
  __syncthreads();  // the thread that found it has written it; else the others miss it
  return {.index = static_cast<uint32_t>(storage.passing.index),
          .before = storage.passing.before,
          .found = storage.passing.index != ~uint64_t{0}};
}

// ---- histograms of 64-bit sums ----
__device__ __forceinline__ void ClearBins(Storage& storage) {
#pragma unroll 1
  for (uint32_t bin = ptx::ThreadAnew(); bin < kBins; bin += blockDim.x) storage.bins[bin] = 0;
}

// The bins of a long list, with their counts.
__device__ __forceinline__ void ClearListBins(Storage& storage) {
#pragma unroll 1
  for (uint32_t bin = threadIdx.x; bin < kBins; bin += blockDim.x) storage.counts[bin] = 0, storage.bins[bin] = 0;
}

// There is no 64-bit add in shared memory that is not a loop; two 32-bit ones with a carry between are.
__device__ __forceinline__ void AddTo(uint64_t* bin, uint64_t value) {
  if (value == 0) return;
  uint32_t* words = reinterpret_cast<uint32_t*>(bin);
  const uint32_t low = static_cast<uint32_t>(value);
  const uint32_t old = atomicAdd(&words[0], low);
  const uint32_t high = static_cast<uint32_t>(value >> 32) + (old + low < old ? 1u : 0u);
  if (high != 0) atomicAdd(&words[1], high);
}
__device__ __forceinline__ void AddToBin(uint32_t bin, uint64_t value, Storage& storage) {
  AddTo(&storage.bins[bin], value);
}

// Adds up the blocks' histograms, for all of them. After it no peer reads storage.bins.
__device__ __forceinline__ const uint64_t* TeamBins(const Team& team, Storage& storage) {
  team.Sync();  // every block's histogram is complete; else the totals miss what is added later
  if (team.blocks == 1) return storage.bins;
  ClusterStorage* cluster = &SharedClusterStorage();
  const uint32_t share = kBins / team.blocks;
  // A thread asks one block for one bin: neighbours have the same bin of all blocks, and each tells one block the sum.
#pragma unroll 1
  for (uint32_t i = ptx::ThreadAnew(); i < kBins; i += blockDim.x) {
    const uint32_t bin = team.rank * share + i / team.blocks, block = i % team.blocks;
    uint64_t sum = ptx::Pull(&storage.bins[bin], block);
#pragma unroll 1
    for (uint32_t distance = 1; distance < team.blocks; distance *= 2) sum += __shfl_xor_sync(~0u, sum, distance);
    ptx::Push(&cluster->total[bin], block, sum);
  }
  team.Sync();  // every block has the totals, none reads a peer's bins; else some are cleared too soon
  return cluster->total;
}

// The bin of a histogram in which the running measure exceeds the target; for all threads of a block.
struct PassingBin {
  uint32_t bin;
  uint64_t before, inside;  // measured in smaller bins; in this one, 0 where all together do not exceed the target
};

__device__ __forceinline__ PassingBin FindPassingBin(const uint64_t* bins, uint64_t target, Storage& storage) {
  // Each thread has a run of bins: which run first, then which bin.
  const uint32_t run = storage.settings.bins_of_thread;
  uint64_t sum = 0;
#pragma unroll 1
  for (uint32_t i = 0; i < run; ++i) sum += bins[ptx::ThreadAnew() * run + i];
  const Passing passing = BlockPassing(sum, target, storage);
  if (!passing.found) return {.bin = 0, .before = 0, .inside = 0};
  uint32_t bin = passing.index * run;
  uint64_t before = passing.before;
#pragma unroll 1
  while (before + bins[bin] <= target) before += bins[bin++];
  return {.bin = bin, .before = before, .inside = bins[bin]};
}

// Empties the histogram, by all threads of a block, which have met since any of them read the last one.
__device__ __forceinline__ void RestartBins(Storage& storage) {
  ClearBins(storage);
  __syncthreads();  // the bins are empty; else a late clear erases what was added
}

// Starts a search, for all threads of a block.
__device__ __forceinline__ void SearchIn(const Interval& in, Storage& storage) {
  __syncthreads();  // all have read where the last search came to; else they read this one's start
  if (ptx::ThreadAnew() == 0) storage.in = in;
  __syncthreads();  // the interval is written; else some threads search an older one
}

// Narrows storage.in, in which the measure passes the target, to one ordinal; nothing is inside where the measure does
// not pass it. for_each(visit) must call visit(ordinal, measure) for every element this block has, the same ones each
// time; measure() is asked only of ordinals that matter.
template <typename ForEach>
__device__ __forceinline__ void SearchByHistogram(uint64_t target, const Team& team, Storage& storage,
                                                  const ForEach& for_each) {
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
    if (ptx::ThreadAnew() == 0) {
      const uint32_t low = in.low + (at.bin << shift);
      in = {.low = low,
            .high = min(in.high, low + ((1u << shift) - 1)),
            .before = in.before + at.before,
            .inside = at.inside};
    }
    __syncthreads();  // the narrower interval is written; else the next round spreads over the old one
  } while (shift != 0 && in.inside != 0);
}

}  // namespace fire::kernels
