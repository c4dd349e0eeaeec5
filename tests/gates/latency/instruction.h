// What an instruction of PTX costs on a multiprocessor of compute capability 9.0.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/machine/machine.h"

namespace fire::latency {

// Of a scheduler, but for kShared, which the four of a multiprocessor have together.
enum class Unit : uint8_t { kNone, kAlu, kFma, kImad, kConversion, kShared };
constexpr int kUnits = 6;

enum class Kind : uint8_t {
  kFree,  // no machine instruction: folded into another, or a name for a register
  kPlain,
  kLoad,  // and shared atomics
  kGlobalLoad,
  kPrefetch,
  kStore,
  kSend,    // st.async
  kArrive,  // at an mbarrier
  kBranch,  // from here on, the end of a basic block
  kBarrier,
  kClusterArrive,
  kClusterWait,
  kAwait,  // for an mbarrier
  kEnd,
};

struct Instruction {
  Kind kind = Kind::kPlain;
  Unit unit = Unit::kNone;
  int slots = 1;        // of the scheduler
  int busy = 0;         // cycles of the unit
  int latency = 0;      // cycles from the first slot to a result
  int bytes = 0;        // of a lane: global loads
  bool orders = false;  // with loads and stores before it: memory that kernels write
  bool is_relaxed = false;
  std::vector<int> reads, writes;  // registers, by number

  bool IsStore() const { return kind >= Kind::kStore && kind <= Kind::kArrive; }
  bool IsLast() const { return kind >= Kind::kBranch; }
};

struct Code {
  std::vector<Instruction> instructions;
  int registers = 0;
};

// Throws std::invalid_argument with the text of an instruction that no cost is known of.
Code CostsOf(const std::vector<simulator::LaunchTrace::Instruction>& code);

}  // namespace fire::latency
