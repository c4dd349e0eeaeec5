// The state of the machine while a kernel runs: warps in blocks in a cluster, all on one host thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "tests/simulator/checks/work.h"
#include "tests/simulator/decoder/program.h"

namespace fire::simulator {

struct Cluster;
class RaceChecker;
class StoreBuffer;
class LaunchState;

constexpr uint32_t kAllLanes = ~0u;
constexpr int kLanes = 32;
// Bits 60 and 61 of a generic address tell the shared and local windows from host memory.
constexpr uint64_t kSharedWindow = uint64_t{1} << 60, kLocalWindow = uint64_t{2} << 60;
// A shared address is 32 bits: rank of the block in the cluster + 1 above, or 0 for the own block; the offset below.
// Real devices keep the first kilobyte to themselves, which also makes a null pointer an error.
constexpr uint32_t kRankShift = 24, kOffsetMask = (1u << kRankShift) - 1, kSharedBase = 1024;

// 32 lanes of a register. Two widths exist: 16-bit registers live in 32-bit rows.
template <class T>
struct Row {
  using Cell = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  typedef Cell __attribute__((may_alias)) Alias;
  Alias* p;
  T operator[](int lane) const {
    if constexpr (sizeof(T) >= 4) {
      return std::bit_cast<T>(static_cast<Cell>(p[lane]));
    } else {
      T t;
      std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t> low =
          static_cast<decltype(low)>(static_cast<uint32_t>(p[lane]));
      std::memcpy(&t, &low, sizeof t);
      return t;
    }
  }
  void Set(int lane, T value) {
    if constexpr (sizeof(T) >= 4) {
      p[lane] = std::bit_cast<Cell>(value);
    } else {
      std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t> low;
      std::memcpy(&low, &value, sizeof value);
      p[lane] = low;
    }
  }
};

template <class F>
inline __attribute__((always_inline)) void ForLanes(uint32_t lanes, F f) {
  if (lanes == kAllLanes) {
#pragma GCC ivdep
    for (int lane = 0; lane < kLanes; ++lane) f(lane);
  } else {
    for (; lanes; lanes &= lanes - 1) f(std::countr_zero(lanes));
  }
}

// Lanes that run side by side. A divergent branch splits a group; the parts meet again at the join's pc.
struct Group {
  enum State : uint8_t { kReady, kAtJoin, kAtMask, kAtAligned, kAtBarrier, kAtCluster, kAtPhase } state = kReady;
  int32_t pc = 0;
  int32_t join = -1;
  uint32_t lanes = 0;
  uint32_t members = 0;  // kAtMask: the lanes it waits for
  uint32_t barrier = 0;  // kAtBarrier
};

struct Join {
  int32_t pc = 0, parent = -1;
  uint32_t members = 0, arrived = 0;
};

struct Block;

struct PendingCopy {          // cp.async
  uint8_t lane, bytes, size;  // `size` bytes are copied, the rest become zeros
  uint32_t group;
  uint8_t* to;
  const uint8_t* from;
  Block* block;
  const Op* op;
};

struct Warp {
  uint8_t* registers = nullptr;
  uint32_t* predicates = nullptr;
  Block* block = nullptr;
  Cluster* cluster = nullptr;
  uint32_t index = 0;          // in the block
  uint32_t cluster_index = 0;  // in the cluster
  uint32_t exists = 0;         // lanes that have a thread
  uint32_t alive = 0;
  uint32_t unawaiting = 0;  // lanes that kernels ahead in the stream may still overlap with
  int32_t pc = 0;           // of the running group
  uint64_t steps = 0;
  bool observed = false;       // some check or weak memory wants to see memory accesses
  uint8_t* written = nullptr;  // the shadow of the allocation below
  uint64_t written_begin = 0, written_end = 0;
  uint64_t range_begin = 0, range_end = 0;  // of the allocation touched last
  std::vector<Group> groups;
  std::vector<Join> joins;
  std::vector<int32_t> free_joins;
  uint32_t cluster_arrived = 0;         // lanes that arrived at the cluster barrier and have not waited
  uint32_t cluster_phase[kLanes] = {};  // of the arrival
  bool yield = false;                   // set by an operation that found nothing to do
  std::vector<PendingCopy> copies;
  uint32_t copy_group[kLanes] = {};

  template <class T>
  Row<T> R(uint32_t offset) {
    return {reinterpret_cast<typename Row<T>::Alias*>(registers + offset)};
  }
  uint8_t* Local(int lane) const;
};

struct Barrier {
  uint32_t arrived = 0, expected = 0;  // threads
  uint32_t count = 0;                  // votes of bar.red
  bool all = true, any = false;
  std::vector<std::pair<Warp*, uint32_t>> members;  // who has arrived
};

struct Block {
  Cluster* cluster = nullptr;
  Dim3 id;
  uint32_t rank = 0;
  uint32_t alive = 0;  // threads
  std::vector<Warp> warps;
  std::vector<uint8_t> shared;  // static and dynamic
  std::vector<uint8_t> local, local_written;
  std::vector<uint8_t> registers;
  std::vector<uint32_t> predicates;
  Barrier barriers[16];
  Tally tally;
};

struct SentCopy {  // cp.async.bulk or st.async on its way
  uint64_t due = 0;
  uint8_t* to = nullptr;
  const uint8_t* from = nullptr;  // null: what it carries
  uint32_t bytes = 0;
  uint8_t* barrier = nullptr;  // the mbarrier it completes on
  Block* block = nullptr;      // where both lie
  const Warp* by = nullptr;    // who sent it
  const Op* op = nullptr;
  int lane = 0;
  uint8_t carried[16] = {};
};

struct Cluster {
  LaunchState* launch = nullptr;
  const Program* program = nullptr;
  Dim3 id;
  std::vector<Block> blocks;
  uint32_t threads = 0, exited = 0;  // of all blocks
  uint32_t arrived = 0, phase = 1;   // of the cluster barrier
  uint64_t instructions = 0;
  uint64_t clock = 0;  // instructions so far, and the waits in which none ran
  uint64_t random = 0;
  std::unique_ptr<RaceChecker> races;
  std::unique_ptr<StoreBuffer> stores;
  std::vector<SentCopy> sent;
  std::unordered_map<const uint8_t*, uint32_t> phases;  // that each mbarrier has completed

  void Wake(Group::State waiting) {  // who is in that state waits again, and may pass
    for (Block& block : blocks) {
      for (Warp& w : block.warps) {
        for (Group& group : w.groups) {
          if (group.state == waiting) group.state = Group::kReady;
        }
      }
    }
  }

  uint64_t Random() {  // splitmix64
    uint64_t z = (random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
};

inline uint8_t* Warp::Local(int lane) const {
  return block->local.data() + (size_t{index} * kLanes + lane) * cluster->program->info.local;
}

}  // namespace fire::simulator
