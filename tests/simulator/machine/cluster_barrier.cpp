// The barrier of a cluster, at which threads arrive first and wait later.
#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/machine/scheduler.h"

namespace fire::simulator {

void Scheduler::ArriveAtCluster(Warp& w, const Op& op, uint32_t lanes) {
  if (w.cluster_arrived & lanes) {
    throw Fault{Finding::kInvalid, std::countr_zero(w.cluster_arrived & lanes),
                "the thread arrives at the cluster barrier a second time without waiting between"};
  }
  w.cluster_arrived |= lanes;
  ForLanes(lanes, [&](int lane) { w.cluster_phase[lane] = cluster_.phase; });
  cluster_.arrived += static_cast<uint32_t>(std::popcount(lanes));
  const bool release = op.flags & kRelease;
  if (cluster_.stores && release) cluster_.stores->Flush(w, lanes);
  if (cluster_.races) cluster_.races->ClusterArrive(w, lanes, release);
  CompleteCluster();
}

bool Scheduler::WaitForCluster(Warp& w, Group& group, const Op& op, uint32_t lanes) {
  if (lanes & ~w.cluster_arrived) {
    throw Fault{Finding::kInvalid, std::countr_zero(lanes & ~w.cluster_arrived),
                "the thread waits at the cluster barrier without having arrived"};
  }
  if (lanes != group.lanes) {
    Group rest = group;
    rest.lanes &= ~lanes;
    ++rest.pc;
    w.groups.push_back(rest);
    group.lanes = lanes;
  }
  if (Ballot(lanes, [&](int lane) { return w.cluster_phase[lane] < cluster_.phase; }) != lanes) {
    group.state = Group::kAtCluster;
    w.groups.push_back(group);
    TakeBack(w, group.pc);
    return false;
  }
  w.cluster_arrived &= ~lanes;
  w.block->tally.PassCluster(w.cluster_phase[std::countr_zero(lanes)]);
  if (cluster_.races && (op.flags & kAcquire)) cluster_.races->ClusterWait(w, lanes);
  ++group.pc;
  return true;
}

void Scheduler::CompleteCluster() {
  if (cluster_.arrived == 0 || cluster_.arrived + cluster_.exited < cluster_.threads) return;
  cluster_.arrived = 0;
  ++cluster_.phase;
  if (cluster_.races) cluster_.races->ClusterDone();
  cluster_.Wake(Group::kAtCluster);
}

}  // namespace fire::simulator
