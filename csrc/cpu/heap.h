// The largest of many integers, one by one: a heap in the place where they lie. Not std::sort, of which the linker
// would keep one instruction set's copy for all (definition/bits.h).
#pragma once

#include <cstdint>

namespace fire::cpu::FIRE_ISA {

inline void SinkFrom(uint64_t* heap, uint32_t count, uint32_t at) {
  const uint64_t value = heap[at];
  for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && heap[child + 1] > heap[child]) ++child;
    if (heap[child] <= value) break;
    heap[at] = heap[child];
  }
  heap[at] = value;
}

// Calls visit(value) for the `wanted` ≤ count largest of the values, the largest first. They lie otherwise afterwards.
template <typename Visit>
inline void ForLargest(uint64_t* values, uint32_t count, uint32_t wanted, const Visit& visit) {
  for (uint32_t at = count / 2; at-- > 0;) SinkFrom(values, count, at);
  for (; wanted > 0; --wanted) {
    visit(values[0]);
    values[0] = values[--count];
    if (count > 1) SinkFrom(values, count, 0);
  }
}

}  // namespace fire::cpu::FIRE_ISA
