// A threshold that enough values reach, found by one warp without sorting: the others need not wait at barriers, and a
// warp alone issues a small part of what a block would.
#pragma once

#include <cstdint>

namespace fire::kernels {

// A key of [least, largest] that enough values reach, and, where they differ enough, no more than `most` of them; 0
// where `least` has too few. reaching(key), the same for all lanes, is how many reach it, or 0 where that is too few.
template <typename Reaching>
__device__ __forceinline__ uint32_t SelectKey(uint32_t least, uint32_t largest, uint32_t most,
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

}  // namespace fire::kernels
