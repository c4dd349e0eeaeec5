// A launch: clusters of blocks, taken one after another by host threads.
#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <thread>

#include "tests/simulator/checks/global_shadow.h"
#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/machine/launch_state.h"
#include "tests/simulator/machine/machine.h"
#include "tests/simulator/machine/scheduler.h"

namespace fire::simulator {
namespace {

constexpr uint8_t kJunk = 0xcd;  // what shared and local memory hold before the first store

// A launch needs megabytes for a moment. Given back to the system and fetched again each time, they would cost more
// than the launch.
void KeepFreedMemory() {
#if defined(__GLIBC__)
  constexpr int kMuch = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kMuch);
  mallopt(M_TRIM_THRESHOLD, kMuch);
  mallopt(M_ARENA_MAX, 1);
#endif
}

Dim3 At(uint64_t index, const Dim3& extent) {
  return {static_cast<uint32_t>(index % extent.x), static_cast<uint32_t>(index / extent.x % extent.y),
          static_cast<uint32_t>(index / extent.x / extent.y)};
}

std::string Show(const Dim3& d) {
  return std::to_string(d.x) + " x " + std::to_string(d.y) + " x " + std::to_string(d.z);
}

uint32_t SpecialValue(Special special, const Warp& w, const LaunchState& launch, int lane) {
  const LaunchShape& shape = launch.shape;
  const Block& block = *w.block;
  const Dim3 thread = At(uint64_t{w.index} * kLanes + static_cast<uint32_t>(lane), shape.block);
  const Dim3 rank = At(block.rank, shape.cluster);
  const uint32_t bit = 1u << lane;
  switch (special) {
    case Special::kTidX:
      return thread.x;
    case Special::kTidY:
      return thread.y;
    case Special::kTidZ:
      return thread.z;
    case Special::kNtidX:
      return shape.block.x;
    case Special::kNtidY:
      return shape.block.y;
    case Special::kNtidZ:
      return shape.block.z;
    case Special::kCtaidX:
      return block.id.x;
    case Special::kCtaidY:
      return block.id.y;
    case Special::kCtaidZ:
      return block.id.z;
    case Special::kNctaidX:
      return shape.grid.x;
    case Special::kNctaidY:
      return shape.grid.y;
    case Special::kNctaidZ:
      return shape.grid.z;
    case Special::kLane:
      return static_cast<uint32_t>(lane);
    case Special::kWarp:
      return w.index;
    case Special::kWarps:
      return static_cast<uint32_t>(block.warps.size());
    case Special::kMaskEq:
      return bit;
    case Special::kMaskLe:
      return bit | (bit - 1);
    case Special::kMaskLt:
      return bit - 1;
    case Special::kMaskGe:
      return ~(bit - 1);
    case Special::kMaskGt:
      return ~(bit | (bit - 1));
    case Special::kSm:
      return block.rank;
    case Special::kSms:
      return static_cast<uint32_t>(shape.cluster.Count());
    case Special::kGrid:
      return 1;
    case Special::kDynamicShared:
      return static_cast<uint32_t>(shape.dynamic_shared);
    case Special::kTotalShared:
      return static_cast<uint32_t>(block.shared.size() + kSharedBase);
    case Special::kIsCluster:
      return shape.cluster.Count() > 1;
    case Special::kClusterCtaidX:
      return rank.x;
    case Special::kClusterCtaidY:
      return rank.y;
    case Special::kClusterCtaidZ:
      return rank.z;
    case Special::kClusterNctaidX:
      return shape.cluster.x;
    case Special::kClusterNctaidY:
      return shape.cluster.y;
    case Special::kClusterNctaidZ:
      return shape.cluster.z;
    case Special::kClusterRank:
      return block.rank;
    case Special::kClusterSize:
      return static_cast<uint32_t>(shape.cluster.Count());
    case Special::kClusteridX:
      return w.cluster->id.x;
    case Special::kClusteridY:
      return w.cluster->id.y;
    case Special::kClusteridZ:
      return w.cluster->id.z;
    case Special::kNclusteridX:
      return shape.grid.x / shape.cluster.x;
    case Special::kNclusteridY:
      return shape.grid.y / shape.cluster.y;
    case Special::kNclusteridZ:
      return shape.grid.z / shape.cluster.z;
  }
  return 0;
}

void FillRegisters(Warp& w, const LaunchState& launch) {
  const Program& program = launch.program;
  for (const auto& [row, value] : program.constants) {
    auto d = w.R<uint64_t>(row);
    for (int lane = 0; lane < kLanes; ++lane) d.Set(lane, value);
  }
  for (const auto& [row, value] : program.constants32) {
    auto d = w.R<uint32_t>(row);
    for (int lane = 0; lane < kLanes; ++lane) d.Set(lane, static_cast<uint32_t>(value));
  }
  for (const auto& [row, special] : program.specials) {
    auto d = w.R<uint32_t>(row);
    for (int lane = 0; lane < kLanes; ++lane) d.Set(lane, SpecialValue(special, w, launch, lane));
  }
  for (const auto& [predicate, value] : program.predicate_constants) w.predicates[predicate] = value;
}

void StartBlock(Block& block, Cluster& cluster, const LaunchState& launch) {
  const Program& program = launch.program;
  const uint32_t threads = static_cast<uint32_t>(launch.shape.block.Count());
  const size_t warps = (threads + kLanes - 1) / kLanes;
  block.cluster = &cluster;
  block.alive = threads;
  block.shared.assign(launch.shared_bytes, kJunk);
  block.local.assign(warps * kLanes * program.info.local, kJunk);
  if (launch.settings.check_uninitialised) block.local_written.assign(block.local.size(), 0);
  block.registers.assign(warps * program.register_bytes + 64, 0);
  block.predicates.assign(warps * program.predicates, 0);
  std::fill(std::begin(block.barriers), std::end(block.barriers), Barrier{});
  block.tally = {};
  if (launch.work) block.tally.issued.resize(program.code.size());
  block.warps = std::vector<Warp>(warps);
  uint8_t* const registers =
      reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(block.registers.data()) + 63) & ~uintptr_t{63});
  for (size_t i = 0; i < warps; ++i) {
    Warp& w = block.warps[i];
    w.registers = registers + i * program.register_bytes;
    w.predicates = block.predicates.data() + i * program.predicates;
    w.block = &block;
    w.cluster = &cluster;
    w.index = static_cast<uint32_t>(i);
    w.cluster_index = static_cast<uint32_t>(block.rank * warps + i);
    const uint32_t lanes = std::min<uint32_t>(kLanes, threads - w.index * kLanes);
    w.exists = w.alive = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
    w.unawaiting = launch.shape.overlaps_prior ? w.exists : 0;
    w.observed = launch.settings.check_races || launch.settings.check_uninitialised || launch.settings.weak_memory;
    Group all;
    all.lanes = w.alive;
    w.groups.push_back(all);
    FillRegisters(w, launch);
  }
}

void RunCluster(Cluster& cluster, LaunchState& launch, uint64_t index) {
  const LaunchShape& shape = launch.shape;
  const Dim3 clusters{shape.grid.x / shape.cluster.x, shape.grid.y / shape.cluster.y, shape.grid.z / shape.cluster.z};
  cluster.launch = &launch;
  cluster.program = &launch.program;
  cluster.id = At(index, clusters);
  cluster.blocks.resize(shape.cluster.Count());
  cluster.threads = static_cast<uint32_t>(shape.cluster.Count() * shape.block.Count());
  cluster.exited = cluster.arrived = 0;
  cluster.phase = 1;
  cluster.clock = cluster.instructions = 0;
  cluster.random = launch.settings.seed * 0x100000001b3u + index;
  cluster.sent.clear();
  cluster.phases.clear();
  for (uint32_t rank = 0; rank < cluster.blocks.size(); ++rank) {
    Block& block = cluster.blocks[rank];
    const Dim3 in = At(rank, shape.cluster);
    block.rank = rank;
    block.id = {cluster.id.x * shape.cluster.x + in.x, cluster.id.y * shape.cluster.y + in.y,
                cluster.id.z * shape.cluster.z + in.z};
    StartBlock(block, cluster, launch);
  }
  const size_t warps = cluster.blocks.size() * cluster.blocks[0].warps.size();
  cluster.stores = launch.settings.weak_memory ? std::make_unique<StoreBuffer>(cluster, warps) : nullptr;
  cluster.races.reset();
  if (launch.settings.check_races || launch.settings.check_uninitialised) {
    cluster.races = std::make_unique<RaceChecker>(cluster, index);
  }
  Scheduler(cluster).Run();
  if (launch.work) {
    for (Block& block : cluster.blocks) launch.work->Add(block);
  }
}

void CheckShape(const Program& program, const LaunchShape& shape) {
  const auto refuse = [&](const std::string& message) {
    throw *MakeError(program, nullptr, Finding::kInvalid, message);
  };
  const uint64_t threads = shape.block.Count();
  if (threads == 0 || threads > 1024) refuse("blocks of " + Show(shape.block) + " threads");
  if (shape.grid.Count() == 0 || shape.cluster.Count() == 0) refuse("a grid of " + Show(shape.grid) + " blocks");
  if (shape.grid.x % shape.cluster.x || shape.grid.y % shape.cluster.y || shape.grid.z % shape.cluster.z) {
    refuse("clusters of " + Show(shape.cluster) + " blocks in a grid of " + Show(shape.grid));
  }
  if (shape.cluster.Count() > 16) refuse("clusters of " + Show(shape.cluster) + " blocks");
  if (program.info.max_threads && threads > program.info.max_threads) {
    refuse("blocks of " + std::to_string(threads) + " threads of a kernel for at most " +
           std::to_string(program.info.max_threads));
  }
  if (program.dynamic_shared_at + shape.dynamic_shared > kOffsetMask - kSharedBase) refuse("too much shared memory");
}

}  // namespace

uint64_t Launch(const Module& module, const std::string& kernel, const LaunchShape& shape, void* const* arguments,
                const Settings& settings, MemoryMap& memory, LaunchWork* work) {
  const Program& program = module.Decode(kernel);
  CheckShape(program, shape);
  LaunchState launch(program, shape, settings, memory);
  for (const Variable& v : module.variables()) {
    const uint64_t begin = reinterpret_cast<uint64_t>(v.address);
    launch.variables.push_back({begin, begin + v.size, v.name, nullptr});
  }
  launch.parameters.resize(program.parameter_bytes);
  for (size_t i = 0; i < program.info.parameters.size(); ++i) {
    const auto& parameter = program.info.parameters[i];
    std::memcpy(launch.parameters.data() + parameter.offset, arguments[i], parameter.size);
  }
  launch.shared_bytes = program.dynamic_shared_at + shape.dynamic_shared;

  if (!settings.check_uninitialised) memory.MarkAllInitialised();

  [[maybe_unused]] static const bool keeps = (KeepFreedMemory(), true);
  const uint64_t clusters = shape.grid.Count() / shape.cluster.Count();
  std::atomic<uint64_t> next{0}, instructions{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&] {
    Cluster cluster;
    try {
      for (uint64_t index; !launch.Failed() && (index = next.fetch_add(1)) < clusters;) {
        RunCluster(cluster, launch, index);
        instructions += cluster.instructions;
      }
    } catch (const SimulationError& error) {
      for (const Report& report : error.reports()) launch.Add(report);
      launch.Fail();
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      launch.Fail();
    }
  };
  const uint64_t threads = std::min<uint64_t>(clusters, static_cast<uint64_t>(std::max(1, settings.threads)));
  std::vector<std::thread> others;
  for (uint64_t i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
  if (std::vector<Report> reports = launch.TakeReports(); !reports.empty()) throw SimulationError(std::move(reports));
  if (launch.work) *work = launch.work->Work();
  return instructions;
}

}  // namespace fire::simulator
