// Sorting in shared memory, where many searches follow: a bitonic network, which needs no room of its own.
#pragma once

#include "kernels/device/search.cuh"

namespace fire::kernels {

// The least power of two that is not below `count`.
__device__ __forceinline__ uint32_t PlacesFor(uint32_t count) { return count > 1 ? 1u << (32 - __clz(count - 1)) : 1; }

// Sorts `count` values, a power of two, by what `mask` leaves of them, the largest first. By all threads of a block.
__device__ __forceinline__ void SortDescending(uint64_t* values, uint32_t count, uint64_t mask) {
#pragma unroll 1
  for (uint32_t run = 2; run <= count; run *= 2) {
#pragma unroll 1
    for (uint32_t apart = run / 2; apart > 0; apart /= 2) {
      __syncthreads();  // the last round's exchanges are done; else a value is lost
#pragma unroll 1
      for (uint32_t i = threadIdx.x; i < count / 2; i += blockDim.x) {
        const uint32_t first = 2 * i - (i & (apart - 1)), second = first + apart;
        const uint64_t a = values[first], b = values[second];
        // Runs are sorted in turn downwards and upwards, so that two of them merge.
        if (((a & mask) < (b & mask)) == ((first & run) == 0)) values[first] = b, values[second] = a;
      }
    }
  }
  __syncthreads();  // the last round is done; else a value is read before it is in its place
}

}  // namespace fire::kernels
