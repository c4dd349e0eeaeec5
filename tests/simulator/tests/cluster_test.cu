// Clusters: ranks, split barriers, and the shared memory of other blocks.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/simulator/simulator.h"
#include "tests/simulator/tests/cluster_ptx.cuh"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

class SimulatedClusters : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    Behaviour behaviour = GetBehaviour();
    behaviour.launch.seed = GetParam();
    behaviour.launch.check_races = behaviour.launch.check_uninitialised = true;
    behaviour.launch.weak_memory = GetParam() % 2 == 1;
    SetBehaviour(behaviour);
    ASSERT_EQ(cudaMalloc(&out_, 1 << 16), cudaSuccess);
  }
  void TearDown() override { cudaFree(out_); }
  std::vector<int> Result(int count) {
    std::vector<int> result(count);
    EXPECT_EQ(cudaMemcpy(result.data(), out_, 4 * count, cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }
  int* out_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedClusters, testing::Range<uint64_t>(0, 4));

__global__ void NumberBlocks(int* out) {
  int x, y, cluster_x, cluster_y;
  asm("mov.u32 %0, %%cluster_ctaid.x; mov.u32 %1, %%cluster_ctaid.y;" : "=r"(x), "=r"(y));
  asm("mov.u32 %0, %%clusterid.x; mov.u32 %1, %%clusterid.y;" : "=r"(cluster_x), "=r"(cluster_y));
  out[blockIdx.y * gridDim.x + blockIdx.x] =
      static_cast<int>(ClusterRank()) + 10 * x + 100 * y + 1000 * cluster_x + 10000 * cluster_y;
}

TEST_P(SimulatedClusters, OfTwoDimensionsAreNumberedXFirst) {
  ASSERT_EQ(LaunchClusters(NumberBlocks, dim3(6, 4), 1, dim3(3, 2), out_), cudaSuccess);
  const std::vector<int> result = Result(24);
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 6; ++x) {
      EXPECT_EQ(result[y * 6 + x],
                x % 3 + 3 * (y % 2) + 10 * (x % 3) + 100 * (y % 2) + 1000 * (x / 3) + 10000 * (y / 2));
    }
  }
}

// Each block pushes to all, works on its own between arriving and waiting, then reads what came.
__global__ void PushToAll(int* out) {
  __shared__ int box[8 * kThreads];
  const uint32_t rank = ClusterRank(), size = ClusterSize();
  const int i = threadIdx.x;
  ClusterArriveRelaxed();  // every block has begun before its memory is touched
  ClusterWait();
  for (uint32_t to = 0; to < size; ++to) StoreTo(InBlock(&box[rank * kThreads + i], to), 1000 * rank + i);
  ClusterArrive();
  int own = 0;
  for (int step = 0; step < i; ++step) own += step;
  ClusterWait();
  int sum = own;
  for (uint32_t from = 0; from < size; ++from) sum += box[from * kThreads + (kThreads - 1 - i)];
  out[blockIdx.x * kThreads + i] = sum;
}

// Each block sends to all, twice: 4 bytes a thread, then 16 of every other thread, before or after they are expected.
__global__ void SendToAll(int* out) {
  __shared__ int box[8 * kThreads];
  __shared__ alignas(16) long long wide[8 * kThreads];
  __shared__ uint64_t arrivals;
  const int rank = static_cast<int>(ClusterRank()), size = static_cast<int>(ClusterSize()), i = threadIdx.x;
  if (i == 0) {
    InitArrivals(&arrivals);
    FenceInit();
  }
  ClusterArriveRelaxed();
  ClusterWait();
  if (i == 0 && rank % 2 == 0) ExpectBytes(&arrivals, 4 * kThreads * size);
  for (int to = 0; to < size; ++to) SendTo(&box[rank * kThreads + i], to, 1000 * rank + i, &arrivals);
  if (i == 0 && rank % 2 == 1) ExpectBytes(&arrivals, 4 * kThreads * size);
  AwaitArrivals(&arrivals, 0);
  int sum = 0;
  for (int from = 0; from < size; ++from) sum += box[from * kThreads + (kThreads - 1 - i)];
  // Nobody sends for the second phase before all have seen the first: what is sent completes the phase of its arrival.
  ClusterArrive();
  ClusterWait();
  if (i == 0) ExpectBytes(&arrivals, 8 * kThreads * size);
  for (int to = 0; to < size && i % 2 == 0; ++to) SendTo(&wide[rank * kThreads + i], to, i, 2 * i, &arrivals);
  AwaitArrivals(&arrivals, 1);
  for (int from = 0; from < size; ++from) sum += static_cast<int>(wide[from * kThreads + (kThreads - 1 - i)]);
  out[blockIdx.x * kThreads + i] = sum;
}

TEST_P(SimulatedClusters, SendToEachOtherAndWaitAtMbarriers) {
  for (const int size : {1, 2, 4, 8}) {
    ASSERT_EQ(LaunchClusters(SendToAll, 16, kThreads, size, out_), cudaSuccess);
    const std::vector<int> result = Result(16 * kThreads);
    for (int at = 0; at < 16 * kThreads; ++at) {
      const int mirrored = kThreads - 1 - at % kThreads;
      const int of_wide = mirrored % 2 == 0 ? mirrored : 2 * (mirrored - 1);
      ASSERT_EQ(result[at], 1000 * size * (size - 1) / 2 + size * (mirrored + of_wide)) << size;
    }
  }
}

TEST_P(SimulatedClusters, PushToEachOthersSharedMemory) {
  for (const int size : {1, 2, 4, 8}) {
    ASSERT_EQ(LaunchClusters(PushToAll, 16, kThreads, size, out_), cudaSuccess);
    const std::vector<int> result = Result(16 * kThreads);
    for (int at = 0; at < 16 * kThreads; ++at) {
      const int i = at % kThreads;
      ASSERT_EQ(result[at], i * (i - 1) / 2 + 1000 * size * (size - 1) / 2 + size * (kThreads - 1 - i)) << size;
    }
  }
}

// All blocks count into the first, and read the total back from it.
__global__ void CountInTheFirst(int* out) {
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  ClusterArrive();
  ClusterWait();
  AddTo(InBlock(&total, 0), 1 + static_cast<int>(ClusterRank()));
  ClusterArrive();
  ClusterWait();
  out[blockIdx.x * kThreads + threadIdx.x] = LoadFrom(InBlock(&total, 0));
  ClusterArrive();  // nobody leaves while the first may still be read
  ClusterWait();
}

TEST_P(SimulatedClusters, CountInTheMemoryOfOneBlock) {
  ASSERT_EQ(LaunchClusters(CountInTheFirst, 8, kThreads, 4, out_), cudaSuccess);
  for (const int total : Result(8 * kThreads)) ASSERT_EQ(total, kThreads * (1 + 2 + 3 + 4));
}

// Threads that have nothing to do leave early: a barrier of the cluster counts those that are left.
__global__ void LeaveEarly(int* out) {
  __shared__ int box;
  if (threadIdx.x >= 32) return;
  ClusterArriveRelaxed();
  ClusterWait();  // the other has begun
  if (threadIdx.x == 0) StoreTo(InBlock(&box, ClusterRank() ^ 1), static_cast<int>(ClusterRank()));
  ClusterArrive();
  ClusterWait();
  if (threadIdx.x == 0) out[blockIdx.x] = box;
}

TEST_P(SimulatedClusters, DoNotWaitForThreadsThatHaveLeft) {
  ASSERT_EQ(LaunchClusters(LeaveEarly, 4, kThreads, 2, out_), cudaSuccess);
  EXPECT_EQ(Result(4), (std::vector<int>{1, 0, 1, 0}));
}

}  // namespace
}  // namespace fire::simulator
