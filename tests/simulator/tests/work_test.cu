// What a launch is said to have issued: kernels in PTX, whose instructions can be counted by reading.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "tests/simulator/simulator.h"
#include "tests/simulator/tests/cluster_ptx.cuh"

namespace fire::simulator {
namespace {

constexpr int kThreads = 64, kWarps = kThreads / 32;

class SimulatedWork : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    Behaviour behaviour = GetBehaviour();
    behaviour.launch.seed = GetParam();
    behaviour.launch.count_work = true;
    SetBehaviour(behaviour);
    ASSERT_EQ(cudaMalloc(&out_, 1 << 16), cudaSuccess);
    ASSERT_EQ(cudaMemset(out_, 0, 1 << 16), cudaSuccess);
  }
  void TearDown() override { cudaFree(out_); }
  static LaunchWork Only() {
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    std::vector<LaunchWork> work = TakeWork();
    EXPECT_EQ(work.size(), 1u);
    return work.empty() ? LaunchWork() : work[0];
  }
  // What `with` issues beyond `without`, in all blocks and in the busiest.
  template <class Kernel>
  std::pair<uint64_t, uint64_t> Beyond(Kernel without, Kernel with, int blocks, int argument) {
    without<<<blocks, kThreads>>>(out_, argument);
    const LaunchWork less = Only();
    with<<<blocks, kThreads>>>(out_, argument);
    const LaunchWork more = Only();
    return {more.instructions - less.instructions, more.of_busiest - less.of_busiest};
  }

  int* out_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedWork, testing::Range<uint64_t>(0, 3));

// Five instructions, one of them for nobody; block 2 also takes a loop of three, `turns` times.
template <bool kWithAsm>
__global__ void Straight(int*, int) {
  if (kWithAsm) {
    asm volatile(
        "{.reg .u32 a; .reg .pred p; mov.u32 a, 1; add.u32 a, a, 2; setp.eq.u32 p, a, 0; @p add.u32 a, a, 1;"
        " add.u32 a, a, 3;}");
  }
}

TEST_P(SimulatedWork, CountsTheInstructionsOfEveryWarpGuardedOnesToo) {
  const auto [all, busiest] = Beyond(Straight<false>, Straight<true>, 3, 0);
  EXPECT_EQ(all, 3u * kWarps * 5);
  EXPECT_EQ(busiest, uint64_t{kWarps} * 5);
}

template <bool kWithAsm>
__global__ void LoopOfBlockTwo(int*, int turns) {
  if (kWithAsm) {
    asm volatile(
        "{.reg .u32 b, i; .reg .pred p, q;"
        " mov.u32 b, %%ctaid.x; mov.u32 i, %0; setp.ne.u32 p, b, 2;"
        " @p bra done;"
        " again: sub.u32 i, i, 1; setp.ne.u32 q, i, 0; @q bra again;"
        " done: mov.u32 i, 0;}" ::"r"(turns));
  }
}

TEST_P(SimulatedWork, NamesTheBusiestBlock) {
  constexpr uint64_t kTurns = 100;
  LoopOfBlockTwo<true><<<4, kThreads>>>(out_, kTurns);
  const LaunchWork work = Only();
  EXPECT_EQ(work.busiest_block.x, 2u);
  EXPECT_EQ((work.instructions - work.of_busiest) % 3, 0u) << "the others are alike";
  EXPECT_GE(work.of_busiest, kWarps * kTurns * 3);
}

__global__ void MeetInBlockZeroMore(int* out, int more) {
  __syncthreads();
  const int any = __syncthreads_or(static_cast<int>(threadIdx.x));
  if (blockIdx.x == 0) {
    for (int i = 0; i < more; ++i) __syncthreads();
  }
  out[threadIdx.x] = any;
}

TEST_P(SimulatedWork, CountsTheBarriersOfTheBusiestBlock) {
  MeetInBlockZeroMore<<<3, kThreads>>>(out_, 5);
  const LaunchWork work = Only();
  EXPECT_EQ(work.busiest_block.x, 0u);
  EXPECT_EQ(work.block_barriers, 7u);
  EXPECT_EQ(work.cluster_barriers, 0u);
}

// Two barriers of all; the last block has the most to do and arrives once more, without waiting.
__global__ void MeetInClusters(int* out, int turns) {
  ClusterArriveRelaxed();
  ClusterWait();
  if (ClusterRank() == 1) {
    for (int i = 0; i < turns; ++i) atomicAdd(out, 1);
  }
  ClusterArrive();
  ClusterWait();
  ClusterArrive();
}

TEST_P(SimulatedWork, CountsTheClusterBarriersThatTheBusiestBlockWaitedFor) {
  ASSERT_EQ(LaunchClusters(MeetInClusters, 4, kThreads, 2, out_, 50), cudaSuccess);
  const LaunchWork work = Only();
  EXPECT_EQ(work.busiest_block.x, 1u) << "of two alike the first";
  EXPECT_EQ(work.cluster_barriers, 2u);
  EXPECT_EQ(work.block_barriers, 0u);
  EXPECT_EQ(work.instructions, GetCounters().instructions);
}

TEST_P(SimulatedWork, IsTheSameForAnySeedWhereNoBlockWaitsForAnother) {
  MeetInBlockZeroMore<<<3, kThreads>>>(out_, 5);
  const auto told = [](const LaunchWork& work) {
    return std::tuple(work.instructions, work.of_busiest, work.busiest_block.x, work.block_barriers);
  };
  const auto found = told(Only());
  Behaviour behaviour = GetBehaviour();
  behaviour.launch.seed += 17;
  SetBehaviour(behaviour);
  MeetInBlockZeroMore<<<3, kThreads>>>(out_, 5);
  EXPECT_EQ(told(Only()), found);
}

// Lanes 0 to 3 load, from the 40th byte on; block 1 leaves before that.
__global__ void LoadInBlockZero(const int* in) {
  asm volatile(
      "{.reg .u32 b, l, v; .reg .pred p, q; mov.u32 b, %%ctaid.x; mov.u32 l, %%laneid; setp.ne.u32 p, b, 0;"
      " @p bra done; setp.lt.u32 q, l, 4; @q ld.global.u32 v, [%0+40]; done: mov.u32 l, 0;}" ::"l"(in));
}

TEST_P(SimulatedWork, IsTracedStepByStepWithLanesAndGlobalAddresses) {
  Behaviour behaviour = GetBehaviour();
  behaviour.launch.trace = true;
  SetBehaviour(behaviour);
  LoadInBlockZero<<<2, kThreads>>>(out_);
  const LaunchWork work = Only();
  const LaunchTrace& trace = work.trace;
  ASSERT_EQ(trace.blocks.size(), 2u);
  EXPECT_EQ(trace.blocks[0].size() + trace.blocks[1].size(), work.instructions);
  size_t loads = 0, left = 0;
  for (const LaunchTrace::Step& step : trace.blocks[0]) {
    const LaunchTrace::Instruction& instruction = trace.code[static_cast<size_t>(step.pc)];
    const bool is_load = instruction.text.find("ld.global") != std::string::npos;
    EXPECT_EQ(step.address, is_load ? reinterpret_cast<uint64_t>(out_) + 40 : 0) << instruction.text;
    EXPECT_EQ(step.lanes, is_load                                             ? 0xFu
                          : instruction.text.find("bra") != std::string::npos ? 0u
                                                                              : ~0u)
        << instruction.text;
    EXPECT_LT(step.warp, uint32_t{kWarps});
    loads += is_load;
  }
  for (const LaunchTrace::Step& step : trace.blocks[1]) {
    const std::string& text = trace.code[static_cast<size_t>(step.pc)].text;
    EXPECT_EQ(text.find("ld.global"), std::string::npos);
    left += text.find("bra") != std::string::npos && step.lanes == ~0u;
  }
  EXPECT_EQ(loads, size_t{kWarps});
  EXPECT_EQ(left, size_t{kWarps}) << "a branch that is taken has the lanes that take it";
}

__global__ void MeetTwice() {
  ClusterArriveRelaxed();
  ClusterWait();
  ClusterArrive();
  ClusterWait();
}

TEST_P(SimulatedWork, ATraceHasAWaitForTheClusterOnceHoweverOftenItWasTried) {
  Behaviour behaviour = GetBehaviour();
  behaviour.launch.trace = true;
  SetBehaviour(behaviour);
  ASSERT_EQ(LaunchClusters(MeetTwice, 4, kThreads, 4), cudaSuccess);
  const LaunchWork work = Only();
  size_t waits = 0;
  for (const auto& block : work.trace.blocks) {
    for (const LaunchTrace::Step& step : block) {
      waits += work.trace.code[static_cast<size_t>(step.pc)].text.find("cluster.wait") != std::string::npos;
    }
  }
  EXPECT_EQ(waits, size_t{4} * kWarps * 2);
}

TEST(SimulatedWorkUnasked, IsNotCounted) {
  Straight<true><<<2, kThreads>>>(nullptr, 0);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_TRUE(TakeWork().empty());
}

}  // namespace
}  // namespace fire::simulator
