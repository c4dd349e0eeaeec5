// Memory of the devices, and memory of the host that they can reach.
#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Arena;
using fire::simulator::Call;
using fire::simulator::current_device;
using fire::simulator::Device;
using fire::simulator::HostRange;
using fire::simulator::Runtime;
using fire::simulator::Stream;

cudaError_t Allocate(Runtime& runtime, Device& device, void** pointer, size_t bytes) {
  if (!pointer) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  ++runtime.counters.allocations;
  *pointer = device.arena.Allocate(bytes);
  if (!*pointer) return cudaErrorMemoryAllocation;
  device.memory.Register(*pointer, bytes, "cudaMalloc of " + std::to_string(bytes) + " bytes", false);
  return cudaSuccess;
}

Device* OwnerOf(Runtime& runtime, const void* pointer) {
  for (auto& device : runtime.devices) {
    const Arena::Piece* piece = device->arena.Find(pointer);
    if (piece && piece->begin == reinterpret_cast<uintptr_t>(pointer)) return device.get();
  }
  return nullptr;
}

void Release(Device& device, void* pointer) {
  device.memory.Unregister(pointer);
  device.arena.Free(pointer);
}

void AddHostRange(Runtime& runtime, void* begin, size_t bytes, const std::string& name) {
  runtime.host_memory[reinterpret_cast<uintptr_t>(begin)] = {bytes, name, true};
  for (auto& device : runtime.devices) device->memory.Register(begin, bytes, name, true);
}

cudaError_t RemoveHostRange(Runtime& runtime, void* begin, cudaError_t unknown) {
  const auto found = runtime.host_memory.find(reinterpret_cast<uintptr_t>(begin));
  if (found == runtime.host_memory.end() || !found->second.page_locked) return unknown;
  runtime.host_memory.erase(found);
  for (auto& device : runtime.devices) device->memory.Unregister(begin);
  return cudaSuccess;
}

}  // namespace

extern "C" {

// ---- memory of the device ----
cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return Call([&](Runtime& runtime) {
    const cudaError_t refused = runtime.RefuseDuringCapture();
    return refused != cudaSuccess ? refused : Allocate(runtime, runtime.Current(), pointer, bytes);
  });
}

cudaError_t cudaFree(void* pointer) {
  return Call([&](Runtime& runtime) {
    const cudaError_t refused = runtime.RefuseDuringCapture();
    if (refused != cudaSuccess || !pointer) return refused;
    Device* device = OwnerOf(runtime, pointer);
    if (!device) return cudaErrorInvalidValue;
    runtime.DrainDevice(device->ordinal);
    Release(*device, pointer);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t handle) {
  return Call([&](Runtime& runtime) {
    const Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture) return cudaErrorNotSupported;
    return Allocate(runtime, *runtime.devices[stream->device], pointer, bytes);
  });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->capture) return cudaErrorNotSupported;
    if (!pointer) return cudaSuccess;
    Device* device = OwnerOf(runtime, pointer);
    if (!device) return cudaErrorInvalidValue;
    return runtime.Enqueue(*stream, {cudaGraphNodeTypeMemFree, [&runtime, pointer, ordinal = device->ordinal] {
                                       Release(*runtime.devices[ordinal], pointer);
                                     }});
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return Call([&](Runtime& runtime) {
    const Arena& arena = runtime.Current().arena;
    *free = arena.capacity() - arena.in_use();
    *total = arena.capacity();
    return cudaSuccess;
  });
}

// ---- memory of the host that devices can reach ----
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) {
  return Call([&](Runtime& runtime) {
    if (!pointer) return cudaErrorInvalidValue;
    const cudaError_t refused = runtime.RefuseDuringCapture();
    if (refused != cudaSuccess) return refused;
    *pointer = nullptr;
    if (bytes == 0) return cudaSuccess;
    ++runtime.counters.allocations;
    *pointer = runtime.page_locked.Allocate(bytes);
    if (!*pointer) return cudaErrorMemoryAllocation;
    AddHostRange(runtime, *pointer, bytes, "cudaHostAlloc of " + std::to_string(bytes) + " bytes");
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* pointer) {
  return Call([&](Runtime& runtime) {
    if (!pointer) return cudaSuccess;
    if (!runtime.page_locked.Find(pointer)) return cudaErrorInvalidValue;
    for (auto& device : runtime.devices) runtime.DrainDevice(device->ordinal);
    const cudaError_t error = RemoveHostRange(runtime, pointer, cudaErrorInvalidValue);
    if (error == cudaSuccess) runtime.page_locked.Free(pointer);
    return error;
  });
}

cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return Call([&](Runtime& runtime) {
    if (!pointer || bytes == 0) return cudaErrorInvalidValue;
    if (runtime.host_memory.count(reinterpret_cast<uintptr_t>(pointer))) return cudaErrorHostMemoryAlreadyRegistered;
    AddHostRange(runtime, pointer, bytes, "cudaHostRegister of " + std::to_string(bytes) + " bytes");
    return cudaSuccess;
  });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return Call([&](Runtime& runtime) {
    for (auto& device : runtime.devices) runtime.DrainDevice(device->ordinal);
    return RemoveHostRange(runtime, pointer, cudaErrorHostMemoryNotRegistered);
  });
}

cudaError_t cudaHostGetDevicePointer(void** device_pointer, void* pointer, unsigned) {
  return Call([&](Runtime& runtime) {
    if (!runtime.Current().memory.Contains(pointer, 1)) return cudaErrorInvalidValue;
    *device_pointer = pointer;
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return Call([&](Runtime& runtime) {
    *attributes = {};
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;
    for (auto& device : runtime.devices) {
      if (!device->memory.Contains(pointer, 1)) continue;
      const HostRange* range = runtime.FindHost(pointer);
      const bool host = range && range->page_locked;
      attributes->type = host ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
      attributes->device = range ? current_device : device->ordinal;
      attributes->devicePointer = const_cast<void*>(pointer);
      attributes->hostPointer = host ? const_cast<void*>(pointer) : nullptr;
      break;
    }
    return cudaSuccess;
  });
}

}  // extern "C"
