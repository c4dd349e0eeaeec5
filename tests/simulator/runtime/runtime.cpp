#include "tests/simulator/runtime/runtime.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace fire::simulator {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t Remember(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

Device::Device(int ordinal, const DeviceDescription& description)
    : ordinal(ordinal), description(description), arena(description.memory_bytes, Arena::Access::kDevice) {
  legacy.device = ordinal;
  legacy.legacy = true;
}

// Never destroyed: programs unregister their binaries after the last static object is gone.
Runtime& Runtime::Get() {
  static Runtime& runtime = *new Runtime;
  return runtime;
}

Runtime::Runtime() : behaviour(BehaviourOfEnvironment()) {
  const DeviceDescription& description = KnownDevice(behaviour.capability / 10, behaviour.capability % 10);
  for (int ordinal = 0; ordinal < kDevices; ++ordinal) ResetDevice(ordinal, description);
}

Device& Runtime::Current() const { return *devices[current_device]; }

void Runtime::ResetDevice(int ordinal, const DeviceDescription& description) {
  if (devices[ordinal] && devices[ordinal]->fault == cudaSuccess) DrainDevice(ordinal);
  for (Capture* capture : captures) {
    if (capture->origin->device == ordinal) capture->invalid = true;
  }
  for (auto& [handle, stream] : streams) {
    if (stream->device == ordinal) stream->queue.clear();
  }
  devices[ordinal] = std::make_unique<Device>(ordinal, description);
  for (const auto& [begin, range] : host_memory) {
    devices[ordinal]->memory.Register(reinterpret_cast<void*>(begin), range.bytes, range.name, true);
  }
}

Stream* Runtime::FindStream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &Current().legacy;
  const auto found = streams.find(reinterpret_cast<Stream*>(handle));
  return found == streams.end() ? nullptr : found->second.get();
}

const HostRange* Runtime::FindHost(const void* pointer) const {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const auto after = host_memory.upper_bound(address);
  if (after == host_memory.begin()) return nullptr;
  const auto& [begin, range] = *std::prev(after);
  return address - begin < range.bytes ? &range : nullptr;
}

const Kernel* Runtime::FindKernel(const void* function) const {
  const auto found = kernels.find(function);
  if (found != kernels.end()) return &found->second;
  for (const auto& [stub, kernel] : kernels) {
    if (&kernel == function) return &kernel;
  }
  return nullptr;
}

cudaError_t Runtime::Load(Device& device, const Binary& binary, const Module** module) {
  std::unique_ptr<Module>& loaded = device.modules[&binary];
  if (!loaded) {
    const PtxImage* image =
        ChooseImage(binary.images, std::min(device.description.capability(), device.description.newest_code));
    if (!image) return cudaErrorNoKernelImageForDevice;
    try {
      loaded = Module::Parse(std::string(image->text));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "simulated device: %s\n", error.what());
      return cudaErrorInvalidPtx;
    }
    for (const Variable& variable : loaded->variables()) {
      if (variable.size) device.memory.Register(variable.address, variable.size, variable.name, true);
    }
  }
  *module = loaded.get();
  return cudaSuccess;
}

namespace {

// What a real device would answer; success for what it would not notice.
cudaError_t FaultOf(Finding finding) {
  switch (finding) {
    case Finding::kOutOfBounds:
      return cudaErrorIllegalAddress;
    case Finding::kMisaligned:
      return cudaErrorMisalignedAddress;
    case Finding::kBudget:
      return cudaErrorLaunchTimeout;
    case Finding::kUnknownInstruction:
      return cudaErrorIllegalInstruction;
    default:
      return cudaErrorLaunchFailure;
  }
}

}  // namespace

void Runtime::Leave(Device& device, const std::vector<Report>& found) {
  for (const Report& report : found) {
    std::fprintf(stderr, "simulated device %d: %s\n", device.ordinal, report.Text().c_str());
    reports.push_back(report);
    device.fault = FaultOf(report.finding);
  }
}

// ---- streams ----
cudaError_t Runtime::Enqueue(Stream& stream, Operation operation) {
  if (Capture* capture = stream.capture) {
    if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
    auto& nodes = capture->graph->nodes;
    nodes.push_back(std::make_unique<GraphNode>(GraphNode{std::move(operation)}));
    ++capture->clocks[&stream][&stream];
    return cudaSuccess;
  }
  if (stream.legacy) {
    const cudaError_t refused = RefuseImplicitSynchronisation(stream);
    if (refused != cudaSuccess) return refused;
    for (auto& [handle, other] : streams) {
      if (other->device == stream.device && other->blocking()) Drain(*other);
    }
  } else if (stream.blocking()) {
    Drain(devices[stream.device]->legacy);
  }
  stream.queue.push_back(std::move(operation));
  if (!behaviour.deferred) Drain(stream);
  return cudaSuccess;
}

void Runtime::RunFront(Stream& stream) {
  Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  Device& device = *devices[stream.device];
  if (device.fault != cudaSuccess) return;
  const OpenArena open(device.arena);
  operation.run();
}

void Runtime::Drain(Stream& stream) {
  while (!stream.queue.empty()) RunFront(stream);
}

void Runtime::DrainDevice(int ordinal) {
  for (;;) {
    std::vector<Stream*> pending;
    if (!devices[ordinal]->legacy.queue.empty()) pending.push_back(&devices[ordinal]->legacy);
    for (auto& [handle, stream] : streams) {
      if (stream->device == ordinal && !stream->queue.empty()) pending.push_back(stream.get());
    }
    if (pending.empty()) return;
    RunFront(*pending[turns() % pending.size()]);
  }
}

void Runtime::DrainUntil(const Recording& recording) {
  while (!recording.done && !recording.stream->queue.empty()) RunFront(*recording.stream);
}

cudaError_t Runtime::RefuseDuringCapture() {
  cudaError_t refused = cudaSuccess;
  for (Capture* capture : captures) {
    const bool forbids =
        capture->mode == cudaStreamCaptureModeGlobal ||
        (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread == std::this_thread::get_id());
    if (!forbids) continue;
    capture->invalid = true;
    refused = cudaErrorStreamCaptureUnsupported;
  }
  return refused;
}

cudaError_t Runtime::RefuseImplicitSynchronisation(const Stream& legacy) {
  cudaError_t refused = cudaSuccess;
  for (Capture* capture : captures) {
    for (const auto& [stream, clock] : capture->clocks) {
      if (stream->device != legacy.device || !stream->blocking()) continue;
      capture->invalid = true;
      refused = cudaErrorStreamCaptureImplicit;
    }
  }
  return refused;
}

}  // namespace fire::simulator
