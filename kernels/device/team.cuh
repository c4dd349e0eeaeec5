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

  // Orders everything any thread of the team wrote to shared memory before it arrived, its own or a peer's, before what
  // follows the wait. What lies between needs nothing of the others, and writes nothing that they read.
  __device__ __forceinline__ void Arrive() const {
    if (blocks > 1) ptx::ClusterArrive();
  }
  __device__ __forceinline__ void Wait() const {
    if (blocks == 1) {
      __syncthreads();
    } else {
      ptx::ClusterWait();
    }
  }
  __device__ __forceinline__ void Sync() const {
    Arrive();
    Wait();
  }
};

// ---- what many threads' values make together, for all of them: of a warp, a block, a team ----
// 0 is neutral for both: idle lanes contribute it.
struct Add {};
struct Greater {};

// Of a warp by instructions that combine 32 bits of all lanes: a sum in three parts of 22 bits, whose 32 lanes fit into
// 32, a maximum by its upper half and among those that have it by its lower.
__device__ __forceinline__ uint64_t ReduceWarp(uint64_t value, const Add&) {
  constexpr uint64_t kPart = (1u << 22) - 1;
  const uint64_t low = __reduce_add_sync(~0u, static_cast<uint32_t>(value & kPart));
  const uint64_t middle = __reduce_add_sync(~0u, static_cast<uint32_t>(value >> 22 & kPart));
  const uint64_t high = __reduce_add_sync(~0u, static_cast<uint32_t>(value >> 44));
  return low + (middle << 22) + (high << 44);
}
__device__ __forceinline__ uint64_t ReduceWarp(uint64_t value, const Greater&) {
  const uint32_t own = static_cast<uint32_t>(value >> 32);
  const uint32_t high = __reduce_max_sync(~0u, own);
  const uint32_t low = __reduce_max_sync(~0u, own == high ? static_cast<uint32_t>(value) : 0u);
  return uint64_t{high} << 32 | low;
}

// Combines the values of a block, for all its threads. A barrier must lie between two calls with one `warp_total`, the
// storage's in ReduceTeam too.
template <typename Combine>
__device__ __forceinline__ uint64_t ReduceBlock(uint64_t value, const Combine& combine, uint64_t* warp_total) {
  value = ReduceWarp(value, combine);
  const uint32_t lane = ptx::ThreadAnew() % 32;
  if (lane == 0) warp_total[threadIdx.x / 32] = value;
  __syncthreads();  // every warp's total is written; else an older one is combined
  return ReduceWarp(lane < blockDim.x / 32 ? warp_total[lane] : 0, combine);
}
template <typename Combine>
__device__ __forceinline__ uint64_t ReduceBlock(uint64_t value, const Combine& combine, Storage& storage) {
  return ReduceBlock(value, combine, storage.warp_total);
}

template <typename Combine>
__device__ __forceinline__ uint64_t ReduceTeam(uint64_t value, const Combine& combine, const Team& team,
                                               Storage& storage) {
  const uint64_t of_block = ReduceBlock(value, combine, storage);
  if (team.blocks == 1) return of_block;
  team.Sync();  // all have read what the last call left; else a fast block overwrites it
  if (threadIdx.x < team.blocks) ptx::Push(&storage.of_block[team.rank], threadIdx.x, of_block);
  team.Sync();  // every block's value is pushed; else an older one is combined
  return ReduceWarp(threadIdx.x % 32 < team.blocks ? storage.of_block[threadIdx.x % 32] : 0, combine);
}

}  // namespace fire::kernels
