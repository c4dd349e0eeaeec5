// What an access means to the checks and to weak memory.
#include <algorithm>

#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/machine/memory.h"

namespace fire::simulator {
namespace {

// The shadow of local memory and of allocations: one byte a byte. Null where everything counts as written.
uint8_t* WrittenBytes(Warp& w, const Access& access, int lane) {
  if (access.space[lane] == Space::kLocal) {
    std::vector<uint8_t>& written = w.block->local_written;
    return written.empty() ? nullptr : written.data() + (access.host[lane] - w.block->local.data());
  }
  if (access.space[lane] != Space::kGlobal) return nullptr;
  const uint64_t address = reinterpret_cast<uint64_t>(access.host[lane]);
  if (address < w.written_begin || address >= w.written_end) {
    const MemoryMap::Range* range = w.cluster->launch->FindRange(address);
    if (!range) return nullptr;
    w.written_begin = range->begin;
    w.written_end = range->end;
    w.written = range->written.get();
  }
  return w.written ? w.written + (address - w.written_begin) : nullptr;
}

uint32_t Missing(const uint8_t* written, uint32_t bytes) {
  uint32_t missing = 0;
  for (uint32_t i = 0; i < bytes; ++i) missing |= written[i] ? 0 : 1u << i;
  return missing;
}

}  // namespace

void Observe(Warp& w, const Op& op, const Access& access, Touch touch) {
  LaunchState& launch = *w.cluster->launch;
  if (launch.settings.check_uninitialised) {
    for (uint32_t left = access.lanes; left; left &= left - 1) {
      const int lane = std::countr_zero(left);
      uint8_t* written = WrittenBytes(w, access, lane);
      if (!written) continue;
      if (touch == Touch::kWrite) {
        std::fill_n(written, access.bytes, 1);
      } else if (const uint32_t missing = Missing(written, access.bytes) & access.used) {
        const bool local = access.space[lane] == Space::kLocal;
        w.cluster->races->ReportUnwritten(w, op, lane,
                                          "byte " + std::to_string(std::countr_zero(missing)) + " of the access, in " +
                                              (local ? "the thread's local memory" : "an allocation"));
      }
    }
  }
  if (w.cluster->races) w.cluster->races->Check(w, op, access, touch);
}

void OrderBefore(Warp& w, const Op& op, const Access& access, bool writes) {
  if (StoreBuffer* stores = w.cluster->stores.get()) {
    if (op.flags & kRelease) stores->Flush(w, access.lanes);
    for (uint32_t left = access.lanes; left; left &= left - 1) {
      const int lane = std::countr_zero(left);
      stores->FlushOverlap(w, lane, access.host[lane], access.bytes);
    }
  }
  if (writes && w.cluster->races) w.cluster->races->Publish(w, op, access);
}

void OrderAfter(Warp& w, const Op& op, const Access& access) {
  if (w.cluster->races) w.cluster->races->Acquire(w, op, access);
}

void Fence(Warp& w, const Op& op, uint32_t lanes) {
  if (!w.observed) return;
  if (w.cluster->stores) w.cluster->stores->Flush(w, lanes);
  if (w.cluster->races && op.extra) return w.cluster->races->FenceInit(w, lanes);
  if (w.cluster->races) w.cluster->races->Fence(w, lanes, op.flags & kCtaScope);
}

}  // namespace fire::simulator
