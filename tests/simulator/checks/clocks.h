// Vector clocks of the warps of a cluster.
//
// A warp has a tick, which moves on at everything that may order memory; an access is named by its warp, lane and tick.
// The first tick is of no access: it stands for the warp having begun.
// `known` says up to which tick the accesses of all lanes of another warp happened before what this warp does next.
// What only some lanes know, or know of some lanes, is kept aside: it is rare, and looked at only when `known` falls
// short.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace fire::simulator {

constexpr uint32_t kBegun = 1;  // the first tick

struct Snapshot {
  struct Single {  // some lanes of a warp, up to a tick
    uint32_t warp, lanes, tick;
  };
  uint64_t cluster = 0;
  std::vector<uint32_t> known;
  std::vector<Single> singles;
  std::vector<std::shared_ptr<const Snapshot>> foreign;  // of other clusters

  void Join(const Snapshot& other);  // of the same cluster; of another one it is kept as foreign
  bool Covers(uint64_t of_cluster, uint32_t warp, uint32_t lanes, uint32_t tick) const;
};

struct WarpClock {
  struct Partial {  // lanes that met at a bar.warp.sync
    uint32_t lanes, tick;
  };
  struct Extra {  // what only `lanes` have acquired
    uint32_t lanes;
    std::shared_ptr<const Snapshot> what;
  };
  struct Fence {
    uint32_t lanes, tick;
    bool cta;
    std::shared_ptr<const Snapshot> before;
  };
  uint32_t index = 0;  // of the warp in the cluster
  uint64_t cluster = 0;
  uint32_t tick = kBegun + 1;
  uint32_t full = 0;  // the warp's lanes know each other's accesses up to here
  std::vector<uint32_t> known;
  std::vector<Partial> partials;
  std::vector<Extra> extras;
  std::vector<Extra> pending;  // seen by strong reads, acquired at the next fence
  std::vector<Fence> fences, inits;

  // Do the accesses of another warp's lanes happen before what `lane` does next?
  bool Knows(int lane, uint64_t of_cluster, uint32_t warp, uint32_t lanes, uint32_t at) const;
  // What lanes know, without their own latest accesses.
  Snapshot Collect(uint32_t lanes) const;
  // All of it, and the tick moves on. `whole`: these are all lanes of the warp.
  Snapshot Publish(uint32_t lanes, bool whole);
  void Absorb(uint32_t lanes, bool whole, const Snapshot& what);
  void SyncLanes(uint32_t lanes, bool whole);
};

}  // namespace fire::simulator
