// Counts what a launch issues: warp instructions by their place in the code, and barriers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tests/simulator/decoder/program.h"
#include "tests/simulator/machine/machine.h"

namespace fire::simulator {

struct Block;
struct Warp;

// What one block has issued so far.
struct Tally {
  std::vector<uint64_t> issued;  // by pc; empty where nothing is counted
  uint64_t block_barriers = 0, cluster_barriers = 0;
  std::vector<LaunchTrace::Step> steps;  // empty where nothing is traced
  std::vector<LaunchTrace::Phase> phases;

  void PassCluster(uint32_t phase) {  // a warp has waited for it
    cluster_barriers += phase > last_phase;
    last_phase = std::max(last_phase, phase);
  }
  uint32_t last_phase = 0;
};

LaunchTrace::Step StepOf(Warp& w, const Op& op, int32_t pc, uint32_t lanes);

class WorkCounter {
 public:
  WorkCounter(const Program& program, const LaunchShape& shape, bool trace);
  // A block that has ended; host threads call it in any order.
  void Add(Block& block);
  LaunchWork Work();  // once

 private:
  const Program& program_;
  const LaunchShape& shape_;
  std::mutex mutex_;
  LaunchTrace trace_;
  std::vector<uint64_t> all_;  // by pc
  Tally busiest_;
  uint64_t most_ = 0;  // instructions of the busiest block
  Dim3 busiest_id_{0, 0, 0};
};

}  // namespace fire::simulator
