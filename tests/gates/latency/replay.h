// Replays a traced launch of one row on the multiprocessors of a Machine, and says how long they take: four schedulers
// each, in order of readiness within a basic block, units by their rates, loads by latency and bandwidth, barriers.
//
// Not in it: code that is not in the instruction cache, conflicts of shared memory's banks and of atomics, the L1
// cache, starting a block. A load that gathers counts as one stretch of memory. The launch is the caller's to add.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/gates/latency/machine.h"
#include "tests/gates/latency/window.h"

namespace fire::latency {

// Rows of a batch as the busiest set of multiprocessors has them, each set as many as a row has blocks.
struct Batch {
  int64_t all = 1;   // rows of the batch
  int64_t rows = 1;  // of this set
  int at_once = 1;   // of them, whose blocks it holds beside each other
  int watched = -1;  // a warp of the first row's leading block, whose every instruction is told
};

// From one barrier of the block that ends last to the next, or to the end (pc -1).
struct Phase {
  Cycle first = 0, last = 0;  // when warps arrived
  Cycle end = 0;              // when they went on
  int32_t pc = -1;
  uint32_t warp = 0;  // that came last
  struct Part {
    int32_t pc = 0;  // the first with this source line
    Cycle cycles = 0;
  };
  std::vector<Part> parts;  // of that warp, by source line, the longest first
};

struct Issue {
  Cycle at = 0;
  int32_t pc = 0;
};

struct Replayed {
  Cycle cycles = 0;
  double hbm_bytes = 0;       // a row
  std::vector<Phase> phases;  // of the first row
  std::vector<Issue> issues;  // of the watched warp
};

Replayed Replay(const simulator::LaunchTrace& trace, const Code& code, const Machine& machine, const Batch& batch);

}  // namespace fire::latency
