// Which launch a batch gets: decided on the host by rows, vocabulary, logit type, device and outputs alone. Records
// live on the device, so what they ask for never changes the launch, only the way through the kernel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fire/sampling.h"

namespace fire::kernels {

// What a plan needs to know of a device.
struct Device {
  int compute_capability = 90;  // 10 · major + minor; of the kernels' code, where that is too old for clusters
  int multiprocessors = 132;
  int shared_bytes = 232448;  // a block may opt into
  int largest_cluster = 16;   // blocks; 1 where the device has no clusters
  // Of 2, 4, 8 and 16 blocks, how many clusters run at once with one block a multiprocessor. A cluster lies in one
  // group of multiprocessors, and groups differ in size, so fewer than the multiprocessors would hold. 0: unknown, so
  // many.
  std::array<int, 4> clusters = {};
  int driver = 13000;  // 1000 · major + 10 · minor of the CUDA that it knows
};

// Whether a launch may begin before the kernel ahead of it has ended. Since CUDA 12.3 graphs can hold that too; older
// drivers' launches wait, captured or not.
inline bool CanOverlapPrior(const Device& device) { return device.compute_capability >= 90 && device.driver >= 12030; }

// What is asked of a row, as far as it changes the work.
enum class Task : int32_t {
  kSample,               // the token, perhaps its logprob, kept and status
  kSampleWithReference,  // also ref_logprob or rank: every row's whole mass is needed
  kSampleGroup,          // a token for each member of a group, from one reading of its row
  kProcessLogits,
  kHeatLogits,
  kLogProb,
  kLogProbBackward,
  kSampleWithSupport,  // the token, and the set that it was drawn from
  kSupportLogProb,
  kSupportLogProbBackward,
  kShardAnswer,  // of a row that lies in shards, what its other shards ask
};

struct Plan {
  int threads = 512;            // a block
  int cluster = 1;              // blocks that share a row
  bool resident = false;        // blocks keep their part of the row in shared memory
  int pilot_shift = 0;          // the pivot comes from the last 1/2^shift of each warp's run; 0: from the whole row
  bool overlaps_prior = false;  // programmatic dependent launch: the launch's own time hides behind the kernel before
  size_t shared_bytes = 0;      // dynamic, a block
  int64_t blocks_a_launch = int64_t{1} << 30;  // more rows than that take several launches
};

// A plan as the kernels get it: what they would divide by is a power of two.
struct Geometry {
  uint32_t block_bits;   // 2^block_bits blocks a row,
  uint32_t warp_bits;    // 2^warp_bits warps a block
  uint32_t pilot_shift;  // Plan's
  uint32_t resident_at;  // StorageBytes of the cluster
};

Geometry GeometryOf(const Plan& plan);

// What profilers and `python -m fire_sampling plan` call it, as "8 blocks a row, resident".
const char* NameOf(const Plan& plan);

Plan PlanFor(Task task, int64_t rows, int64_t vocabulary, LogitsType type, const Device& device);

// Every plan that launches on this device for this vocabulary, for tests: whichever runs, the bits are the same.
std::vector<Plan> AllPlans(Task task, int64_t vocabulary, LogitsType type, const Device& device);

}  // namespace fire::kernels
