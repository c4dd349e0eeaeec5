// Happens-before among the threads of a launch, and the memory accesses it leaves unordered. Also which bytes of shared
// memory hold a value.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "tests/simulator/checks/clocks.h"
#include "tests/simulator/checks/global_shadow.h"
#include "tests/simulator/checks/shadow.h"
#include "tests/simulator/machine/memory.h"

namespace fire::simulator {

class RaceChecker {
 public:
  RaceChecker(Cluster& cluster, uint64_t index);

  void Check(Warp& w, const Op& op, const Access& access, Touch touch);

  void WarpSync(Warp& w, uint32_t lanes);
  void BarrierArrive(Warp& w, uint32_t lanes, uint32_t id);
  void BarrierLeave(Warp& w, uint32_t lanes, uint32_t id);
  void BarrierDone(Block& block, uint32_t id);
  void ClusterArrive(Warp& w, uint32_t lanes, bool release);
  void ClusterWait(Warp& w, uint32_t lanes);  // with acquire
  void ClusterDone();
  void Fence(Warp& w, uint32_t lanes, bool cta);
  void FenceInit(Warp& w, uint32_t lanes);  // of mbarriers: for a relaxed arrival at the cluster's barrier alone
  void Publish(Warp& w, const Op& op, const Access& access);    // before a strong write
  void Acquire(Warp& w, const Op& op, const Access& access);    // after a strong read
  void PublishCopy(Warp& w, int lane, const uint8_t* barrier);  // a bulk copy, to those who wait for its mbarrier
  // st.async: no other access of its thread is ordered with it. Those who wait for its mbarrier see it alone.
  void Sent(Warp& w, const Op& op, const Access& to, const Access& barrier);
  void ReportUnwritten(Warp& w, const Op& op, int lane, const std::string& where);
  void Exit(Warp& w);  // of its last lane

 private:
  struct RemoteTouch {
    uint32_t lanes = 0, tick = 0;
    const Op* op = nullptr;
    uint32_t begun = 0;  // lanes that are known to come after the block's begin
  };
  void CheckShared(Warp& w, const Op& op, const Access& access, int lane, const Entry& entry);
  void CheckBegun(Warp& w, const Op& op, int lane, const Block& block);
  void CheckGlobal(Warp& w, const Op& op, const Access& access, uint32_t lanes, const Entry& entry);
  void ReportRace(Warp& w, const Op& op, int lane, const Entry& now, const Entry& before);
  void TouchShared(Warp& w, const Op& op, const Access& access, int lane, const Entry& kind);
  uint32_t SenderTo(const uint8_t* barrier);
  std::string ThreadName(const Entry& entry) const;
  void PublishTo(SyncObject& object, Warp& w, const Op& op, int lane);
  Snapshot AcquireFrom(const SyncObject& object, const Warp& w) const;

  Cluster& cluster_;
  LaunchState& launch_;
  const uint64_t index_;
  const size_t warps_;
  const bool races_, uninitialised_;
  std::vector<WarpClock> clocks_;                                   // by warp of the cluster, then by sender
  std::vector<const uint8_t*> senders_;                             // the mbarrier of each: its stores are as a warp's
  std::vector<Shadow> shared_;                                      // by block
  std::vector<std::vector<RemoteTouch>> remote_;                    // by block touched and warp
  std::map<std::pair<const Block*, uint32_t>, Snapshot> barriers_;  // what has arrived, by block and barrier
  Snapshot cluster_arrived_, cluster_done_;
  std::unordered_map<const uint8_t*, SyncObject> sync_;  // in shared memory
  std::set<std::pair<const Op*, int>> reported_;
};

}  // namespace fire::simulator
