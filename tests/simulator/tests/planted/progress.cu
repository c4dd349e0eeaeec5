// Kernels that stop, or that never do.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

constexpr int kBarrier = __LINE__ + 4;
template <bool bug>
__global__ void BarrierInABranch(int* out) {
  if (threadIdx.x < (bug ? 20 : kThreads)) {
    __syncthreads();
    out[threadIdx.x] = 1;
  }
}

TEST_F(PlantedBug, ABarrierThatSomeLanesOfAWarpSkipIsFound) {
  Finds(Finding::kBarrierDivergence, cudaErrorLaunchFailure, {kBarrier}, "progress.cu",
        [](int* out) { BarrierInABranch<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { BarrierInABranch<false><<<1, kThreads>>>(out); });
}

constexpr int kWait = __LINE__ + 7;
template <bool bug>
__global__ void WaitForNobody(int* out) {
  const int expected = bug ? kThreads + 32 : kThreads;
  if (threadIdx.x < 32) {
    asm volatile("bar.arrive 3, %0;" ::"r"(expected) : "memory");
  } else {
    asm volatile("bar.sync 3, %0;" ::"r"(expected) : "memory");
  }
  out[threadIdx.x] = 1;
}

TEST_F(PlantedBug, AWaitThatNobodyEndsIsFoundAndSaysWhoWaitsWhere) {
  Finds(Finding::kDeadlock, cudaErrorLaunchFailure, {kWait}, "progress.cu",
        [](int* out) { WaitForNobody<true><<<1, kThreads>>>(out); });
  IsClean([](int* out) { WaitForNobody<false><<<1, kThreads>>>(out); });
}

template <bool bug>
__global__ void WaitWithoutArrival(int* out) {
  if (!bug || ClusterRank() == 0) ClusterArrive();
  if (!bug || ClusterRank() == 0) ClusterWait();
  if (bug && ClusterRank() == 1) {
    while (atomicAdd(out + 100, 0) == 0) {
    }
  }
  out[blockIdx.x * 32 + threadIdx.x] = 1;
}

TEST_F(PlantedBug, AClusterBarrierThatOneBlockNeverReachesIsFound) {
  for (const Outcome& outcome : Run([](int* out) { LaunchClusters(WaitWithoutArrival<true>, 2, 32, 2, out); })) {
    EXPECT_NE(outcome.error, cudaSuccess);
    ASSERT_FALSE(outcome.reports.empty());
    const Finding finding = outcome.reports[0].finding;
    EXPECT_TRUE(finding == Finding::kBudget || finding == Finding::kDeadlock) << outcome.reports[0].Text();
  }
  IsClean([](int* out) { LaunchClusters(WaitWithoutArrival<false>, 2, 32, 2, out); });
}

template <bool bug>
__global__ void WaitBeforeArrival(int* out) {
  if (!bug) ClusterArrive();
  ClusterWait();
  out[blockIdx.x * 32 + threadIdx.x] = 1;
}

TEST_F(PlantedBug, AClusterWaitWithoutAnArrivalIsFound) {
  for (const Outcome& outcome : Run([](int* out) { LaunchClusters(WaitBeforeArrival<true>, 2, 32, 2, out); })) {
    EXPECT_EQ(outcome.error, cudaErrorLaunchFailure);
    ASSERT_FALSE(outcome.reports.empty());
    const Finding finding = outcome.reports[0].finding;
    EXPECT_TRUE(finding == Finding::kInvalid || finding == Finding::kDeadlock) << outcome.reports[0].Text();
  }
  IsClean([](int* out) { LaunchClusters(WaitBeforeArrival<false>, 2, 32, 2, out); });
}

template <bool bug>
__global__ void TouchBeforeTheOtherBegins(int* out) {
  __shared__ int word;
  ClusterArriveRelaxed();
  if (!bug) ClusterWait();
  if (threadIdx.x == 40) StoreTo(InBlock(&word, 1 - ClusterRank()), 7);
  if (bug) ClusterWait();
  ClusterArrive();
  ClusterWait();
  if (threadIdx.x == 0) out[blockIdx.x] = word;
}

TEST_F(PlantedBug, ATouchOfABlockThatMayNotHaveBegunIsFound) {
  for (const Outcome& outcome : Run([](int* out) { LaunchClusters(TouchBeforeTheOtherBegins<true>, 2, 64, 2, out); })) {
    EXPECT_EQ(outcome.error, cudaErrorLaunchFailure);
    ASSERT_FALSE(outcome.reports.empty());
    EXPECT_EQ(outcome.reports[0].finding, Finding::kUnbegunBlock) << outcome.reports[0].Text();
  }
  IsClean([](int* out) { LaunchClusters(TouchBeforeTheOtherBegins<false>, 2, 64, 2, out); });
}

template <bool bug>
__global__ void LeaveTheCluster(int* out) {
  __shared__ int word;
  word = 7;
  ClusterArrive();
  ClusterWait();
  if (ClusterRank() == 1) {
    for (int i = 0; i < 50; ++i) atomicAdd(&out[8], 1);  // long enough for the other to be gone
    out[0] = LoadFrom(InBlock(&word, 0));
  }
  if (!bug) {
    ClusterArrive();
    ClusterWait();
  }
}

TEST_F(PlantedBug, ABlockThatLeavesItsClusterWhileAPeerMayReadItsMemoryIsFound) {
  for (const Outcome& outcome : Run([](int* out) { LaunchClusters(LeaveTheCluster<true>, 2, 1, 2, out); })) {
    EXPECT_EQ(outcome.error, cudaErrorLaunchFailure);
    ASSERT_FALSE(outcome.reports.empty());
    EXPECT_EQ(outcome.reports[0].finding, Finding::kExitedBlock) << outcome.reports[0].Text();
  }
  IsClean([](int* out) { LaunchClusters(LeaveTheCluster<false>, 2, 1, 2, out); });
}

template <bool bug>
__global__ void Spin(int* out) {
  volatile int* const flag = out;
  if (!bug && threadIdx.x == 0) *flag = 1;
  while (*flag == 0) {
  }
}

TEST_F(PlantedBug, ALoopWithoutEndRunsOutOfItsBudget) {
  for (const Outcome& outcome : Run([](int* out) { Spin<true><<<1, 32>>>(out); })) {
    EXPECT_EQ(outcome.error, cudaErrorLaunchTimeout);
    ASSERT_FALSE(outcome.reports.empty());
    EXPECT_EQ(outcome.reports[0].finding, Finding::kBudget);
    EXPECT_NE(outcome.reports[0].file.find("progress.cu"), std::string::npos);
  }
  races_ = false;  // the repaired twin races on purpose
  IsClean([](int* out) { Spin<false><<<1, 32>>>(out); });
}

constexpr int kTrap = __LINE__ + 2;
__global__ void Trap(int at) {
  if (threadIdx.x == at) asm volatile("trap;");
}

TEST_F(PlantedBug, ATrapStopsTheLaunchAndSaysWhere) {
  Finds(Finding::kTrap, cudaErrorLaunchFailure, {kTrap}, "progress.cu", [](int*) { Trap<<<1, 32>>>(17); });
  IsClean([](int*) { Trap<<<1, 32>>>(32); });
}

constexpr int kUnknown = __LINE__ + 3;
__global__ void UseWhatTheMachineDoesNotKnow(int* out) {
  int sum;
  asm volatile("vadd.s32.s32.s32 %0, %1, %2;" : "=r"(sum) : "r"(out[0]), "r"(out[1]));
  out[2] = sum;
}

__global__ void UseWhatItKnows(int* out) { out[2] = out[0] + out[1]; }

TEST_F(PlantedBug, AnInstructionTheMachineDoesNotKnowStopsWithItsTextAndLine) {
  const std::vector<Outcome> outcomes = Run([](int* out) { UseWhatTheMachineDoesNotKnow<<<1, 1>>>(out); });
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.error, cudaErrorIllegalInstruction);
    ASSERT_FALSE(outcome.reports.empty());
    EXPECT_EQ(outcome.reports[0].finding, Finding::kUnknownInstruction);
    EXPECT_NE(outcome.reports[0].instruction.find("vadd.s32.s32.s32"), std::string::npos);
    EXPECT_EQ(outcome.reports[0].line, kUnknown);
  }
  IsClean([](int* out) { UseWhatItKnows<<<1, 1>>>(out); });
}

}  // namespace
}  // namespace fire::simulator
