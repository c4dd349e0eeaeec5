// Accesses to memory that is not there, not aligned, or that nobody wrote.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

constexpr int kSharedRead = __LINE__ + 6;
template <bool bug>
__global__ void ReadSharedNobodyWrote(int* out) {
  __shared__ int words[kThreads];
  if (!bug || threadIdx.x != 5) words[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = words[kThreads - 1 - threadIdx.x];
}

TEST_F(PlantedBug, AReadOfSharedMemoryThatNobodyWroteIsFound) {
  Finds(Finding::kUninitialised, cudaErrorLaunchFailure, {kSharedRead}, "addresses.cu",
        [](int* out) { ReadSharedNobodyWrote<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { ReadSharedNobodyWrote<false><<<1, kThreads>>>(out); });
}

constexpr int kGlobalRead = __LINE__ + 1;
__global__ void ReadGlobal(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }

TEST_F(PlantedBug, AReadOfAllocatedMemoryThatNobodyWroteIsFound) {
  const auto launch = [](int* out, size_t written) {
    int* in = nullptr;
    cudaMalloc(&in, 4 * kThreads);
    cudaMemset(in, 0, written);
    ReadGlobal<<<1, kThreads>>>(in, out);
  };
  Finds(Finding::kUninitialised, cudaErrorLaunchFailure, {kGlobalRead}, "addresses.cu",
        [&](int* out) { launch(out, 4 * kThreads - 1); });
  IsClean([&](int* out) { launch(out, 4 * kThreads); });
}

TEST_F(PlantedBug, ACopyOfMemoryThatNobodyWroteDoesNotCountAsWritten) {
  const auto launch = [](int* out, size_t written) {
    int *source = nullptr, *in = nullptr;
    cudaMalloc(&source, 4 * kThreads);
    cudaMalloc(&in, 4 * kThreads);
    cudaMemset(in, 0, 4 * kThreads);
    cudaMemset(source, 0, written);
    cudaMemcpy(in, source, 4 * kThreads, cudaMemcpyDeviceToDevice);
    ReadGlobal<<<1, kThreads>>>(in, out);
  };
  Finds(Finding::kUninitialised, cudaErrorLaunchFailure, {kGlobalRead}, "addresses.cu",
        [&](int* out) { launch(out, 4); });
  IsClean([&](int* out) { launch(out, 4 * kThreads); });
}

TEST_F(PlantedBug, AReadPastTheEndOfAnAllocationIsFound) {
  const auto launch = [](int* out, int threads) {
    int* in = nullptr;
    cudaMalloc(&in, 4 * kThreads);
    cudaMemset(in, 0, 4 * kThreads);
    ReadGlobal<<<1, threads>>>(in, out);
  };
  Finds(Finding::kOutOfBounds, cudaErrorIllegalAddress, {kGlobalRead}, "addresses.cu",
        [&](int* out) { launch(out, kThreads + 1); });
  IsClean([&](int* out) { launch(out, kThreads); });
}

constexpr int kGlobalWrite = __LINE__ + 1;
__global__ void WriteGlobal(int* out, int at) { out[at] = 1; }

TEST_F(PlantedBug, AWriteBeforeTheBeginOfAnAllocationIsFound) {
  Finds(Finding::kOutOfBounds, cudaErrorIllegalAddress, {kGlobalWrite}, "addresses.cu",
        [](int* out) { WriteGlobal<<<1, 1>>>(out, -1); });
  IsClean([](int* out) { WriteGlobal<<<1, 1>>>(out, 0); });
}

constexpr int kSharedWrite = __LINE__ + 3;
__global__ void WriteShared(int* out, int at) {
  extern __shared__ int words[];
  words[at + threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = words[kThreads - 1 - threadIdx.x];
}

TEST_F(PlantedBug, AWritePastTheSharedMemoryOfTheLaunchIsFound) {
  Finds(Finding::kOutOfBounds, cudaErrorIllegalAddress, {kSharedWrite}, "addresses.cu",
        [](int* out) { WriteShared<<<1, kThreads, 4 * kThreads>>>(out, 1); });
  IsClean([](int* out) { WriteShared<<<1, kThreads, 4 * kThreads>>>(out, 0); });
}

constexpr int kVectorRead = __LINE__ + 2;
__global__ void ReadVector(const int* in, int* out) {
  const int4 four = *reinterpret_cast<const int4*>(in);
  out[0] = four.x + four.y + four.z + four.w;
}

TEST_F(PlantedBug, AVectorReadFromAnAddressThatIsNotAlignedIsFound) {
  Finds(Finding::kMisaligned, cudaErrorMisalignedAddress, {kVectorRead}, "addresses.cu",
        [](int* out) { ReadVector<<<1, 1>>>(out + 18, out); });
  IsClean([](int* out) { ReadVector<<<1, 1>>>(out + 20, out); });
}

}  // namespace
}  // namespace fire::simulator
