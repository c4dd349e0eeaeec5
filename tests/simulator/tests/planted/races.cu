// Accesses that nothing orders.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 128;

constexpr int kRawWrite = __LINE__ + 4;
template <bool bug>
__global__ void ReadAfterWrite(int* out) {
  __shared__ int words[kThreads];
  words[threadIdx.x] = threadIdx.x;
  if (!bug) __syncthreads();
  out[threadIdx.x] = words[(threadIdx.x + 40) % kThreads];
}

TEST_F(PlantedBug, AReadThatNoBarrierPartsFromTheWriteIsFound) {
  Finds(Finding::kRace, cudaErrorLaunchFailure, {kRawWrite, kRawWrite + 2}, "races.cu",
        [](int* out) { ReadAfterWrite<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { ReadAfterWrite<false><<<1, kThreads>>>(out); });
}

constexpr int kWarRead = __LINE__ + 6;
template <bool bug>
__global__ void WriteAfterRead(int* out) {
  __shared__ int words[kThreads];
  words[threadIdx.x] = threadIdx.x;
  __syncthreads();
  const int other = words[(threadIdx.x + 40) % kThreads];
  if (!bug) __syncthreads();
  words[threadIdx.x] = other + 1;
  __syncthreads();
  out[threadIdx.x] = words[kThreads - 1 - threadIdx.x];
}

TEST_F(PlantedBug, AWriteThatNoBarrierPartsFromTheReadBeforeIsFound) {
  Finds(Finding::kRace, cudaErrorLaunchFailure, {kWarRead, kWarRead + 2}, "races.cu",
        [](int* out) { WriteAfterRead<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { WriteAfterRead<false><<<1, kThreads>>>(out); });
}

constexpr int kWawWrite = __LINE__ + 4;
template <bool bug>
__global__ void WriteAfterWrite(int* out) {
  __shared__ int word;
  if (threadIdx.x % 32 == 0 && (bug || threadIdx.x == 0)) word = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = word;
}

TEST_F(PlantedBug, TwoWarpsThatWriteOneWordAreFound) {
  Finds(Finding::kRace, cudaErrorLaunchFailure, {kWawWrite}, "races.cu",
        [](int* out) { WriteAfterWrite<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { WriteAfterWrite<false><<<1, kThreads>>>(out); });
}

constexpr int kLaneWrite = __LINE__ + 4;
template <bool bug>
__global__ void ExchangeBetweenLanes(int* out) {
  __shared__ int words[32];
  words[threadIdx.x] = threadIdx.x;
  if (!bug) __syncwarp();
  out[threadIdx.x] = words[31 - threadIdx.x];
}

TEST_F(PlantedBug, LanesOfOneWarpThatRelyOnRunningTogetherAreFound) {
  Finds(Finding::kRace, cudaErrorLaunchFailure, {kLaneWrite, kLaneWrite + 2}, "races.cu",
        [](int* out) { ExchangeBetweenLanes<true><<<1, 32>>>(out); });
  IsClean([](int* out) { ExchangeBetweenLanes<false><<<1, 32>>>(out); });
}

constexpr int kCount = __LINE__ + 7;
template <bool bug>
__global__ void ReadBesideAtomics(int* out) {
  __shared__ int count;
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(&count));
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  asm volatile("red.shared.add.u32 [%0], 1;" ::"r"(address) : "memory");
  if (!bug) __syncthreads();
  out[threadIdx.x] = count;
}

TEST_F(PlantedBug, APlainReadBesideAtomicsIsFound) {
  Finds(Finding::kRace, cudaErrorLaunchFailure, {kCount, kCount + 2}, "races.cu",
        [](int* out) { ReadBesideAtomics<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { ReadBesideAtomics<false><<<1, kThreads>>>(out); });
}

// ---- between the blocks of a cluster ----
template <bool bug>
__global__ void PushWithoutBarrier(int* out) {
  __shared__ int box[32];
  const uint32_t peer = ClusterRank() ^ 1;
  ClusterArrive();
  ClusterWait();
  StoreTo(InBlock(&box[threadIdx.x], peer), static_cast<int>(threadIdx.x));
  if (!bug) {
    ClusterArrive();
    ClusterWait();
  }
  out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
  ClusterArrive();
  ClusterWait();
}

TEST_F(PlantedBug, APushThatNoClusterBarrierFollowsIsFound) {
  for (const Outcome& outcome : Run([](int* out) { LaunchClusters(PushWithoutBarrier<true>, 2, 32, 2, out); })) {
    EXPECT_EQ(outcome.error, cudaErrorLaunchFailure);
    ASSERT_FALSE(outcome.reports.empty());
    // Whichever block comes first: the word is read before anybody wrote it, or while nothing orders the two.
    EXPECT_TRUE(std::any_of(outcome.reports.begin(), outcome.reports.end(),
                            [](const Report& report) { return report.finding == Finding::kRace; }));
  }
  IsClean([](int* out) { LaunchClusters(PushWithoutBarrier<false>, 2, 32, 2, out); });
}

// ---- weak memory: wrong only because stores become visible late ----
template <bool bug>
__global__ void ArriveRelaxed(int* out) {
  __shared__ int box[32];
  const uint32_t peer = ClusterRank() ^ 1;
  box[threadIdx.x] = -1;
  ClusterArrive();
  ClusterWait();
  StoreTo(InBlock(&box[threadIdx.x], peer), static_cast<int>(threadIdx.x));
  if (bug) {
    ClusterArriveRelaxed();
  } else {
    ClusterArrive();
  }
  ClusterWait();
  out[blockIdx.x * 32 + threadIdx.x] = box[threadIdx.x];
  ClusterArrive();
  ClusterWait();
}

template <bool bug>
__global__ void RaiseFlag(int* memory) {
  int *data = memory + 64, *flag = memory + 128;
  volatile int* const watched = flag;
  if (threadIdx.x == 0) {
    *data = 42;
    if (!bug) __threadfence();
    *watched = 1;
  } else if (threadIdx.x == 32) {
    while (*watched == 0) {
    }
    if (!bug) __threadfence();
    memory[0] = *data;
  }
}

class PlantedWeakBug : public PlantedBug {
 protected:
  // How many of the seeds gave a word other than expected.
  int Wrong(int words, const std::function<int(int)>& expected, const std::function<void(int*)>& launch) {
    int wrong = 0;
    for (const Outcome& outcome : Run(launch)) {
      bool right = outcome.error == cudaSuccess;
      for (int i = 0; right && i < words; ++i) right = outcome.memory[i] == expected(i);
      wrong += !right;
    }
    return wrong;
  }
};

TEST_F(PlantedWeakBug, ARelaxedArrivalUsedAsIfItOrderedIsWrongWhenStoresAreLate) {
  races_ = false;
  const auto same = [](int i) { return i % 32; };
  const auto planted = [](int* out) { LaunchClusters(ArriveRelaxed<true>, 2, 32, 2, out); };
  const auto repaired = [](int* out) { LaunchClusters(ArriveRelaxed<false>, 2, 32, 2, out); };
  EXPECT_EQ(Wrong(64, same, planted), 0) << "memory that is not weak hides it";
  weak_ = true;
  EXPECT_GT(Wrong(64, same, planted), 0);
  EXPECT_EQ(Wrong(64, same, repaired), 0);
}

TEST_F(PlantedWeakBug, AFlagRaisedWithoutAFenceShowsOldDataWhenStoresAreLate) {
  races_ = false;
  const auto answer = [](int) { return 42; };
  const auto planted = [](int* out) { RaiseFlag<true><<<1, 64>>>(out); };
  const auto repaired = [](int* out) { RaiseFlag<false><<<1, 64>>>(out); };
  EXPECT_EQ(Wrong(1, answer, planted), 0) << "memory that is not weak hides it";
  weak_ = true;
  EXPECT_GT(Wrong(1, answer, planted), 0);
  EXPECT_EQ(Wrong(1, answer, repaired), 0);
}

}  // namespace
}  // namespace fire::simulator
