// From a plan to a launch, for one logit type.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <string>

#include "kernels/device/group.cuh"
#include "kernels/device/row_outputs.cuh"
#include "kernels/device/sample.cuh"
#include "kernels/device/support.cuh"
#include "profiler_range.h"

namespace fire::kernels {

inline void ThrowOnError(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // reported here; the next call starts clean
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

inline constexpr int kRememberedDevices = 64;
inline constexpr int kPortableCluster = 8;  // larger ones are a device's own, and a kernel must ask for them

// Dynamic shared memory beyond 48 KB, and clusters of 16, must be asked for. All the device has at once, so that no
// launch takes back what another was granted. A kernel with a Storage asks for multiprocessors set up for it, too: one
// that is not must run empty first, and fewer blocks fit it.
template <auto kernel, bool kHasStorage>
void Permit(const Plan& plan) {
  static std::array<std::atomic<size_t>, kRememberedDevices> granted = {};
  static std::array<std::atomic<bool>, kRememberedDevices> may_be_large = {};
  int device = 0;
  ThrowOnError(cudaGetDevice(&device), "current device");
  const bool remembers = device < kRememberedDevices;
  if (plan.cluster > kPortableCluster && !(remembers && may_be_large[device].load(std::memory_order_relaxed))) {
    ThrowOnError(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1), "large cluster");
    if (remembers) may_be_large[device].store(true, std::memory_order_relaxed);
  }
  if (remembers && granted[device].load(std::memory_order_relaxed) >= plan.shared_bytes) return;
  int most = 0;
  ThrowOnError(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "device attribute");
  ThrowOnError(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most),
               "shared memory of a block");
  if (kHasStorage)
    ThrowOnError(
        cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared),
        "shared memory of a multiprocessor");
  if (remembers) granted[device].store(static_cast<size_t>(most), std::memory_order_relaxed);
}

inline cudaLaunchAttribute ClusterOf(int blocks) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  return attribute;
}

inline cudaLaunchAttribute OverlapOfPrior() {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  return attribute;
}

// Fills in what a device says of the kernels of a type on it: what their code can do, and how many clusters run at
// once.
template <typename Logit>
void DescribeKernels(Device* device) {
  constexpr auto kernel = SampleRows<Logit, true>;
  cudaFuncAttributes code;
  ThrowOnError(cudaFuncGetAttributes(&code, kernel), "kernel");
  if (code.ptxVersion < 90) {
    // Translated by the driver, from before there were clusters: each block takes itself for a row's only one.
    device->compute_capability = std::min(device->compute_capability, code.ptxVersion);
    device->largest_cluster = 1;
  }
  Plan plan;
  plan.shared_bytes = static_cast<size_t>(device->shared_bytes);  // one block a multiprocessor
  Permit<kernel, true>(plan);
  for (size_t i = 0; i < device->clusters.size() && 2 << i <= device->largest_cluster; ++i) {
    cudaLaunchAttribute cluster = ClusterOf(2 << i);
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(cluster.val.clusterDim.x);
    config.blockDim = dim3(kMostThreads);
    config.dynamicSmemBytes = plan.shared_bytes;
    config.attrs = &cluster, config.numAttrs = 1;
    // A driver that will not say, of a slice or a share of a device, or refuses the size, has none of it.
    const bool is_large = 2 << i > kPortableCluster;
    if ((is_large && cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) != cudaSuccess) ||
        cudaOccupancyMaxActiveClusters(&device->clusters[i], kernel, &config) != cudaSuccess) {
      cudaGetLastError();
      device->clusters[i] = 0;
    }
    if (device->clusters[i] == 0) device->largest_cluster = 1 << i;
  }
}

template <auto kernel, bool kHasStorage = true, typename AnyWork>
void LaunchKernel(const AnyWork& work, const Plan& plan, CudaStream stream) {
  const ProfilerRange range(NameOf(plan));
  Permit<kernel, kHasStorage>(plan);
  cudaLaunchConfig_t config = {};
  config.blockDim = dim3(static_cast<unsigned>(plan.threads));
  config.dynamicSmemBytes = plan.shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2];
  config.attrs = attributes;
  if (plan.cluster > 1) attributes[config.numAttrs++] = ClusterOf(plan.cluster);
  if (plan.overlaps_prior) attributes[config.numAttrs++] = OverlapOfPrior();
  // One launch, unless there are more rows than a grid has blocks.
  const int64_t most_rows = plan.blocks_a_launch / plan.cluster;
  for (int64_t first = 0; first < work.batch.rows; first += most_rows) {
    config.gridDim = dim3(static_cast<unsigned>(std::min(work.batch.rows - first, most_rows) * plan.cluster));
    ThrowOnError(cudaLaunchKernelEx(&config, kernel, work, first, GeometryOf(plan)), "launch");
  }
}

// What a batch's type of logits makes of `launch`, which is called with a value of that type.
template <typename Launch>
void WithLogits(LogitsType type, const Launch& launch) {
  switch (type) {
    case LogitsType::kFloat32:
      return launch(Float32Logits{});
    case LogitsType::kBFloat16:
      return launch(BFloat16Logits{});
    case LogitsType::kFloat16:
      return launch(Float16Logits{});
  }
  throw std::invalid_argument("Batch::logits_type is " + std::to_string(static_cast<int>(type)) +
                              ", expected a LogitsType");
}

template <typename Logit>
void LaunchTyped(const Work& work, const Plan& plan, CudaStream stream) {
  if (work.task == Task::kSampleGroup) return LaunchKernel<GroupRows<Logit>>(work, plan, stream);
  if (work.task == Task::kSampleWithSupport) return LaunchKernel<SupportRows<Logit>>(work, plan, stream);
  const bool samples = work.task == Task::kSample || work.task == Task::kSampleWithReference;
  if (!samples) return LaunchKernel<WriteRows<Logit>>(work, plan, stream);
  if (plan.resident) return LaunchKernel<SampleRows<Logit, true>>(work, plan, stream);
  return LaunchKernel<SampleRows<Logit, false>>(work, plan, stream);
}

}  // namespace fire::kernels
