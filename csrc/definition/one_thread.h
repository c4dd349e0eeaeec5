// The team of ShardRowSolver on a host: one thread. Host only.
#pragma once

#include <cstdint>

namespace fire::definition {

struct OneThread {
  template <typename At>
  uint64_t Sum(uint32_t count, const At& at) const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; ++i) sum += at(i);
    return sum;
  }

  template <typename At>
  uint32_t FirstReaching(uint32_t count, uint64_t target, const At& at, uint64_t* before) const {
    *before = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t value = at(i);
      if (*before + value >= target) return i;
      *before += value;
    }
    return count;
  }

  template <typename Visit>
  void ForEach(uint32_t count, const Visit& visit) const {
    for (uint32_t i = 0; i < count; ++i) visit(i);
  }
};

}  // namespace fire::definition
