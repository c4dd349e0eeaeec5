// An H200 as the latency model sees it, on a good day and on a plain one. A value without a source is an assumption;
// tests/gpu/prove measures barriers, shared memory of a peer, atomics, bandwidth, rates and launches on a GPU.
#pragma once

#include <cstdint>

namespace fire::latency {

constexpr int kMultiprocessors = 132, kSchedulers = 4;

struct Machine {
  double ghz;        // the highest and the usual clock, NVIDIA H200 datasheet
  double launch_us;  // of a kernel within a CUDA graph
  // Bytes a nanosecond: 90 % and 81 % of the datasheet's 4,800; copies reach the former.
  double hbm_bytes_a_ns;
  // Bytes a clock, of all multiprocessors: 5,120 on an A100 (its whitepaper; none is given for newer ones).
  double l2_bytes_a_clock;
  double intake_bytes_a_clock;  // that one multiprocessor can take from L2
  double l2_bytes;              // 50 MB (NVIDIA's H100 whitepaper), and what is left of it beside other data
  // Cycles of a load. Without load, 479 and 262 on an H100 (arXiv:2402.13499, table of latencies).
  int hbm_latency, l2_latency;
  // Cycles until the stores before a cluster barrier are seen by peers, and from its last arrival to the first that
  // goes on. 180 cycles are a trip from one multiprocessor to another (arXiv:2402.13499).
  int cluster_release, cluster_barrier;
  int sent;  // cycles until a store to a peer has arrived and counts at its mbarrier; the same trip, there alone
  // That fit beside each other, a block a multiprocessor: a cluster lies within one of the device's parts, so fewer do
  // than 132 / 4 and 132 / 8. An H100 ran 15 of 8 (github.com/accel-sim/gpu-app-collection, pull 87).
  int clusters_of_4, clusters_of_8;
  // Of code that no cache holds: what one trip to HBM brings.
  int cold_code_bytes;

  double Microseconds(double cycles) const { return cycles / (1e3 * ghz); }
};

constexpr Machine kBest = {1.98, 2.0, 4300, 5120, 64, 50e6, 560, 262, 200, 60, 180, 31, 15, 8192};
constexpr Machine kPlain = {1.755, 3.0, 3900, 4000, 64, 40e6, 800, 300, 270, 100, 220, 30, 15, 4096};

// Sets of that many multiprocessors that clusters of so many blocks can have at a time, a block on each.
constexpr int SetsOf(const Machine& machine, int cluster) {
  if (cluster == 4) return machine.clusters_of_4;
  if (cluster >= 8) return machine.clusters_of_8 * 8 / cluster;
  return kMultiprocessors / cluster;
}

}  // namespace fire::latency
