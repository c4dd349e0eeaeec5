// The team of ShardRowSolver on a device: the lanes of a warp, which must arrive together.
#pragma once

#include "kernels/device/candidates.cuh"

namespace fire::kernels {

struct OneWarp {
  template <typename At>
  __device__ __forceinline__ uint64_t Sum(uint32_t count, const At& at) const {
    uint64_t sum = 0;
#pragma unroll 1
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32) sum += at(i);
    return ReduceWarp(sum, Add());
  }

  template <typename At>
  __device__ __forceinline__ uint32_t FirstReaching(uint32_t count, uint64_t target, const At& at,
                                                    uint64_t* before) const {
    *before = 0;
#pragma unroll 1
    for (uint32_t first = 0; first < count; first += 32) {
      const uint32_t i = first + threadIdx.x % 32;
      const uint64_t value = i < count ? at(i) : 0;
      const uint64_t running = *before + WarpRunning(value);
      const uint32_t reaching = __ballot_sync(~0u, i < count && running >= target);
      if (reaching != 0) {
        const int lane = __ffs(static_cast<int>(reaching)) - 1;
        *before = __shfl_sync(~0u, running - value, lane);
        return first + static_cast<uint32_t>(lane);
      }
      *before = __shfl_sync(~0u, running, 31);
    }
    return count;
  }

  template <typename Visit>
  __device__ __forceinline__ void ForEach(uint32_t count, const Visit& visit) const {
#pragma unroll 1
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32) visit(i);
    __syncwarp();  // what was written is there for all lanes
  }
};

}  // namespace fire::kernels
