// Global memory as the multiprocessors that share a row see it: what a load waits for.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "tests/gates/latency/machine.h"

namespace fire::latency {

// What each multiprocessor gets, in bytes a clock, and how much all others pull meanwhile.
struct Share {
  double hbm = 0, l2 = 0;
  double device = 1;  // bytes that the device pulls for each byte of these
};

// Where a multiprocessor's next bytes queue.
struct Intake {
  double hbm = 0, l2 = 0;  // cycle at which it is free
};

class Memory {
 public:
  Memory(const Machine& machine, const Share& share) : machine_(machine), share_(share) {}
  // When a load of so many bytes from there, begun at `now`, is done. Rows of a batch lie apart from each other. A
  // prefetch ends in L2: nothing of it comes to the multiprocessor.
  double Load(Intake& intake, uint64_t row, uint64_t address, double bytes, double now, bool is_prefetch = false);
  double hbm_bytes() const { return hbm_bytes_; }

 private:
  static constexpr int kLine = 128;
  struct Touch {
    double pulled = 0;   // by the device, until then
    double arrival = 0;  // in L2
  };

  const Machine& machine_;
  const Share share_;
  std::unordered_map<uint64_t, Touch> lines_;
  double pulled_ = 0, hbm_bytes_ = 0;
};

}  // namespace fire::latency
