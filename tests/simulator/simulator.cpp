#include "tests/simulator/simulator.h"

#include <tuple>
#include <utility>

#include "tests/simulator/runtime/runtime.h"

namespace fire::simulator {
namespace {

// A description differs from another if any of what the runtime says of the device does.
bool Same(const DeviceDescription& a, const DeviceDescription& b) {
  const auto all = [](const DeviceDescription& d) {
    return std::make_tuple(d.name, d.capability(), d.multiprocessors, d.cluster_groups, d.threads_per_multiprocessor,
                           d.blocks_per_multiprocessor, d.shared_per_multiprocessor, d.shared_per_block,
                           d.shared_per_block_opt_in, d.shared_reserved_per_block, d.portable_cluster,
                           d.largest_cluster, d.newest_code, d.driver, d.l2_bytes, d.memory_bytes);
  };
  return all(a) == all(b);
}

const DeviceDescription& Default(const Behaviour& behaviour) {
  return KnownDevice(behaviour.capability / 10, behaviour.capability % 10);
}

}  // namespace

void SetDeviceDescription(int device, const DeviceDescription& description) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  const DeviceDescription copy = description;
  runtime.ResetDevice(device, copy);
}

const DeviceDescription& GetDeviceDescription(int device) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  return runtime.devices[device]->description;
}

void SetBehaviour(const Behaviour& behaviour) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  for (int device = 0; device < kDevices; ++device) {
    if (runtime.devices[device]->fault == cudaSuccess) runtime.DrainDevice(device);
    if (behaviour.capability != runtime.behaviour.capability) runtime.ResetDevice(device, Default(behaviour));
  }
  runtime.behaviour = behaviour;
  runtime.turns.seed(behaviour.launch.seed);
}

const Behaviour& GetBehaviour() {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  return runtime.behaviour;
}

void RegisterMemory(const void* begin, size_t bytes, const std::string& name) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  runtime.host_memory[reinterpret_cast<uintptr_t>(begin)] = {bytes, name, false};
  for (auto& device : runtime.devices) device->memory.Register(begin, bytes, name, true);
}

void UnregisterMemory(const void* begin) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  for (auto& device : runtime.devices) {
    if (device->fault == cudaSuccess) runtime.DrainDevice(device->ordinal);
    device->memory.Unregister(begin);
  }
  runtime.host_memory.erase(reinterpret_cast<uintptr_t>(begin));
}

std::vector<Report> TakeReports() {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  std::vector<Report> taken;
  taken.swap(runtime.reports);
  return taken;
}

std::vector<LaunchWork> TakeWork() {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  return std::exchange(runtime.work, {});
}

Counters GetCounters() {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  return runtime.counters;
}

void Reset() {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  const Behaviour behaviour = BehaviourOfEnvironment();
  for (auto& device : runtime.devices) {
    if (device->fault != cudaSuccess || !Same(device->description, Default(behaviour))) {
      runtime.ResetDevice(device->ordinal, Default(behaviour));
    }
  }
  SetBehaviour(behaviour);
  runtime.reports.clear();
  runtime.work.clear();
  runtime.counters = {};
  current_device = 0;
  last_error = cudaSuccess;
}

}  // namespace fire::simulator
