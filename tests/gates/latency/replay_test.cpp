// Traces made by hand, whose cycles can be worked out by hand.
#include "tests/gates/latency/replay.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace fire::latency {
namespace {

using simulator::LaunchTrace;

constexpr uint32_t kAll = ~0u;
// Round figures: 1 byte a nanosecond is 1 a clock.
constexpr Machine kRound = {1, 0, 64, 132 * 64, 32, 1e6, 500, 200, 100, 50, 80, 31, 15, 4096};

// Warps of one block that all run the code from its first to its last instruction.
LaunchTrace Straight(const std::vector<std::string>& code, uint32_t warps, size_t blocks = 1) {
  LaunchTrace trace;
  for (const std::string& text : code) trace.code.push_back({text, "by_hand.cu", static_cast<int>(trace.code.size())});
  trace.blocks.resize(blocks);
  for (auto& block : trace.blocks) {
    for (uint32_t warp = 0; warp < warps; ++warp) {
      for (int32_t pc = 0; pc < static_cast<int32_t>(code.size()); ++pc) block.push_back({warp, pc, kAll, 0});
    }
  }
  return trace;
}

Replayed ReplayOf(const LaunchTrace& trace, const Batch& batch = {}) {
  return Replay(trace, CostsOf(trace.code), kRound, batch);
}
Cycle CyclesOf(const LaunchTrace& trace, const Batch& batch = {}) { return ReplayOf(trace, batch).cycles; }

TEST(LatencyReplay, AChainWaitsForEachResult) {
  // Begin at 0, 5 and 10; the third takes a slot until 11.
  EXPECT_EQ(
      CyclesOf(Straight(
          {"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;", "fma.rn.f32 %f3, %f2, %f0, %f0;"}, 1)),
      11);
}

TEST(LatencyReplay, AWatchedWarpTellsWhenItIssuesWhat) {
  const LaunchTrace trace = Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;"}, 2);
  EXPECT_TRUE(ReplayOf(trace).issues.empty());
  const Replayed found = ReplayOf(trace, {1, 1, 1, 1});
  ASSERT_EQ(found.issues.size(), 2u);
  EXPECT_EQ(found.issues[0].at, 0);
  EXPECT_EQ(found.issues[1].at, 5);
  EXPECT_EQ(found.issues[1].pc, 1);
}

TEST(LatencyReplay, WhatIsReadyGoesAheadOfWhatWaitsInABlockOfCode) {
  // 0: the first; 1 and 2: the two that need nothing; 5: the one that needs the first.
  EXPECT_EQ(CyclesOf(Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;",
                               "fma.rn.f32 %f3, %f0, %f0, %f0;", "fma.rn.f32 %f4, %f0, %f0, %f0;"},
                              1)),
            6);
}

TEST(LatencyReplay, NothingPassesABranch) {
  // 0: the first; 5: the second; 6: the branch, not taken, though it needs nothing; 7: the last.
  EXPECT_EQ(CyclesOf(Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;", "bra $next;",
                               "fma.rn.f32 %f3, %f0, %f0, %f0;"},
                              1)),
            8);
}

TEST(LatencyReplay, ABranchThatIsTakenCostsItsWay) {
  LaunchTrace trace = Straight({"bra $over;", "fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f0, %f0, %f0;"}, 1);
  trace.blocks[0].erase(trace.blocks[0].begin() + 1);
  EXPECT_EQ(CyclesOf(trace), 10);  // 9 behind the branch, and the slot of the last
}

TEST(LatencyReplay, FourSchedulersIssueAtATimeAndAFifthWarpShares) {
  const std::vector<std::string> code(10, "fma.rn.f32 %f1, %f0, %f0, %f0;");
  EXPECT_EQ(CyclesOf(Straight(code, 4)), 10);
  EXPECT_EQ(CyclesOf(Straight(code, 5)), 20);
}

TEST(LatencyReplay, IntegersHaveHalfOfTheSlots) {
  // Begin at 0, 2, 4, 6; between them the float unit is free.
  EXPECT_EQ(CyclesOf(Straight(std::vector<std::string>(4, "add.s32 %r1, %r0, %r0;"), 1)), 7);
  EXPECT_EQ(CyclesOf(Straight({"add.s32 %r1, %r0, %r0;", "add.s32 %r2, %r0, %r0;", "fma.rn.f32 %f1, %f0, %f0, %f0;",
                               "fma.rn.f32 %f2, %f0, %f0, %f0;"},
                              1)),
            4);
}

TEST(LatencyReplay, SharedMemoryIsOneForFourSchedulers) {
  // 512 bytes each, 128 a clock: begin at 0, 4, 8, 12.
  EXPECT_EQ(CyclesOf(Straight({"ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%r0];"}, 4)), 13);
}

TEST(LatencyReplay, AnIntegerReadsWhatALoadOfSharedMemoryBrings) {
  EXPECT_EQ(CyclesOf(Straight({"ld.shared.u32 %r1, [%r0];", "add.s32 %r2, %r1, %r1;"}, 1)), 31);
}

TEST(LatencyReplay, AGuardIsReadAndWhatItMayKeepToo) {
  // 0: setp, until 9; 9: the guarded sum, until 14; 14: its reader.
  EXPECT_EQ(
      CyclesOf(Straight({"setp.lt.u32 %p1, %r0, %r0;", "@%p1 add.s32 %r1, %r0, %r0;", "add.s32 %r2, %r1, %r1;"}, 1)),
      15);
}

TEST(LatencyReplay, ALoadWaitsForTheStoresBeforeIt) {
  // 0: the sum, until 5; 5: the store; 6: the load, which needs nothing of it.
  EXPECT_EQ(CyclesOf(Straight({"add.s32 %r1, %r0, %r0;", "st.shared.u32 [%r9], %r1;", "ld.shared.u32 %r3, [%r8];"}, 1)),
            7);
}

LaunchTrace Loads(uint32_t warps, const std::vector<uint64_t>& addresses) {
  std::vector<std::string> code(addresses.size(), "ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0];");
  code.push_back("add.s32 %r5, %r1, %r1;");
  LaunchTrace trace = Straight(code, warps);
  for (LaunchTrace::Step& step : trace.blocks[0]) {
    if (static_cast<size_t>(step.pc) < addresses.size()) {
      step.address = addresses[static_cast<size_t>(step.pc)] + 4096 * step.warp;
    }
  }
  return trace;
}

TEST(LatencyReplay, ALoadTakesItsLatencyAndItsBytes) {
  // 512 bytes at 32 a clock, the multiprocessor's own limit: 16, and 500; then a slot.
  EXPECT_EQ(CyclesOf(Loads(1, {1 << 20})), 16 + 500 + 1);
  EXPECT_EQ(CyclesOf(Loads(2, {1 << 20})), 2 * 16 + 500 + 1) << "the second queues behind the first";
}

TEST(LatencyReplay, WhatWasReadBeforeComesFromL2UnlessTheDeviceHasReadTooMuchSince) {
  // The second load of a line waits until the first has brought it, and takes its own bytes.
  const Replayed twice = ReplayOf(Loads(1, {1 << 20, 1 << 20}));
  EXPECT_EQ(twice.cycles, 16 + 500 + 1);
  EXPECT_EQ(twice.hbm_bytes, 512);
  // 1 MB of L2: of 132 sets, each reads 8 KB between the two.
  std::vector<uint64_t> addresses;
  for (uint64_t i = 0; i < 16; ++i) addresses.push_back((1 << 20) + 512 * i);
  addresses.push_back(1 << 20);
  EXPECT_EQ(ReplayOf(Loads(1, addresses), {1, 1, 1}).hbm_bytes, 16 * 512);
  EXPECT_EQ(ReplayOf(Loads(1, addresses), {132, 1, 1}).hbm_bytes, 17 * 512);
}

TEST(LatencyReplay, APrefetchTakesNothingOfWhatAMultiprocessorCanTakeIn) {
  LaunchTrace trace = Straight(
      {"prefetch.global.L2 [%rd0];", "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0];", "add.s32 %r5, %r1, %r1;"}, 1);
  trace.blocks[0][0].address = trace.blocks[0][1].address = 1 << 20;
  // 32 lines of 128 bytes by the 64 of HBM, not by the 32 of the multiprocessor; the load waits for the first ones.
  EXPECT_EQ(CyclesOf(trace), 64 + 500 + 1);
}

TEST(LatencyReplay, ManyRowsShareTheMemory) {
  // 64 bytes a clock for 128 blocks: half a byte each.
  EXPECT_EQ(CyclesOf(Loads(1, {1 << 20}), {128, 1, 1}), 1024 + 500 + 1);
}

TEST(LatencyReplay, ABarrierReleasesAllWhenTheLastHasCome) {
  LaunchTrace trace = Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;", "bar.sync 0;",
                                "fma.rn.f32 %f3, %f0, %f0, %f0;"},
                               2);
  trace.blocks[0].erase(trace.blocks[0].begin(), trace.blocks[0].begin() + 2);  // warp 0 has nothing to do before it
  const Replayed found = ReplayOf(trace);
  // Warp 0 comes at 1, warp 1 at 7: both go on at 31.
  EXPECT_EQ(found.cycles, 7 + 24 + 1);
  ASSERT_EQ(found.phases.size(), 2u);
  EXPECT_EQ(found.phases[0].first, 1);
  EXPECT_EQ(found.phases[0].last, 7);
  EXPECT_EQ(found.phases[0].end, 31);
  EXPECT_EQ(found.phases[0].warp, 1u);
  EXPECT_EQ(found.phases[0].pc, 2);
  EXPECT_EQ(found.phases[0].parts.at(0).pc, 1) << "the line that warp 1 spent most at";
  EXPECT_EQ(found.phases[1].pc, -1);
}

TEST(LatencyReplay, AWarpThatHasEndedIsNotWaitedFor) {
  LaunchTrace trace = Straight({"bar.sync 0;", "exit;"}, 2);
  trace.blocks[0].erase(trace.blocks[0].begin());
  EXPECT_EQ(CyclesOf(trace), 1 + 24 + 1);
}

TEST(LatencyReplay, AClusterMeetsWhenItsLastBlockHasToldOfItsStores) {
  const std::vector<std::string> code = {"fma.rn.f32 %f1, %f0, %f0, %f0;", "barrier.cluster.arrive.release.aligned;",
                                         "barrier.cluster.wait.acquire.aligned;"};
  LaunchTrace trace = Straight(code, 1, 2);
  trace.blocks[0].erase(trace.blocks[0].begin());
  // Block 1 arrives at 2, and 100 for its stores; 50 to go on.
  EXPECT_EQ(CyclesOf(trace), 2 + 100 + 50);
  for (auto& one : trace.code) {
    if (one.text.find("arrive") != std::string::npos) one.text = "barrier.cluster.arrive.relaxed.aligned;";
  }
  EXPECT_EQ(CyclesOf(trace), 2 + 50);
}

TEST(LatencyReplay, WhoWaitsAtAnMbarrierGoesOnWhenTheLastStoreHasArrived) {
  LaunchTrace trace = Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "add.f32 %f2, %f1, %f1;",
                                "st.async.shared::cluster.mbarrier::complete_tx::bytes.f32 [%r1], %f2, [%r2];",
                                "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], %r4;",
                                "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1, [%r3], %r5;"},
                               1, 2);
  trace.phases.resize(2);
  for (uint32_t block = 0; block < 2; ++block) {
    auto& steps = trace.blocks[block];
    if (block == 1) steps.erase(steps.begin());  // its operand is there from the start
    for (LaunchTrace::Step& step : steps) {
      if (step.pc < 2) continue;
      step.first_phase = static_cast<uint32_t>(step.pc) - 2, step.phases = 1;
    }
    trace.phases[block] = {{1 - block, 64, 0}, {block, 64, 0}, {block, 64, 0}};
  }
  // Block 0 sends at 10, which arrives at 90; block 1 goes on 24 later.
  EXPECT_EQ(CyclesOf(trace), 10 + 80 + 24);
}

TEST(LatencyReplay, AWarpThatArrivesAndEndsDoesNotStandForOneThatHasNotArrived) {
  LaunchTrace trace =
      Straight({"barrier.cluster.arrive.relaxed.aligned;", "barrier.cluster.wait.acquire.aligned;"}, 1, 3);
  trace.code.push_back({"fma.rn.f32 %f1, %f1, %f1, %f1;", "by_hand.cu", 9});
  trace.blocks[0].pop_back();
  trace.blocks[2].insert(trace.blocks[2].begin(), 4, {0, 2, kAll, 0});  // 0, 5, 10 and 15: it arrives at 17
  EXPECT_EQ(CyclesOf(trace), 17 + 50);
}

TEST(LatencyReplay, RowsTakeTurnsWhereTheirBlocksDoNotFitBesideEachOther) {
  const LaunchTrace trace = Straight({"fma.rn.f32 %f1, %f0, %f0, %f0;", "fma.rn.f32 %f2, %f1, %f0, %f0;"}, 1);
  EXPECT_EQ(CyclesOf(trace, {1, 1, 1}), 6);
  EXPECT_EQ(CyclesOf(trace, {132 * 3, 3, 1}), 18);
  EXPECT_EQ(CyclesOf(trace, {132 * 2, 2, 2}), 7) << "both use the scheduler of their warp 0, one cycle apart";
}

TEST(LatencyMachine, FewerClustersFitThanTheirBlocksAreIn132) {
  EXPECT_EQ(SetsOf(kPlain, 1), 132);
  EXPECT_EQ(SetsOf(kPlain, 2), 66);
  EXPECT_EQ(SetsOf(kPlain, 4), 30);
  EXPECT_EQ(SetsOf(kPlain, 8), 15);
  EXPECT_EQ(SetsOf(kPlain, 16), 7);
}

TEST(LatencyCosts, AnUnknownInstructionIsNamed) {
  try {
    CostsOf({{"frobnicate.u32 %r1, %r2;", "", 0}});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("frobnicate.u32 %r1"), std::string::npos);
  }
  EXPECT_THROW(CostsOf({{"bar.sync 1, 64;", "", 0}}), std::invalid_argument);
}

TEST(LatencyCosts, OperandsAreToldFromResults) {
  const auto only = [](const char* text) { return CostsOf({{text, "", 0}}).instructions.at(0); };
  EXPECT_EQ(only("setp.geu.bf16x2 p|q, %r1, %r2;").writes.size(), 2u);
  EXPECT_EQ(only("st.shared.v2.u32 [%r1], {%r2, %r3};").writes.size(), 0u);
  EXPECT_EQ(only("st.shared.v2.u32 [%r1], {%r2, %r3};").reads.size(), 3u);
  EXPECT_EQ(only("ld.shared.v2.u32 {%r1, %r2}, [%r3+8];").writes.size(), 2u);
  EXPECT_EQ(only("ld.shared.v2.u32 {%r1, %r2}, [%r3+8];").reads.size(), 1u);
  EXPECT_EQ(only("bar.red.popc.u32 %r1, 0, %p1;").writes.size(), 1u);
}

}  // namespace
}  // namespace fire::latency
