#include "kernels/plan.h"

#include <algorithm>

#include "definition/batch.h"
#include "kernels/shard_storage.h"

namespace fire::kernels {
namespace {

constexpr int64_t kVectorBytes = 16;
constexpr int64_t kStreamingBytes = 64 << 10;  // shorter rows are cheaper to read twice than to stream
constexpr int64_t kReservedBytes = 1 << 10;    // of shared memory, besides a block's own
constexpr int64_t kSmallestPart = 4 << 10;     // bytes of a row below which another block only adds a barrier

// Vectors of the largest part of a row, whatever the alignment of its first logit.
int64_t PartVectors(int64_t vocabulary, LogitsType type, int cluster) {
  const int64_t elements = kVectorBytes / definition::BytesOf(type);
  const int64_t vectors = (vocabulary + 2 * elements - 2) / elements;
  const int64_t part = (vectors + cluster - 1) / cluster;
  return (part + 31) / 32 * 32;
}

int ThreadsFor(int64_t part_vectors) { return part_vectors <= 128 ? 128 : (part_vectors <= 1280 ? 256 : kMostThreads); }

// The tasks for which several blocks may share a row.
bool MayShare(Task task) {
  return task == Task::kSample || task == Task::kSampleWithReference || task == Task::kSampleGroup ||
         task == Task::kSampleWithSupport || task == Task::kShardAnswer;
}

// Those whose blocks may keep their part of the row. A group's have their members there; of a support's kernel there is
// one variant, since a second reading from cache costs it little beside the rest.
bool MayBeResident(Task task) { return task == Task::kSample || task == Task::kSampleWithReference; }

// Those of rows without a record.
bool IsOfGivenSupport(Task task) { return task == Task::kSupportLogProb || task == Task::kSupportLogProbBackward; }

// Those that look for candidates, and so for a pivot.
bool HasPilot(Task task) { return !IsOfGivenSupport(task) && task != Task::kShardAnswer; }

// A plan that names threads (0: as the part needs), blocks and residence, completed with what follows from them.
Plan Complete(const Plan& geometry, Task task, int64_t vocabulary, LogitsType type, const Device& device) {
  Plan plan = geometry;
  plan.overlaps_prior = CanOverlapPrior(device);
  const int64_t part = PartVectors(vocabulary, type, plan.cluster);
  if (plan.threads == 0) plan.threads = ThreadsFor(part);
  if (IsOfGivenSupport(task)) {
    plan.shared_bytes = sizeof(SupportStorage);
    return plan;
  }
  plan.shared_bytes = StorageBytes(plan.cluster) + (plan.resident ? static_cast<size_t>(part * kVectorBytes) : 0) +
                      (task == Task::kSampleGroup ? sizeof(GroupStorage) : 0) +
                      (task == Task::kShardAnswer ? sizeof(ShardStorage) : 0);
  return plan;
}

bool Fits(const Plan& plan, const Device& device) {
  return plan.shared_bytes <= static_cast<size_t>(device.shared_bytes) && plan.cluster <= device.largest_cluster;
}

// Whether a multiprocessor has the shared memory for so many blocks.
bool FitTogether(int blocks, const Plan& plan, const Device& device) {
  return blocks * static_cast<int64_t>(plan.shared_bytes + kReservedBytes) <= device.shared_bytes + kReservedBytes;
}

// Of a power of two, as every number of blocks and threads is.
int Log2(int power) {
  int bits = 0;
  while (1 << bits < power) ++bits;
  return bits;
}

// How many clusters run at once without two of their blocks on one multiprocessor.
int64_t ClustersAtOnce(int blocks, const Device& device) {
  const int known = device.clusters[static_cast<size_t>(Log2(blocks) - 1)];
  const int64_t most = device.multiprocessors / blocks;
  return known != 0 ? std::min<int64_t>(known, most) : most;
}

}  // namespace

const char* NameOf(const Plan& plan) {
  static constexpr const char* kNames[][3] = {
      {"1 block a row", "1 block a row, resident", "1 block a row, streaming"},
      {"2 blocks a row", "2 blocks a row, resident", "2 blocks a row, streaming"},
      {"4 blocks a row", "4 blocks a row, resident", "4 blocks a row, streaming"},
      {"8 blocks a row", "8 blocks a row, resident", "8 blocks a row, streaming"},
      {"16 blocks a row", "16 blocks a row, resident", "16 blocks a row, streaming"},
  };
  return kNames[Log2(plan.cluster)][plan.resident ? 1 : plan.pilot_shift != 0 ? 2 : 0];
}

Geometry GeometryOf(const Plan& plan) {
  return {static_cast<uint32_t>(Log2(plan.cluster)), static_cast<uint32_t>(Log2(plan.threads / 32)),
          static_cast<uint32_t>(plan.pilot_shift), static_cast<uint32_t>(StorageBytes(plan.cluster))};
}

Plan PlanFor(Task task, int64_t rows, int64_t vocabulary, LogitsType type, const Device& device) {
  const int64_t row_bytes = vocabulary * definition::BytesOf(type);
  Plan plan;
  plan.threads = 0;
  if (!MayShare(task)) return Complete(plan, task, vocabulary, type, device);

  // Few rows: as many blocks a row as the device has multiprocessors for, each with its part in shared memory. Fewer,
  // if some would share a multiprocessor, where two take longer than one of twice the part, or even wait for another's
  // end; or without the part, if no number of blocks has room for it.
  int cluster = 1;
  while (cluster < std::min(device.largest_cluster, kMostBlocks) && rows * cluster * 2 <= device.multiprocessors &&
         row_bytes >= kSmallestPart * cluster * 2)
    cluster *= 2;
  for (const bool resident : {true, false})
    for (plan.cluster = cluster; plan.cluster > 1; plan.cluster /= 2) {
      plan.resident = resident;
      const Plan shared = Complete(plan, task, vocabulary, type, device);
      const bool may = !resident || MayBeResident(task);
      if (may && Fits(shared, device) && rows <= ClustersAtOnce(plan.cluster, device)) return shared;
    }

  plan.cluster = 1, plan.resident = MayBeResident(task);
  const Plan resident = Complete(plan, task, vocabulary, type, device);
  const bool many = rows > device.multiprocessors;
  const bool streams = many && row_bytes >= kStreamingBytes && task == Task::kSample;
  if (plan.resident && !streams && Fits(resident, device)) return resident;

  plan.resident = false;
  if (row_bytes >= kStreamingBytes && HasPilot(task)) plan.pilot_shift = 3;
  // More rows than two a multiprocessor: what a row costs beyond its loops grows with its warps, so four small blocks
  // do more than two large ones, where there is room for them.
  if (plan.pilot_shift != 0 && rows > 2 * device.multiprocessors &&
      FitTogether(4, Complete(plan, task, vocabulary, type, device), device))
    plan.threads = kMostThreads / 2;
  return Complete(plan, task, vocabulary, type, device);
}

std::vector<Plan> AllPlans(Task task, int64_t vocabulary, LogitsType type, const Device& device) {
  std::vector<Plan> plans;
  for (int cluster = 1; cluster <= (MayShare(task) ? 16 : 1); cluster *= 2)
    for (int threads : {128, 256, kMostThreads})
      for (bool resident : {false, true})
        for (int pilot_shift : {0, 3}) {
          if (resident && (pilot_shift != 0 || !MayBeResident(task))) continue;
          if (pilot_shift != 0 && (cluster != 1 || !HasPilot(task))) continue;
          Plan plan;
          plan.threads = threads, plan.cluster = cluster, plan.resident = resident, plan.pilot_shift = pilot_shift;
          plan = Complete(plan, task, vocabulary, type, device);
          if (Fits(plan, device)) plans.push_back(plan);
        }
  return plans;
}

}  // namespace fire::kernels
