// Runs the warps of one cluster, in an order that the seed decides.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulator/machine/launch_state.h"
#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

class Scheduler {
 public:
  explicit Scheduler(Cluster& cluster) : cluster_(cluster), launch_(*cluster.launch), code_(cluster.program->code) {}
  // To the end of every thread. Throws SimulationError with one report for a fault.
  void Run();

 private:
  // scheduler.cpp: groups of lanes
  bool RunWarp(Warp& w);  // for a slice; false if nothing could run
  void RunGroup(Warp& w, Group group);
  bool PickGroup(Warp& w, Group& group);
  void TakeBack(Warp& w, int32_t pc);  // an instruction that will execute again, and is issued once
  void Exit(Warp& w, const Group& group, uint32_t lanes);
  [[noreturn]] void Stop(const Warp& w, int32_t pc, const Fault& fault);

  // groups.cpp: how they part and meet again
  void MergeReady(Warp& w);
  bool ArriveAtJoin(Warp& w, Group& group);  // true: the group goes on
  void Diverge(Warp& w, Group& group, uint32_t taken, int32_t target);
  void DivergeMany(Warp& w, const Group& group, const int32_t* targets, int32_t converge);
  int32_t NewJoin(Warp& w, const Group& group, int32_t pc);
  void BreakJoin(Warp& w);

  // barriers.cpp
  [[noreturn]] void ReportDeadlock();
  void OrderLanes(Warp& w, uint32_t lanes);                            // bar.warp.sync orders memory among its lanes
  bool Together(Warp& w, Group& group, const Op& op, uint32_t lanes);  // true: the group goes on
  void ParkByMask(Warp& w, const Group& group, const Op& op, uint32_t lanes);
  void CompleteMasks(Warp& w);
  bool Aligned(Warp& w, Group& group, const Op& op, uint32_t lanes);
  bool ArriveAtBarrier(Warp& w, Group& group, const Op& op, uint32_t lanes);
  void CompleteBarrier(Block& block, uint32_t id);
  void CompleteAllBarriers(Block& block);

  // cluster_barrier.cpp
  void ArriveAtCluster(Warp& w, const Op& op, uint32_t lanes);
  bool WaitForCluster(Warp& w, Group& group, const Op& op, uint32_t lanes);
  void CompleteCluster();

  bool AwaitPhase(Warp& w, Group& group, const Op& op, uint32_t lanes);  // of an mbarrier. True: the group goes on
  void FinishCopies();                                                   // those whose delay has passed

  Cluster& cluster_;
  LaunchState& launch_;
  const std::vector<Op>& code_;
};

void Land(Cluster& cluster, const SentCopy& copy);  // in memory, and at its mbarrier

}  // namespace fire::simulator
