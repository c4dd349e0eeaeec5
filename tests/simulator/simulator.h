// What a test says to the simulated devices behind the stand-in for libcudart: what they are, what they check, and what
// they found. A program linked with the real libcudart has none of this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/machine/machine.h"

namespace fire::simulator {

constexpr int kDevices = 2;

// What the runtime says of a device, and what its launches are held to.
struct DeviceDescription {
  std::string name;
  int major = 9, minor = 0;  // compute capability
  int multiprocessors = 132;
  std::vector<int> cluster_groups = {18, 18, 18, 18, 18, 18, 16, 8};  // multiprocessors of each: a cluster has one
  int threads_per_multiprocessor = 2048;
  int blocks_per_multiprocessor = 32;
  size_t shared_per_multiprocessor = 233472;
  size_t shared_per_block = 49152;          // without opting in
  size_t shared_per_block_opt_in = 232448;  // at most
  size_t shared_reserved_per_block = 1024;
  int portable_cluster = 8;  // blocks; 1: no clusters
  int largest_cluster = 16;  // with cudaFuncAttributeNonPortableClusterSizeAllowed
  int newest_code = 990;     // it takes no PTX beyond: as if a program had none
  int driver = 13000;        // 1000 · major + 10 · minor of the CUDA that it knows
  size_t l2_bytes = 60 << 20;
  size_t memory_bytes = size_t{141} << 30;  // address space only: what a test touches is what it costs

  int capability() const { return 10 * major + minor; }
};

// A device of that compute capability as it is sold: 7.5, 8.0, 8.6, 8.9, 9.0, 10.0 or 12.0; std::out_of_range
// otherwise.
const DeviceDescription& KnownDevice(int major, int minor);

// Resets the device too, as cudaDeviceReset does.
void SetDeviceDescription(int device, const DeviceDescription& description);
const DeviceDescription& GetDeviceDescription(int device);

// How launches run. At first what the environment variable FIRE_SIMULATOR says: a list such as
// "seed=3,races,uninitialised,bounds,weak,deferred,budget=100000000,threads=2,capability=8.0".
struct Behaviour {
  Settings launch;
  // Work waits in its stream until a call synchronises with it, and streams take turns in an order from the seed;
  // otherwise it is done when the call that enqueues it returns.
  bool deferred = false;
  int capability = 90;  // 10 · major + minor of both devices, until SetDeviceDescription
};
void SetBehaviour(const Behaviour& behaviour);  // resets the devices if their capability changes
const Behaviour& GetBehaviour();
Behaviour BehaviourOfEnvironment();
Behaviour ParseBehaviour(const std::string& list);  // throws std::invalid_argument naming the word it does not know

// Host memory that kernels may touch, such as the storage of a tensor; initialised, on every device.
void RegisterMemory(const void* begin, size_t bytes, const std::string& name);
void UnregisterMemory(const void* begin);

// What launches left since the last call, in order of discovery. Each was printed on stderr when it was found.
std::vector<Report> TakeReports();

// The work of the launches since the last call or Reset, where Settings::count_work asks for it.
std::vector<LaunchWork> TakeWork();

// Since the start or the last Reset.
struct Counters {
  uint64_t launches = 0;
  uint64_t instructions = 0;  // of warps
  uint64_t copies = 0;        // and fills
  uint64_t allocations = 0;
  uint64_t synchronisations = 0;  // calls that made the host wait for a device
};
Counters GetCounters();

// Behaviour, descriptions, reports, work and counters as at the start of the program. A device that a fault poisoned,
// or that was described otherwise, is reset; what other devices hold stays, and so does memory registered by
// RegisterMemory.
void Reset();

}  // namespace fire::simulator
