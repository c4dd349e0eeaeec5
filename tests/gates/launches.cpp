// Answers lines of standard input about launches: the plan of a shape, and how many blocks a multiprocessor holds.
//
//   plan TASK ROWS VOCABULARY TYPE COMPUTE_CAPABILITY MULTIPROCESSORS SHARED_BYTES LARGEST_CLUSTER CLUSTERS_OF_2 OF_4
//   OF_8 OF_16
//     → threads cluster resident pilot_shift shared_bytes
//   blocks COMPUTE_CAPABILITY THREADS_OF_SM SHARED_OF_SM SHARED_OF_BLOCK RESERVED REGISTERS STATIC THREADS DYNAMIC
//     → blocks, by NVIDIA's own arithmetic
#include <cuda_occupancy.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "kernels/plan.h"

namespace fire {
namespace {

void ShowPlan(std::istream& in) {
  int task, type;
  int64_t rows, vocabulary;
  kernels::Device device;
  in >> task >> rows >> vocabulary >> type >> device.compute_capability >> device.multiprocessors >>
      device.shared_bytes >> device.largest_cluster;
  for (int& clusters : device.clusters) in >> clusters;
  const kernels::Plan plan =
      kernels::PlanFor(static_cast<kernels::Task>(task), rows, vocabulary, static_cast<LogitsType>(type), device);
  std::printf("%d %d %d %d %zu\n", plan.threads, plan.cluster, plan.resident, plan.pilot_shift, plan.shared_bytes);
}

void ShowBlocks(std::istream& in) {
  int compute_capability, threads;
  size_t dynamic_bytes;
  cudaOccDeviceProp device;
  cudaOccFuncAttributes kernel;
  in >> compute_capability >> device.maxThreadsPerMultiprocessor >> device.sharedMemPerMultiprocessor >>
      device.sharedMemPerBlockOptin >> device.reservedSharedMemPerBlock >> kernel.numRegs >> kernel.sharedSizeBytes >>
      threads >> dynamic_bytes;
  device.computeMajor = compute_capability / 10;
  device.computeMinor = compute_capability % 10;
  device.maxThreadsPerBlock = 1024;
  device.regsPerBlock = device.regsPerMultiprocessor = 64 << 10;
  device.warpSize = 32;
  device.sharedMemPerBlock = 48 << 10;
  device.numSms = 1;
  kernel.maxThreadsPerBlock = threads;
  kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
  kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  kernel.maxDynamicSharedSizeBytes = dynamic_bytes;
  kernel.numBlockBarriers = 1;
  cudaOccDeviceState state;
  state.cacheConfig = CACHE_PREFER_SHARED;
  state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
  cudaOccResult result;
  const cudaOccError error =
      cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, dynamic_bytes);
  std::printf("%d\n", error == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : -1);
}

}  // namespace
}  // namespace fire

int main() {
  for (std::string question; std::cin >> question;) {
    if (question == "plan") fire::ShowPlan(std::cin);
    if (question == "blocks") fire::ShowBlocks(std::cin);
  }
}
