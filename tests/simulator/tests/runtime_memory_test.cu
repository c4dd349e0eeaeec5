// Memory of the devices: allocation, copies, fills and variables.
#include <cuda_runtime.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/simulator/simulator.h"
#include "tests/simulator/tests/listener.h"

namespace fire::simulator {
namespace {

__device__ int counter = 7;
__constant__ float weights[4] = {1, 2, 3, 4};

__global__ void ReadVariables(float* out) {
  out[threadIdx.x] = weights[threadIdx.x] + static_cast<float>(counter);
  __syncthreads();
  if (threadIdx.x == 0) atomicAdd(&counter, 5);
}

__global__ void AddOne(int* values, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) values[i] += 1;
}

template <class T>
T* Allocate(size_t count) {
  T* pointer = nullptr;
  EXPECT_EQ(cudaMalloc(&pointer, count * sizeof(T)), cudaSuccess);
  return pointer;
}

TEST(SimulatedMemory, IsCopiedThereChangedAndCopiedBack) {
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), -3);
  int* device = Allocate<int>(values.size());
  ASSERT_EQ(cudaMemcpy(device, values.data(), 4000, cudaMemcpyHostToDevice), cudaSuccess);
  AddOne<<<4, 256>>>(device, 1000);
  std::vector<int> result(1000);
  ASSERT_EQ(cudaMemcpy(result.data(), device, 4000, cudaMemcpyDefault), cudaSuccess);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(result[i], i - 2);
  EXPECT_EQ(cudaFree(device), cudaSuccess);
}

TEST(SimulatedMemory, IsAlignedAsCudaMallocPromises) {
  for (const size_t bytes : {size_t{1}, size_t{255}, size_t{257}, size_t{100000}}) {
    char* pointer = Allocate<char>(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pointer) % 256, 0u);
    EXPECT_EQ(cudaFree(pointer), cudaSuccess);
  }
}

TEST(SimulatedMemory, OfADeviceCannotBeReadByTheHost) {
  int* device = Allocate<int>(4);
  ASSERT_EQ(cudaMemset(device, 0, 16), cudaSuccess);
  EXPECT_DEATH({ std::fprintf(stderr, "%d", *device); }, "");
  cudaFree(device);
}

TEST(SimulatedMemory, IsRefusedWhereCopyOrFreeNamesBytesThatAreNotAllocated) {
  char host[64] = {};
  char* device = Allocate<char>(32);
  EXPECT_EQ(cudaMemcpy(device, host, 33, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, device + 1, 32, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, device, 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue) << "the wrong direction";
  EXPECT_EQ(cudaMemset(device + 16, 0, 17), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device + 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device), cudaSuccess);
  EXPECT_EQ(cudaFree(device), cudaErrorInvalidValue) << "freed twice";
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error that is no fault is told once";
}

TEST(SimulatedMemory, RunsOutAsTheDeviceDoes) {
  DeviceDescription small = KnownDevice(9, 0);
  small.memory_bytes = 1 << 20;
  SetDeviceDescription(0, small);
  void* pointer = nullptr;
  EXPECT_EQ(cudaMalloc(&pointer, 2 << 20), cudaErrorMemoryAllocation);
  std::vector<void*> pieces;
  while (cudaMalloc(&pointer, 100 << 10) == cudaSuccess) pieces.push_back(pointer);
  EXPECT_GE(pieces.size(), 9u);
  for (size_t i = 1; i < pieces.size(); i += 2) EXPECT_EQ(cudaFree(pieces[i]), cudaSuccess);
  for (size_t i = 0; i < pieces.size(); i += 2) EXPECT_EQ(cudaFree(pieces[i]), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&pointer, 900 << 10), cudaSuccess) << "freed pieces become one again";
  size_t free = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(total, size_t{1} << 20);
  EXPECT_LT(free, size_t{125} << 10);
}

TEST(SimulatedMemory, IsCopiedAndFilledInRowsWithPitches) {
  std::vector<int> source(6 * 5);
  std::iota(source.begin(), source.end(), 0);
  int* device = Allocate<int>(8 * 5);
  ASSERT_EQ(cudaMemset2D(device, 32, 0xff, 32, 5), cudaSuccess);
  ASSERT_EQ(cudaMemcpy2D(device, 32, source.data(), 24, 12, 5, cudaMemcpyHostToDevice), cudaSuccess);
  std::vector<int> result(8 * 5);
  ASSERT_EQ(cudaMemcpy(result.data(), device, 160, cudaMemcpyDeviceToHost), cudaSuccess);
  for (int row = 0; row < 5; ++row) {
    for (int i = 0; i < 8; ++i) EXPECT_EQ(result[row * 8 + i], i < 3 ? row * 6 + i : -1);
  }
  EXPECT_EQ(cudaMemcpy2D(device, 8, source.data(), 24, 12, 2, cudaMemcpyHostToDevice), cudaErrorInvalidPitchValue);
  cudaFree(device);
}

TEST(SimulatedMemory, OfTheHostThatIsPageLockedIsReachedByBoth) {
  int* host = nullptr;
  ASSERT_EQ(cudaMallocHost(&host, 16), cudaSuccess);
  for (int i = 0; i < 4; ++i) host[i] = i;
  AddOne<<<1, 4>>>(host, 4);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(host[i], i + 1);
  cudaPointerAttributes attributes;
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, host + 1), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  ASSERT_EQ(cudaPointerGetAttributes(&attributes, &host), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFreeHost(host), cudaSuccess);
}

TEST(SimulatedMemory, OfATensorIsReachedByKernelsWhileItIsRegistered) {
  std::vector<int> tensor(8, 1);
  RegisterMemory(tensor.data(), 32, "tensor");
  AddOne<<<1, 8>>>(tensor.data(), 8);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  for (const int value : tensor) EXPECT_EQ(value, 2);
  UnregisterMemory(tensor.data());
  AddOne<<<1, 8>>>(tensor.data(), 8);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  const std::vector<Report> reports = TakeReports();
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports[0].finding, Finding::kOutOfBounds);
}

TEST(SimulatorListener, FailsATestThatLeavesAReportAndHealsTheDeviceForTheNext) {
  AddOne<<<1, 1>>>(nullptr, 1);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  Listener listener;
  testing::TestEventListener& events = listener;
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  EXPECT_NONFATAL_FAILURE(events.OnTestEnd(test), "simulated device: ");
  events.OnTestStart(test);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(GetCounters().launches, 0u);
}

TEST(SimulatedVariables, HoldTheirInitialValuesAndWhatIsCopiedThere) {
  float* out = Allocate<float>(4);
  float result[4] = {};
  ReadVariables<<<1, 4>>>(out);
  ASSERT_EQ(cudaMemcpy(result, out, 16, cudaMemcpyDeviceToHost), cudaSuccess);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(result[i], static_cast<float>(i + 8));
  int count = 0;
  ASSERT_EQ(cudaMemcpyFromSymbol(&count, counter, sizeof count), cudaSuccess);
  EXPECT_EQ(count, 12);

  const float changed = 100;
  ASSERT_EQ(cudaMemcpyToSymbol(weights, &changed, 4, 8), cudaSuccess);
  count = 0;
  ASSERT_EQ(cudaMemcpyToSymbol(counter, &count, sizeof count), cudaSuccess);
  ReadVariables<<<1, 4>>>(out);
  ASSERT_EQ(cudaMemcpy(result, out, 16, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(result[2], 100.0f);
  EXPECT_EQ(result[3], 4.0f);

  void* address = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(cudaGetSymbolAddress(&address, weights), cudaSuccess);
  ASSERT_EQ(cudaGetSymbolSize(&bytes, weights), cudaSuccess);
  EXPECT_EQ(bytes, 16u);
  ASSERT_EQ(cudaMemcpy(result, address, 16, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_EQ(result[2], 100.0f);
  EXPECT_EQ(cudaMemcpyToSymbol(weights, result, 16, 4), cudaErrorInvalidValue);
  cudaFree(out);
  ASSERT_EQ(cudaDeviceReset(), cudaSuccess);
  ASSERT_EQ(cudaMemcpyFromSymbol(&count, counter, sizeof count), cudaSuccess);
  EXPECT_EQ(count, 7) << "a reset device starts anew";
}

TEST(SimulatedVariables, AreOnesOfEachDevice) {
  int value = 50;
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  ASSERT_EQ(cudaMemcpyToSymbol(counter, &value, sizeof value), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  ASSERT_EQ(cudaMemcpyFromSymbol(&value, counter, sizeof value), cudaSuccess);
  EXPECT_EQ(value, 7);
}

}  // namespace
}  // namespace fire::simulator
