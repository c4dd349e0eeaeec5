// Launches: what the real runtime refuses is refused here with the same error; the rest runs on the machine.
#include <cstring>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::CallDespiteFault;
using fire::simulator::Device;
using fire::simulator::DeviceDescription;
using fire::simulator::Dim3;
using fire::simulator::Kernel;
using fire::simulator::KernelAttributes;
using fire::simulator::KernelInfo;
using fire::simulator::LaunchShape;
using fire::simulator::LaunchWork;
using fire::simulator::Module;
using fire::simulator::Runtime;
using fire::simulator::Settings;
using fire::simulator::SimulationError;
using fire::simulator::Stream;

Dim3 ToDim3(const dim3& d) { return {d.x, d.y, d.z}; }
bool Given(const Dim3& d) { return d.Count() != 0; }
bool Same(const Dim3& a, const Dim3& b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

cudaError_t CheckShape(const DeviceDescription& device, const KernelInfo& kernel, const KernelAttributes& attributes,
                       const LaunchShape& shape) {
  const Dim3 &grid = shape.grid, &block = shape.block, &cluster = shape.cluster;
  if (!Given(grid) || !Given(block)) return cudaErrorInvalidConfiguration;
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidConfiguration;
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || block.Count() > 1024) return cudaErrorInvalidConfiguration;
  if (kernel.max_threads && block.Count() > kernel.max_threads) return cudaErrorInvalidValue;

  const size_t unasked = device.shared_per_block - std::min(device.shared_per_block, kernel.static_shared);
  const size_t allowed =
      attributes.max_dynamic_shared < 0 ? unasked : static_cast<size_t>(attributes.max_dynamic_shared);
  if (shape.dynamic_shared > allowed) return cudaErrorInvalidValue;
  if (shape.dynamic_shared + kernel.static_shared > device.shared_per_block_opt_in) return cudaErrorInvalidValue;

  if (Given(kernel.required_cluster) && !Same(cluster, kernel.required_cluster)) return cudaErrorInvalidClusterSize;
  const int largest = attributes.non_portable_cluster ? device.largest_cluster : device.portable_cluster;
  if (cluster.Count() > static_cast<uint64_t>(largest)) return cudaErrorInvalidClusterSize;
  if (grid.x % cluster.x || grid.y % cluster.y || grid.z % cluster.z) return cudaErrorInvalidClusterSize;
  return cudaSuccess;
}

// The values of a launch's arguments, which the caller may change as soon as the launch returns.
class Arguments {
 public:
  Arguments(const KernelInfo& kernel, void** values) {
    size_t bytes = 0;
    for (const auto& parameter : kernel.parameters) bytes = std::max(bytes, parameter.offset + parameter.size);
    storage_.resize((bytes + sizeof(Unit) - 1) / sizeof(Unit));
    auto* base = reinterpret_cast<char*>(storage_.data());
    for (size_t i = 0; i < kernel.parameters.size(); ++i) {
      pointers_.push_back(base + kernel.parameters[i].offset);
      std::memcpy(pointers_.back(), values[i], kernel.parameters[i].size);
    }
  }
  void* const* pointers() const { return pointers_.data(); }

 private:
  struct alignas(16) Unit {
    char bytes[16];
  };
  std::vector<Unit> storage_;
  std::vector<void*> pointers_;
};

void RunLaunch(Runtime& runtime, Device& device, const Kernel& kernel, const LaunchShape& shape,
               const Arguments& arguments) {
  const Module* module = nullptr;
  device.fault = runtime.Load(device, *kernel.binary, &module);
  if (device.fault != cudaSuccess) return;
  ++runtime.counters.launches;
  try {
    LaunchWork work;
    const Settings& settings = runtime.behaviour.launch;
    runtime.counters.instructions +=
        fire::simulator::Launch(*module, kernel.name, shape, arguments.pointers(), settings, device.memory, &work);
    if (settings.count_work) runtime.work.push_back(std::move(work));
  } catch (const SimulationError& error) {
    runtime.Leave(device, error.reports());
  }
}

struct Request {
  const void* function = nullptr;
  LaunchShape shape;
  bool cluster_given = false;
  cudaStream_t stream = nullptr;
  void** arguments = nullptr;
};

cudaError_t LaunchKernel(Runtime& runtime, Request request) {
  const Kernel* kernel = runtime.FindKernel(request.function);
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  Stream* stream = runtime.FindStream(request.stream);
  Device& device = runtime.Current();
  if (!stream || stream->device != device.ordinal) return cudaErrorInvalidResourceHandle;

  const Module* module = nullptr;
  const cudaError_t missing = runtime.Load(device, *kernel->binary, &module);
  if (missing != cudaSuccess) return missing;
  const KernelInfo* info = module->FindKernel(kernel->name);
  if (!info) return cudaErrorInvalidDeviceFunction;
  request.shape.overlaps_prior &= device.description.capability() >= 90;  // older devices never overlap kernels
  constexpr int kGraphsHoldOverlap = 12030;
  if (stream->capture && request.shape.overlaps_prior && device.description.driver < kGraphsHoldOverlap) {
    return cudaErrorNotSupported;
  }
  if (!request.cluster_given && Given(info->required_cluster)) request.shape.cluster = info->required_cluster;
  request.shape.carveout = device.attributes[kernel].carveout;
  const cudaError_t refused = CheckShape(device.description, *info, device.attributes[kernel], request.shape);
  if (refused != cudaSuccess) return refused;

  return runtime.Enqueue(*stream,
                         {cudaGraphNodeTypeKernel, [&runtime, kernel, ordinal = device.ordinal, shape = request.shape,
                                                    arguments = std::make_shared<Arguments>(*info, request.arguments)] {
                            RunLaunch(runtime, *runtime.devices[ordinal], *kernel, shape, *arguments);
                          }});
}

cudaError_t ReadLaunchAttributes(const cudaLaunchConfig_t& config, Request* request) {
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    switch (attribute.id) {
      case cudaLaunchAttributeClusterDimension:
        request->shape.cluster = {attribute.val.clusterDim.x, attribute.val.clusterDim.y, attribute.val.clusterDim.z};
        if (!Given(request->shape.cluster)) return cudaErrorInvalidValue;
        request->cluster_given = true;
        break;
      case cudaLaunchAttributeIgnore:
      case cudaLaunchAttributePriority:
      case cudaLaunchAttributeClusterSchedulingPolicyPreference:
      case cudaLaunchAttributeAccessPolicyWindow:
        break;
      // The simulated device never lets them overlap, but holds the kernel to what it must keep if they did.
      case cudaLaunchAttributeProgrammaticStreamSerialization:
        request->shape.overlaps_prior = attribute.val.programmaticStreamSerializationAllowed != 0;
        break;
      default:
        return cudaErrorNotSupported;
    }
  }
  return cudaSuccess;
}

struct CallConfiguration {
  dim3 grid, block;
  size_t shared = 0;
  cudaStream_t stream = nullptr;
};
thread_local std::vector<CallConfiguration> pushed;

}  // namespace

extern "C" {

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed.push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (pushed.empty()) return cudaErrorInvalidConfiguration;
  const CallConfiguration& top = pushed.back();
  *grid = top.grid;
  *block = top.block;
  *shared = top.shared;
  *static_cast<cudaStream_t*>(stream) = top.stream;
  pushed.pop_back();
  return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                             cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    const LaunchShape shape{ToDim3(grid), ToDim3(block), {}, shared};
    return LaunchKernel(runtime, {function, shape, false, stream, arguments});
  });
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                               cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return Call([&](Runtime& runtime) {
    Request request{function,
                    {ToDim3(config->gridDim), ToDim3(config->blockDim), {}, config->dynamicSmemBytes},
                    false,
                    config->stream,
                    arguments};
    const cudaError_t refused = ReadLaunchAttributes(*config, &request);
    return refused != cudaSuccess ? refused : LaunchKernel(runtime, request);
  });
}

}  // extern "C"
