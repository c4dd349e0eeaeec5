// Kernels that may begin before those ahead of them in the stream have ended, and do not wait for them.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

template <class... Parameters, class... Arguments>
void LaunchOverlapping(bool allowed, void (*kernel)(Parameters...), Arguments... arguments) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = allowed;
  cudaLaunchConfig_t config = {};
  config.gridDim = 2;
  config.blockDim = kThreads;
  config.attrs = &attribute;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);  // what goes wrong comes to light later
}

__device__ void AwaitPrior() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__constant__ int factor = 1;

constexpr int kEarlyRead = __LINE__ + 5;
template <bool bug>
__global__ void ReadEarly(const int* in, int* out) {
  __shared__ int words[kThreads];
  if (!bug) AwaitPrior();
  const int early = *const_cast<const volatile int*>(in + threadIdx.x);
  if (bug) AwaitPrior();
  words[threadIdx.x] = early * factor;
  __syncthreads();
  if (blockIdx.x == 0) out[threadIdx.x] = words[kThreads - 1 - threadIdx.x];
}

TEST_F(PlantedBug, AReadBeforeTheWaitForPriorKernelsIsFound) {
  Finds(Finding::kPriorNotAwaited, cudaErrorLaunchFailure, {kEarlyRead}, "overlap.cu",
        [](int* out) { LaunchOverlapping(true, ReadEarly<true>, out + kThreads, out); });
  IsClean([](int* out) { LaunchOverlapping(true, ReadEarly<false>, out + kThreads, out); });
}

TEST_F(PlantedBug, NoWaitIsOwedByALaunchThatMayNotOverlapThePriorKernels) {
  IsClean([](int* out) { LaunchOverlapping(false, ReadEarly<true>, out + kThreads, out); });
  IsClean([](int* out) { ReadEarly<true><<<2, kThreads>>>(out + kThreads, out); });
}

constexpr int kWriteOfOne = __LINE__ + 4;
template <bool bug>
__global__ void WaitOfAllButOne(int* out) {
  if (!bug || blockIdx.x != 1 || threadIdx.x != 40) AwaitPrior();
  out[blockIdx.x * kThreads + threadIdx.x] = factor;
}

TEST_F(PlantedBug, AWriteOfTheOneThreadThatDoesNotWaitForPriorKernelsIsFound) {
  Finds(Finding::kPriorNotAwaited, cudaErrorLaunchFailure, {kWriteOfOne}, "overlap.cu",
        [](int* out) { LaunchOverlapping(true, WaitOfAllButOne<true>, out); });
  IsClean([](int* out) { LaunchOverlapping(true, WaitOfAllButOne<false>, out); });
}

constexpr int kAtomic = __LINE__ + 4;
template <bool bug>
__global__ void AddWithoutWait(int* out) {
  if (!bug) AwaitPrior();
  asm volatile("red.global.add.u32 [%0], 1;" ::"l"(out) : "memory");
}

TEST_F(PlantedBug, AKernelThatNeverWaitsForPriorKernelsIsFound) {
  Finds(Finding::kPriorNotAwaited, cudaErrorLaunchFailure, {kAtomic}, "overlap.cu",
        [](int* out) { LaunchOverlapping(true, AddWithoutWait<true>, out); });
  IsClean([](int* out) { LaunchOverlapping(true, AddWithoutWait<false>, out); });
}

}  // namespace
}  // namespace fire::simulator
