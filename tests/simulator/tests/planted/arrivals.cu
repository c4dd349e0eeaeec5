// Stores that arrive at an mbarrier of another block: what they order, and what they do not.
#include "tests/simulator/tests/planted/planted.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64;

class PlantedSend : public PlantedBug {
 protected:
  // Of two blocks that send to each other: every seed finds it, and the repaired twin is clean.
  void Finds(Finding finding, void (*bug)(int*), void (*twin)(int*)) {
    for (const Outcome& outcome : Run([bug](int* out) { LaunchClusters(bug, 2, kThreads, 2, out); })) {
      EXPECT_TRUE(std::any_of(outcome.reports.begin(), outcome.reports.end(),
                              [&](const Report& report) { return report.finding == finding; }));
    }
    IsClean([twin](int* out) { LaunchClusters(twin, 2, kThreads, 2, out); });
  }
};

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

TEST_F(PlantedSend, AReadThatDoesNotAwaitWhatIsSentIsFound) {
  Finds(Finding::kRace, ReadBeforeItArrives<true>, ReadBeforeItArrives<false>);
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

TEST_F(PlantedSend, APlainStoreThatReliesOnASendBehindItIsFound) {
  Finds(Finding::kRace, PushBesideASend<true>, PushBesideASend<false>);
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

TEST_F(PlantedSend, TwoBlocksThatSendToOneWordAreFound) {
  Finds(Finding::kRace, SendTwiceToOneWord<true>, SendTwiceToOneWord<false>);
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

TEST_F(PlantedSend, ASendToAnMbarrierWhoseInitialisationIsNotFencedIsFound) {
  Finds(Finding::kRace, SendToAnUnfencedMbarrier<true>, SendToAnUnfencedMbarrier<false>);
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

TEST_F(PlantedSend, ABlockThatLeavesBeforeWhatIsSentToItArrivesIsFound) {
  Finds(Finding::kExitedBlock, LeaveBeforeItArrives<true>, LeaveBeforeItArrives<false>);
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

TEST_F(PlantedSend, AWaitForBytesThatNobodySendsIsFound) {
  Finds(Finding::kDeadlock, ExpectTooMuch<true>, ExpectTooMuch<false>);
}

}  // namespace
}  // namespace fire::simulator
