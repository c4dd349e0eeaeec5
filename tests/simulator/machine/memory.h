// Addresses of a warp's lanes as pointers into host memory.
#pragma once

#include "tests/simulator/machine/launch_state.h"
#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

struct Access {
  uint32_t lanes = 0, bytes = 0;  // bytes a lane
  uint32_t used = ~0u;            // which of the bytes matter to the checks
  uint8_t* host[kLanes];
  Space space[kLanes];   // kGlobal, kShared, kLocal or kConstant (also parameters)
  Block* block[kLanes];  // whose shared memory it is
};

// Checks bounds and alignment; throws Fault.
void Resolve(Warp& w, const Op& op, uint32_t lanes, uint32_t bytes, Access& access);
// One address, given in full.
void ResolveOne(Warp& w, Space space, int lane, uint64_t address, uint32_t bytes, uint32_t align, Access& access);

inline uint64_t AddressOf(Warp& w, const Op& op, int lane) {
  const uint64_t base = op.flags & kAddress32 ? w.R<uint32_t>(op.a)[lane] : w.R<uint64_t>(op.a)[lane];
  return base + static_cast<uint64_t>(op.offset);
}

// Checks of memory accesses, where they are switched on (Warp::observed).
enum class Touch { kRead, kWrite, kAtomic };
void Observe(Warp& w, const Op& op, const Access& access, Touch touch);
// Memory order of strong operations: before the access, and after it.
void OrderBefore(Warp& w, const Op& op, const Access& access, bool writes);
void OrderAfter(Warp& w, const Op& op, const Access& access);  // a read

}  // namespace fire::simulator
