// Devices as they are sold, from NVIDIA's table of compute capabilities and the boards' data sheets.
#include <array>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

constexpr size_t KiB(size_t n) { return n << 10; }
constexpr size_t MiB(size_t n) { return n << 20; }
constexpr size_t GiB(size_t n) { return n << 30; }

DeviceDescription Describe(const char* name, int capability, int multiprocessors, int threads, int blocks,
                           size_t shared, size_t opt_in, size_t l2, size_t memory) {
  DeviceDescription device;
  device.name = name;
  device.major = capability / 10;
  device.minor = capability % 10;
  device.multiprocessors = multiprocessors;
  device.cluster_groups.assign(multiprocessors / 18, 18);
  if (multiprocessors % 18 != 0) device.cluster_groups.push_back(multiprocessors % 18);
  device.threads_per_multiprocessor = threads;
  device.blocks_per_multiprocessor = blocks;
  device.shared_per_multiprocessor = shared;
  device.shared_per_block_opt_in = opt_in;
  device.shared_reserved_per_block = capability < 80 ? 0 : KiB(1);
  device.portable_cluster = capability < 90 ? 1 : 8;
  device.largest_cluster = capability < 90 ? 1 : capability < 120 ? 16 : 8;
  device.l2_bytes = l2;
  device.memory_bytes = memory;
  return device;
}

// In groups that hold 15 clusters of 8 blocks, as an H100's do (github.com/accel-sim/gpu-app-collection, pull 87).
DeviceDescription Grouped(DeviceDescription device, std::vector<int> groups) {
  device.cluster_groups = std::move(groups);
  return device;
}

}  // namespace

const DeviceDescription& KnownDevice(int major, int minor) {
  static const std::array<DeviceDescription, 7> devices = {
      Describe("Simulated T4", 75, 40, 1024, 16, KiB(64), KiB(64), MiB(4), GiB(16)),
      Describe("Simulated A100", 80, 108, 2048, 32, KiB(164), KiB(163), MiB(40), GiB(80)),
      Describe("Simulated A10", 86, 72, 1536, 16, KiB(100), KiB(99), MiB(6), GiB(24)),
      Describe("Simulated L4", 89, 58, 1536, 24, KiB(100), KiB(99), MiB(48), GiB(24)),
      Grouped(Describe("Simulated H200", 90, 132, 2048, 32, KiB(228), KiB(227), MiB(60), GiB(141)),
              {18, 18, 18, 18, 18, 18, 16, 8}),
      Describe("Simulated B200", 100, 148, 2048, 32, KiB(228), KiB(227), MiB(126), GiB(180)),
      Describe("Simulated RTX 5090", 120, 170, 1536, 24, KiB(100), KiB(99), MiB(96), GiB(32)),
  };
  for (const DeviceDescription& device : devices) {
    if (device.major == major && device.minor == minor) return device;
  }
  throw std::out_of_range("no known device of compute capability " + std::to_string(major) + "." +
                          std::to_string(minor));
}

}  // namespace fire::simulator
