// Devices: which there are, and what they say of themselves.
#include <algorithm>
#include <cstring>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::CallDespiteFault;
using fire::simulator::current_device;
using fire::simulator::DeviceDescription;
using fire::simulator::kDevices;
using fire::simulator::Runtime;

constexpr int kRegistersPerMultiprocessor = 65536;
constexpr int kRuntimeVersion = CUDART_VERSION;

bool Exists(int device) { return device >= 0 && device < kDevices; }

cudaDeviceProp PropertiesOf(const DeviceDescription& device) {
  cudaDeviceProp properties = {};
  std::strncpy(properties.name, device.name.c_str(), sizeof properties.name - 1);
  properties.totalGlobalMem = device.memory_bytes;
  properties.sharedMemPerBlock = device.shared_per_block;
  properties.regsPerBlock = kRegistersPerMultiprocessor;
  properties.warpSize = 32;
  properties.memPitch = 0x7fffffff;
  properties.maxThreadsPerBlock = 1024;
  std::copy_n(std::begin({1024, 1024, 64}), 3, properties.maxThreadsDim);
  std::copy_n(std::begin({0x7fffffff, 65535, 65535}), 3, properties.maxGridSize);
  properties.totalConstMem = 65536;
  properties.major = device.major;
  properties.minor = device.minor;
  properties.multiProcessorCount = device.multiprocessors;
  properties.canMapHostMemory = 1;
  properties.concurrentKernels = 1;
  properties.asyncEngineCount = 3;
  properties.unifiedAddressing = 1;
  properties.l2CacheSize = static_cast<int>(device.l2_bytes);
  properties.maxThreadsPerMultiProcessor = device.threads_per_multiprocessor;
  properties.streamPrioritiesSupported = 1;
  properties.sharedMemPerMultiprocessor = device.shared_per_multiprocessor;
  properties.regsPerMultiprocessor = kRegistersPerMultiprocessor;
  properties.sharedMemPerBlockOptin = device.shared_per_block_opt_in;
  properties.maxBlocksPerMultiProcessor = device.blocks_per_multiprocessor;
  properties.reservedSharedMemPerBlock = device.shared_reserved_per_block;
  properties.clusterLaunch = device.portable_cluster > 1;
  properties.memoryPoolsSupported = 1;
  return properties;
}

struct Attribute {
  cudaDeviceAttr attribute;
  int (*value)(const cudaDeviceProp&);
};

constexpr Attribute kAttributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, [](const cudaDeviceProp& p) { return p.maxThreadsPerBlock; }},
    {cudaDevAttrMaxBlockDimX, [](const cudaDeviceProp& p) { return p.maxThreadsDim[0]; }},
    {cudaDevAttrMaxBlockDimY, [](const cudaDeviceProp& p) { return p.maxThreadsDim[1]; }},
    {cudaDevAttrMaxBlockDimZ, [](const cudaDeviceProp& p) { return p.maxThreadsDim[2]; }},
    {cudaDevAttrMaxGridDimX, [](const cudaDeviceProp& p) { return p.maxGridSize[0]; }},
    {cudaDevAttrMaxGridDimY, [](const cudaDeviceProp& p) { return p.maxGridSize[1]; }},
    {cudaDevAttrMaxGridDimZ, [](const cudaDeviceProp& p) { return p.maxGridSize[2]; }},
    {cudaDevAttrMaxSharedMemoryPerBlock, [](const cudaDeviceProp& p) { return int(p.sharedMemPerBlock); }},
    {cudaDevAttrTotalConstantMemory, [](const cudaDeviceProp& p) { return int(p.totalConstMem); }},
    {cudaDevAttrWarpSize, [](const cudaDeviceProp& p) { return p.warpSize; }},
    {cudaDevAttrMaxRegistersPerBlock, [](const cudaDeviceProp& p) { return p.regsPerBlock; }},
    {cudaDevAttrMultiProcessorCount, [](const cudaDeviceProp& p) { return p.multiProcessorCount; }},
    {cudaDevAttrL2CacheSize, [](const cudaDeviceProp& p) { return p.l2CacheSize; }},
    {cudaDevAttrMaxThreadsPerMultiProcessor, [](const cudaDeviceProp& p) { return p.maxThreadsPerMultiProcessor; }},
    {cudaDevAttrComputeCapabilityMajor, [](const cudaDeviceProp& p) { return p.major; }},
    {cudaDevAttrComputeCapabilityMinor, [](const cudaDeviceProp& p) { return p.minor; }},
    {cudaDevAttrStreamPrioritiesSupported, [](const cudaDeviceProp& p) { return p.streamPrioritiesSupported; }},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor,
     [](const cudaDeviceProp& p) { return int(p.sharedMemPerMultiprocessor); }},
    {cudaDevAttrMaxRegistersPerMultiprocessor, [](const cudaDeviceProp& p) { return p.regsPerMultiprocessor; }},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, [](const cudaDeviceProp& p) { return int(p.sharedMemPerBlockOptin); }},
    {cudaDevAttrMaxBlocksPerMultiprocessor, [](const cudaDeviceProp& p) { return p.maxBlocksPerMultiProcessor; }},
    {cudaDevAttrReservedSharedMemoryPerBlock, [](const cudaDeviceProp& p) { return int(p.reservedSharedMemPerBlock); }},
    {cudaDevAttrMemoryPoolsSupported, [](const cudaDeviceProp& p) { return p.memoryPoolsSupported; }},
    {cudaDevAttrClusterLaunch, [](const cudaDeviceProp& p) { return p.clusterLaunch; }},
};

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return CallDespiteFault([&](Runtime&) {
    *count = kDevices;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return CallDespiteFault([&](Runtime&) {
    *device = current_device;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return CallDespiteFault([&](Runtime&) {
    if (!Exists(device)) return cudaErrorInvalidDevice;
    current_device = device;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceReset() {
  return CallDespiteFault([&](Runtime& runtime) {
    const DeviceDescription description = runtime.Current().description;
    runtime.ResetDevice(current_device, description);
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return CallDespiteFault([&](Runtime& runtime) {
    if (!Exists(device)) return cudaErrorInvalidDevice;
    *properties = PropertiesOf(runtime.devices[device]->description);
    properties->pciBusID = device + 1;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return CallDespiteFault([&](Runtime& runtime) {
    if (!Exists(device)) return cudaErrorInvalidDevice;
    const auto known = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                                    [&](const Attribute& entry) { return entry.attribute == attribute; });
    if (known == std::end(kAttributes)) return cudaErrorInvalidValue;
    *value = known->value(PropertiesOf(runtime.devices[device]->description));
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int* version) {
  return CallDespiteFault([&](Runtime& runtime) {
    *version = runtime.Current().description.driver;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kRuntimeVersion;
  return cudaSuccess;
}

}  // extern "C"
