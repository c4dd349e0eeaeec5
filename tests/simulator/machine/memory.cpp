#include "tests/simulator/machine/memory.h"

#include <algorithm>
#include <cstdio>

#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {
namespace {

std::string Hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string Bytes(uint32_t bytes) { return std::to_string(bytes) + " bytes"; }

void ResolveShared(Warp& w, int lane, uint64_t address, uint32_t bytes, Access& access) {
  const uint32_t rank = static_cast<uint32_t>(address) >> kRankShift;
  const uint32_t offset = (static_cast<uint32_t>(address) & kOffsetMask) - kSharedBase;
  Block* block = w.block;
  if (rank) {
    if (rank > w.cluster->blocks.size()) {
      throw Fault{Finding::kOutOfBounds, lane, "shared address " + Hex(address) + " of a block the cluster has not"};
    }
    block = &w.cluster->blocks[rank - 1];
    if (block->alive == 0) {
      throw Fault{
          Finding::kExitedBlock, lane,
          "access to the shared memory of block " + std::to_string(rank - 1) + " of the cluster, which has exited"};
    }
  }
  if (offset >= block->shared.size() || bytes > block->shared.size() - offset || address >> 32) {
    throw Fault{Finding::kOutOfBounds, lane,
                Bytes(bytes) + " at shared offset " + std::to_string(static_cast<int32_t>(offset)) +
                    ", outside the block's " + std::to_string(block->shared.size())};
  }
  access.host[lane] = block->shared.data() + offset;
  access.space[lane] = Space::kShared;
  access.block[lane] = block;
}

void ResolveGlobal(Warp& w, int lane, uint64_t address, uint32_t bytes, Access& access) {
  access.host[lane] = reinterpret_cast<uint8_t*>(address);
  access.space[lane] = Space::kGlobal;
  access.block[lane] = nullptr;
  if (!w.cluster->launch->settings.check_bounds) return;
  if (address >= w.range_begin && address + bytes <= w.range_end) return;
  LaunchState& launch = *w.cluster->launch;
  MemoryMap::Range* range = launch.FindRange(address);
  if (range && address + bytes <= range->end) {
    w.range_begin = range->begin;
    w.range_end = range->end;
    return;
  }
  std::string message = Bytes(bytes) + " at " + Hex(address) + ", outside every allocation";
  if (const MemoryMap::Range* below = launch.memory.Below(address)) {
    message += "; byte " + std::to_string(address - below->begin) + " of " + below->name + ", which has " +
               Bytes(static_cast<uint32_t>(below->end - below->begin));
  }
  throw Fault{Finding::kOutOfBounds, lane, message};
}

void ResolveOffset(uint8_t* base, size_t size, int lane, uint64_t offset, uint32_t bytes, Space space, Access& access) {
  if (offset > size || bytes > size - offset) {
    throw Fault{Finding::kOutOfBounds, lane,
                Bytes(bytes) + " at offset " + std::to_string(static_cast<int64_t>(offset)) + " of " +
                    (space == Space::kLocal ? "the thread's local memory" : "the kernel's parameters") +
                    ", which has " + Bytes(static_cast<uint32_t>(size))};
  }
  access.host[lane] = base + offset;
  access.space[lane] = space;
  access.block[lane] = nullptr;
}

}  // namespace

void ResolveOne(Warp& w, Space space, int lane, uint64_t address, uint32_t bytes, uint32_t align, Access& access) {
  if (address & (align - 1)) {
    throw Fault{Finding::kMisaligned, lane, "address " + Hex(address) + " is no multiple of " + std::to_string(align)};
  }
  if (space == Space::kGeneric) {
    constexpr Space kWindows[] = {Space::kGlobal, Space::kShared, Space::kLocal, Space::kParameter};
    space = kWindows[address >> 60 & 3];
    address &= ~(uint64_t{3} << 60);
  }
  std::vector<uint8_t>& parameters = w.cluster->launch->parameters;
  switch (space) {
    case Space::kShared:
      return ResolveShared(w, lane, address, bytes, access);
    case Space::kLocal:
      return ResolveOffset(w.Local(lane), w.cluster->program->info.local, lane, address, bytes, Space::kLocal, access);
    case Space::kParameter:
      return ResolveOffset(parameters.data(), parameters.size(), lane, address, bytes, Space::kConstant, access);
    default:
      if (w.unawaiting >> lane & 1 && space != Space::kConstant) {
        throw Fault{Finding::kPriorNotAwaited, lane,
                    "global memory before griddepcontrol.wait, in a launch that may overlap the kernels ahead of it"};
      }
      return ResolveGlobal(w, lane, address, bytes, access);
  }
}

void Resolve(Warp& w, const Op& op, uint32_t lanes, uint32_t bytes, Access& access) {
  access.lanes = lanes;
  access.bytes = bytes;
  const uint32_t align = bytes;
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    ResolveOne(w, op.space, lane, AddressOf(w, op, lane), bytes, align, access);
  }
}

namespace {

template <class T, class Cell>
void Fill(Warp& w, const Op& op, uint32_t lanes, uint8_t* const* from) {
  for (int i = 0; i < op.count; ++i) {
    if (op.vector[i] == kNone) continue;
    auto d = w.R<Cell>(op.vector[i]);
    ForLanes(lanes, [&](int lane) {
      T value;
      std::memcpy(&value, from[lane] + i * sizeof(T), sizeof(T));
      d.Set(lane, static_cast<Cell>(value));
    });
  }
}

void FillAny(Warp& w, const Op& op, uint32_t lanes, uint8_t* const* from) {
  const bool wide = op.flags & kWide, sign = op.flags & kSigned;
  switch (op.bytes) {
    case 1:
      if (wide) return sign ? Fill<int8_t, int64_t>(w, op, lanes, from) : Fill<uint8_t, uint64_t>(w, op, lanes, from);
      return sign ? Fill<int8_t, int32_t>(w, op, lanes, from) : Fill<uint8_t, uint32_t>(w, op, lanes, from);
    case 2:
      if (wide) return sign ? Fill<int16_t, int64_t>(w, op, lanes, from) : Fill<uint16_t, uint64_t>(w, op, lanes, from);
      return sign ? Fill<int16_t, int32_t>(w, op, lanes, from) : Fill<uint16_t, uint32_t>(w, op, lanes, from);
    case 4:
      if (wide) return sign ? Fill<int32_t, int64_t>(w, op, lanes, from) : Fill<uint32_t, uint64_t>(w, op, lanes, from);
      return Fill<uint32_t, uint32_t>(w, op, lanes, from);
    default:
      return Fill<uint64_t, uint64_t>(w, op, lanes, from);
  }
}

// The lane's elements, side by side as in memory.
void Gather(Warp& w, const Op& op, int lane, uint8_t* to) {
  for (int i = 0; i < op.count; ++i) {
    const uint64_t value = op.flags & kWide ? w.R<uint64_t>(op.vector[i])[lane] : w.R<uint32_t>(op.vector[i])[lane];
    std::memcpy(to + i * op.bytes, &value, op.bytes);  // little-endian hosts only, as the devices
  }
}

}  // namespace

void Load(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, uint32_t{op.bytes} * op.count, access);
  if (w.observed) {
    access.used = op.extra;
    if (op.flags & kStrong) OrderBefore(w, op, access, false);
    Observe(w, op, access, Touch::kRead);
    if (StoreBuffer* stores = w.cluster->stores.get(); stores && stores->Pending(w)) {
      uint8_t merged[kLanes][32];
      uint8_t* from[kLanes];
      for (uint32_t left = lanes; left; left &= left - 1) {
        const int lane = std::countr_zero(left);
        std::memcpy(merged[lane], access.host[lane], access.bytes);
        stores->Forward(w, lane, access.host[lane], access.bytes, merged[lane]);
        from[lane] = merged[lane];
      }
      FillAny(w, op, lanes, from);
    } else {
      FillAny(w, op, lanes, access.host);
    }
    if (op.flags & kStrong) OrderAfter(w, op, access);
    return;
  }
  if (op.flags & kStrong) std::atomic_thread_fence(std::memory_order_seq_cst);
  FillAny(w, op, lanes, access.host);
}

void Store(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, uint32_t{op.bytes} * op.count, access);
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (access.space[lane] == Space::kConstant) {
      throw Fault{Finding::kOutOfBounds, lane, "a store to memory that kernels may only read"};
    }
  }
  StoreBuffer* stores = nullptr;
  if (w.observed) {
    if (op.flags & kStrong) OrderBefore(w, op, access, true);
    Observe(w, op, access, Touch::kWrite);
    stores = w.cluster->stores.get();
  }
  if (op.flags & kStrong) std::atomic_thread_fence(std::memory_order_seq_cst);
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    uint8_t data[32];
    Gather(w, op, lane, data);
    if (stores && !(op.flags & kStrong) && access.space[lane] != Space::kLocal) {
      stores->Push(w, lane, access.host[lane], data, access.bytes);
    } else {
      std::memcpy(access.host[lane], data, access.bytes);
    }
  }
}

void CopyLocal(Warp& w, const Op& op, uint32_t lanes) {
  for (; lanes; lanes &= lanes - 1) {
    uint8_t* local = w.Local(std::countr_zero(lanes));
    std::memcpy(local + op.d, local + op.a, op.e);
    if (!w.block->local_written.empty()) {
      uint8_t* written = w.block->local_written.data() + (local - w.block->local.data());
      std::memcpy(written + op.d, written + op.a, op.e);
    }
  }
}

}  // namespace fire::simulator
