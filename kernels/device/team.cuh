// The threads that work on one row: a block, or the blocks of a cluster; and what they find together.
#pragma once

#include "kernels/device/ptx.cuh"
#include "kernels/storage.h"

namespace fire::kernels {

// The blocks that share a row. With one block a team's barrier is the block's.
struct Team {
  uint32_t rank;
  uint32_t blocks;

  __device__ __forceinline__ bool IsLeader() const { return rank == 0; }

  // Shared memory of a peer that has not started may not be touched: each block announces itself, and before its first
  // access to a peer waits for all to have done so.
  __device__ __forceinline__ void Announce() const {
    if (blocks > 1) ptx::ClusterArriveRelaxed();
  }
  __device__ __forceinline__ void AwaitPeers() const {
    if (blocks > 1) ptx::ClusterWait();
  }

  // Orders everything any thread of the team wrote to shared memory, its own or a peer's, before what follows.
  __device__ __forceinline__ void Sync() const {
    if (blocks == 1) {
      __syncthreads();
    } else {
      ptx::ClusterArrive();
      ptx::ClusterWait();
    }
  }
};

// ---- what many threads' values make together, for all of them: of a warp, a block, a team ----
// Both have 0 as the value that changes nothing.
struct Add {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const { return a + b; }
};
struct Greater {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const { return a > b ? a : b; }
};

template <typename Combine>
__device__ __forceinline__ uint64_t OfWarp(uint64_t value, const Combine& combine) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value = combine(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

// The threads must have met since the last, here and in OfTeam.
template <typename Combine>
__device__ __forceinline__ uint64_t OfBlock(uint64_t value, const Combine& combine, Storage& storage) {
  value = OfWarp(value, combine);
  if (threadIdx.x % 32 == 0) storage.warp_total[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's is there
  return OfWarp(threadIdx.x % 32 < blockDim.x / 32 ? storage.warp_total[threadIdx.x % 32] : 0, combine);
}

template <typename Combine>
__device__ __forceinline__ uint64_t OfTeam(uint64_t value, const Combine& combine, const Team& team, Storage& storage) {
  const uint64_t of_block = OfBlock(value, combine, storage);
  if (team.blocks == 1) return of_block;
  team.Sync();  // of_block may still be read by who asked before
  if (threadIdx.x < team.blocks) ptx::Push(&storage.of_block[team.rank], threadIdx.x, of_block);
  team.Sync();  // every block's is there
  return OfWarp(threadIdx.x % 32 < team.blocks ? storage.of_block[threadIdx.x % 32] : 0, combine);
}

// Where a running sum passes a target.
struct Passing {
  uint32_t index;   // the first whose running sum exceeds the target
  uint64_t before;  // the sum of those before it
  bool found;       // false where all together do not exceed the target
};

// Which thread's value makes the running sum over the block's threads exceed `target`; for all threads.
__device__ __forceinline__ Passing BlockPassing(uint64_t value, uint64_t target, Storage& storage) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint64_t running = value;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const uint64_t below = __shfl_up_sync(~0u, running, distance);
    if (lane >= distance) running += below;
  }
  __syncthreads();  // warp_total and found may still be read by who asked before
  if (lane == 31) storage.warp_total[warp] = running;
  if (threadIdx.x == 0) storage.found[0] = ~uint64_t{0};
  __syncthreads();  // every warp's total is there, and nothing is found yet
  running += OfWarp(lane < warp ? storage.warp_total[lane] : 0, Add());
  if (running > target && running - value <= target) {
    storage.found[0] = threadIdx.x;
    storage.found[1] = running - value;
  }
  __syncthreads();  // what one thread found is there for all
  return {static_cast<uint32_t>(storage.found[0]), storage.found[1], storage.found[0] != ~uint64_t{0}};
}

// ---- histograms of 64-bit sums ----
__device__ __forceinline__ void ClearBins(Storage& storage) {
#pragma unroll 1
  for (uint32_t bin = threadIdx.x; bin < kBins; bin += blockDim.x) storage.bins[bin] = 0;
}

// There is no 64-bit add in shared memory that is not a loop; two 32-bit ones with a carry between are.
__device__ __forceinline__ void AddToBin(uint32_t bin, uint64_t value, Storage& storage) {
  if (value == 0) return;
  uint32_t* words = reinterpret_cast<uint32_t*>(&storage.bins[bin]);
  const uint32_t low = static_cast<uint32_t>(value);
  const uint32_t old = atomicAdd(&words[0], low);
  const uint32_t high = static_cast<uint32_t>(value >> 32) + (old + low < old ? 1u : 0u);
  if (high != 0) atomicAdd(&words[1], high);
}

}  // namespace fire::kernels
