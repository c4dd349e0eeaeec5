// Stores that arrive at an mbarrier of another block: what they order, and what they do not.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

// Launches two blocks of which each sends to the other, and finds it among the reports of every seed.
template <class Outcome>
bool AllFind(const std::vector<Outcome>& outcomes, Finding finding) {
  return std::all_of(outcomes.begin(), outcomes.end(), [&](const auto& outcome) {
    return std::any_of(outcome.reports.begin(), outcome.reports.end(),
                       [&](const Report& report) { return report.finding == finding; });
  });
}

__device__ void Begin(uint64_t* arrivals, bool fences = true) {
  if (threadIdx.x == 0) {
    InitArrivals(arrivals);
    if (fences) FenceInit();
  }
  ClusterArriveRelaxed();
  ClusterWait();
}

template <bool bug>
__global__ void ReadBeforeItArrives(int* out) {
  __shared__ int box[kThreads];
  __shared__ uint64_t arrivals;
  Begin(&arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, 4 * kThreads);
  SendTo(&box[threadIdx.x], ClusterRank() ^ 1, static_cast<int>(threadIdx.x), &arrivals);
  if (!bug) AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = box[threadIdx.x];
  AwaitArrivals(&arrivals, 0);
}

TEST_F(PlantedBug, AReadThatDoesNotAwaitWhatIsSentIsFound) {
  EXPECT_TRUE(
      AllFind(Run([](int* out) { LaunchClusters(ReadBeforeItArrives<true>, 2, kThreads, 2, out); }), Finding::kRace));
  IsClean([](int* out) { LaunchClusters(ReadBeforeItArrives<false>, 2, kThreads, 2, out); });
}

template <bool bug>
__global__ void PushBesideASend(int* out) {
  __shared__ int box[kThreads], other[kThreads];
  __shared__ uint64_t arrivals;
  const uint32_t peer = ClusterRank() ^ 1;
  Begin(&arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, (bug ? 4 : 8) * kThreads);
  if (bug) {
    StoreTo(InBlock(&other[threadIdx.x], peer), 3);
  } else {
    SendTo(&other[threadIdx.x], peer, 3, &arrivals);
  }
  SendTo(&box[threadIdx.x], peer, static_cast<int>(threadIdx.x), &arrivals);
  AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = box[threadIdx.x] + other[threadIdx.x];
  ClusterArrive();
  ClusterWait();
}

TEST_F(PlantedBug, APlainStoreThatReliesOnASendBehindItIsFound) {
  EXPECT_TRUE(
      AllFind(Run([](int* out) { LaunchClusters(PushBesideASend<true>, 2, kThreads, 2, out); }), Finding::kRace));
  IsClean([](int* out) { LaunchClusters(PushBesideASend<false>, 2, kThreads, 2, out); });
}

template <bool bug>
__global__ void SendTwiceToOneWord(int* out) {
  __shared__ int box[2 * kThreads];
  __shared__ uint64_t arrivals;
  Begin(&arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, 8 * kThreads);
  const uint32_t at = threadIdx.x + (bug ? 0 : ClusterRank() * kThreads);
  for (uint32_t to = 0; to < 2; ++to) SendTo(&box[at], to, static_cast<int>(ClusterRank()), &arrivals);
  AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = box[threadIdx.x];
}

TEST_F(PlantedBug, TwoBlocksThatSendToOneWordAreFound) {
  EXPECT_TRUE(
      AllFind(Run([](int* out) { LaunchClusters(SendTwiceToOneWord<true>, 2, kThreads, 2, out); }), Finding::kRace));
  IsClean([](int* out) { LaunchClusters(SendTwiceToOneWord<false>, 2, kThreads, 2, out); });
}

template <bool bug>
__global__ void SendToAnUnfencedMbarrier(int* out) {
  __shared__ int box[kThreads];
  __shared__ uint64_t arrivals;
  Begin(&arrivals, !bug);
  SendTo(&box[threadIdx.x], ClusterRank() ^ 1, 1, &arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, 4 * kThreads);
  AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = box[threadIdx.x];
}

TEST_F(PlantedBug, ASendToAnMbarrierWhoseInitialisationIsNotFencedIsFound) {
  EXPECT_TRUE(AllFind(Run([](int* out) { LaunchClusters(SendToAnUnfencedMbarrier<true>, 2, kThreads, 2, out); }),
                      Finding::kRace));
  IsClean([](int* out) { LaunchClusters(SendToAnUnfencedMbarrier<false>, 2, kThreads, 2, out); });
}

template <bool bug>
__global__ void LeaveBeforeItArrives(int* out) {
  __shared__ int box[kThreads];
  __shared__ uint64_t arrivals;
  Begin(&arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, 4 * kThreads);
  SendTo(&box[threadIdx.x], ClusterRank() ^ 1, 1, &arrivals);
  if (!bug || ClusterRank() == 0) AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = 1;
}

TEST_F(PlantedBug, ABlockThatLeavesBeforeWhatIsSentToItArrivesIsFound) {
  EXPECT_TRUE(AllFind(Run([](int* out) { LaunchClusters(LeaveBeforeItArrives<true>, 2, kThreads, 2, out); }),
                      Finding::kExitedBlock));
  IsClean([](int* out) { LaunchClusters(LeaveBeforeItArrives<false>, 2, kThreads, 2, out); });
}

template <bool bug>
__global__ void ExpectTooMuch(int* out) {
  __shared__ int box[kThreads];
  __shared__ uint64_t arrivals;
  Begin(&arrivals);
  if (threadIdx.x == 0) ExpectBytes(&arrivals, 4 * kThreads + (bug ? 4 : 0));
  SendTo(&box[threadIdx.x], ClusterRank() ^ 1, 1, &arrivals);
  AwaitArrivals(&arrivals, 0);
  out[blockIdx.x * kThreads + threadIdx.x] = box[threadIdx.x];
}

TEST_F(PlantedBug, AWaitForBytesThatNobodySendsIsFound) {
  EXPECT_TRUE(
      AllFind(Run([](int* out) { LaunchClusters(ExpectTooMuch<true>, 2, kThreads, 2, out); }), Finding::kDeadlock));
  IsClean([](int* out) { LaunchClusters(ExpectTooMuch<false>, 2, kThreads, 2, out); });
}

}  // namespace
}  // namespace fire::simulator
