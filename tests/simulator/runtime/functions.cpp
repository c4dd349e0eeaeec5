// What a kernel is allowed, what it needs, and how many of its blocks and clusters a device holds.
#include <cuda_occupancy.h>

#include <algorithm>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::Device;
using fire::simulator::DeviceDescription;
using fire::simulator::Kernel;
using fire::simulator::KernelAttributes;
using fire::simulator::KernelInfo;
using fire::simulator::Module;
using fire::simulator::Runtime;

// PTX does not tell how many registers a kernel will get: this many, or fewer where its launch bounds leave fewer.
constexpr int kAssumedRegisters = 32;
constexpr int kRegistersPerMultiprocessor = 65536;

struct Function {
  const KernelInfo* info = nullptr;
  KernelAttributes* attributes = nullptr;
  int target = 0;
};

cudaError_t Find(Runtime& runtime, const void* function, Function* found) {
  const Kernel* kernel = runtime.FindKernel(function);
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  const Module* module = nullptr;
  const cudaError_t missing = runtime.Load(runtime.Current(), *kernel->binary, &module);
  if (missing != cudaSuccess) return missing;
  found->info = module->FindKernel(kernel->name);
  found->attributes = &runtime.Current().attributes[kernel];
  found->target = module->target();
  return found->info ? cudaSuccess : cudaErrorInvalidDeviceFunction;
}

int Registers(const KernelInfo& kernel) {
  if (!kernel.max_threads || !kernel.min_blocks) return kAssumedRegisters;
  const int threads = static_cast<int>(kernel.max_threads * kernel.min_blocks);
  return std::min(kAssumedRegisters, kRegistersPerMultiprocessor / threads / 8 * 8);
}

int MaxThreads(const KernelInfo& kernel) {
  return kernel.max_threads ? static_cast<int>(std::min(kernel.max_threads, 1024u)) : 1024;
}

size_t MaxDynamicShared(const DeviceDescription& device, const Function& function) {
  if (function.attributes->max_dynamic_shared >= 0) return function.attributes->max_dynamic_shared;
  return device.shared_per_block - std::min(device.shared_per_block, function.info->static_shared);
}

int BlocksPerMultiprocessor(const DeviceDescription& device, const Function& function, int threads, size_t dynamic) {
  cudaOccDeviceProp properties;
  properties.computeMajor = device.major;
  properties.computeMinor = device.minor;
  properties.maxThreadsPerBlock = 1024;
  properties.maxThreadsPerMultiprocessor = device.threads_per_multiprocessor;
  properties.regsPerBlock = kRegistersPerMultiprocessor;
  properties.regsPerMultiprocessor = kRegistersPerMultiprocessor;
  properties.warpSize = 32;
  properties.sharedMemPerBlock = device.shared_per_block;
  properties.sharedMemPerMultiprocessor = device.shared_per_multiprocessor;
  properties.numSms = device.multiprocessors;
  properties.sharedMemPerBlockOptin = device.shared_per_block_opt_in;
  properties.reservedSharedMemPerBlock = device.shared_reserved_per_block;

  cudaOccFuncAttributes attributes;
  attributes.maxThreadsPerBlock = MaxThreads(*function.info);
  attributes.numRegs = Registers(*function.info);
  attributes.sharedSizeBytes = function.info->static_shared;
  attributes.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  attributes.maxDynamicSharedSizeBytes = MaxDynamicShared(device, function);
  attributes.numBlockBarriers = 1;

  const cudaOccDeviceState state;
  cudaOccResult result;
  const cudaOccError error =
      cudaOccMaxActiveBlocksPerMultiprocessor(&result, &properties, &attributes, &state, threads, dynamic);
  return error == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : 0;
}

int LargestCluster(const DeviceDescription& device, const Function& function) {
  return function.attributes->non_portable_cluster ? device.largest_cluster : device.portable_cluster;
}

uint64_t ClusterBlocks(const cudaLaunchConfig_t& config) {
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id != cudaLaunchAttributeClusterDimension) continue;
    const auto& cluster = config.attrs[i].val.clusterDim;
    return uint64_t{cluster.x} * cluster.y * cluster.z;
  }
  return 1;
}

// Clusters of that many blocks at once: each within one group of multiprocessors.
int ActiveClusters(const DeviceDescription& device, const Function& function, const cudaLaunchConfig_t& config,
                   uint64_t cluster) {
  const auto threads = static_cast<int>(config.blockDim.x * config.blockDim.y * config.blockDim.z);
  const uint64_t blocks = BlocksPerMultiprocessor(device, function, threads, config.dynamicSmemBytes);
  uint64_t clusters = 0;
  for (const int group : device.cluster_groups) clusters += group * blocks / cluster;
  return static_cast<int>(clusters);
}

}  // namespace

extern "C" {

cudaError_t cudaFuncSetAttribute(const void* pointer, cudaFuncAttribute attribute, int value) {
  return Call([&](Runtime& runtime) {
    Function function;
    const cudaError_t error = Find(runtime, pointer, &function);
    if (error != cudaSuccess) return error;
    const DeviceDescription& device = runtime.Current().description;
    switch (attribute) {
      case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0 || value + function.info->static_shared > device.shared_per_block_opt_in) {
          return cudaErrorInvalidValue;
        }
        function.attributes->max_dynamic_shared = value;
        return cudaSuccess;
      case cudaFuncAttributePreferredSharedMemoryCarveout:
        if (value < -1 || value > 100) return cudaErrorInvalidValue;
        function.attributes->carveout = value;
        return cudaSuccess;
      case cudaFuncAttributeNonPortableClusterSizeAllowed:
        if (device.portable_cluster == 1) return cudaErrorNotSupported;
        function.attributes->non_portable_cluster = value != 0;
        return cudaSuccess;
      default:
        return cudaErrorNotSupported;
    }
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* pointer) {
  return Call([&](Runtime& runtime) {
    Function function;
    const cudaError_t error = Find(runtime, pointer, &function);
    if (error != cudaSuccess) return error;
    const DeviceDescription& device = runtime.Current().description;
    *attributes = {};
    attributes->sharedSizeBytes = function.info->static_shared;
    attributes->localSizeBytes = function.info->local;
    attributes->maxThreadsPerBlock = MaxThreads(*function.info);
    attributes->numRegs = Registers(*function.info);
    attributes->ptxVersion = function.target;
    attributes->binaryVersion = device.capability();
    attributes->maxDynamicSharedSizeBytes = static_cast<int>(MaxDynamicShared(device, function));
    attributes->preferredShmemCarveout = function.attributes->carveout;
    attributes->nonPortableClusterSizeAllowed = function.attributes->non_portable_cluster;
    attributes->requiredClusterWidth = static_cast<int>(function.info->required_cluster.x);
    attributes->requiredClusterHeight = static_cast<int>(function.info->required_cluster.y);
    attributes->requiredClusterDepth = static_cast<int>(function.info->required_cluster.z);
    attributes->clusterDimMustBeSet = attributes->requiredClusterWidth != 0;
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* pointer, int threads,
                                                                   size_t dynamic, unsigned) {
  return Call([&](Runtime& runtime) {
    Function function;
    const cudaError_t error = Find(runtime, pointer, &function);
    if (error != cudaSuccess) return error;
    if (threads <= 0) return cudaErrorInvalidValue;
    *blocks = BlocksPerMultiprocessor(runtime.Current().description, function, threads, dynamic);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads,
                                                          size_t dynamic) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, dynamic, 0);
}

cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void* pointer, const cudaLaunchConfig_t* config) {
  return Call([&](Runtime& runtime) {
    Function function;
    const cudaError_t error = Find(runtime, pointer, &function);
    if (error != cudaSuccess) return error;
    const DeviceDescription& device = runtime.Current().description;
    const uint64_t cluster = ClusterBlocks(*config);
    if (cluster == 0 || cluster > static_cast<uint64_t>(LargestCluster(device, function))) {
      return cudaErrorInvalidClusterSize;
    }
    *clusters = ActiveClusters(device, function, *config, cluster);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void* pointer, const cudaLaunchConfig_t* config) {
  return Call([&](Runtime& runtime) {
    Function function;
    const cudaError_t error = Find(runtime, pointer, &function);
    if (error != cudaSuccess) return error;
    const DeviceDescription& device = runtime.Current().description;
    int largest = LargestCluster(device, function);
    while (largest > 1 && ActiveClusters(device, function, *config, largest) == 0) largest /= 2;
    *size = largest;
    return cudaSuccess;
  });
}

}  // extern "C"
