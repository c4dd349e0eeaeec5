// The instructions of one warp between two branches, which may be issued in any order that their operands allow: as
// ptxas orders a basic block, knowing the latencies.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/gates/latency/instruction.h"

namespace fire::latency {

using Cycle = int64_t;
constexpr Cycle kNotYet = -1;

class Window {
 public:
  static constexpr size_t kMost = 96;      // instructions
  using Free = std::array<Cycle, kUnits>;  // when each unit takes the next

  struct Pick {
    int node = -1;
    Cycle ready = 0;  // its operands are there, and its unit is free
  };

  explicit Window(int registers) : ready_(static_cast<size_t>(registers), 0), producer_(ready_.size(), -1) {}

  // Takes the block that begins at steps[*at], and moves there behind it.
  void Open(const Code& code, const std::vector<const simulator::LaunchTrace::Step*>& steps, size_t* at);
  bool empty() const { return left_ == 0; }
  // What can begin first, no earlier than `now`; of several alike the first of the program.
  Pick Next(Cycle now, const Free& free);
  void Issue(int node, Cycle done);
  // Once it is empty: what it wrote can be read from then on.
  void Close();

  const Instruction& instruction(int node) const { return *nodes_[static_cast<size_t>(node)].instruction; }
  const simulator::LaunchTrace::Step& step(int node) const { return *nodes_[static_cast<size_t>(node)].step; }

 private:
  struct Node {
    const Instruction* instruction = nullptr;
    const simulator::LaunchTrace::Step* step = nullptr;
    Cycle operands = 0;          // those that earlier blocks wrote
    Cycle done = kNotYet;        // issued: when its results can be read
    std::vector<int> producers;  // of the others
  };
  Cycle OperandsOf(const Node& node) const;  // kNotYet before all their producers are issued

  std::vector<Node> nodes_;  // the first `size_` are in use
  size_t size_ = 0, first_ = 0, left_ = 0;
  std::vector<Cycle> ready_;   // by register
  std::vector<int> producer_;  // by register; -1: none in this block
};

}  // namespace fire::latency
