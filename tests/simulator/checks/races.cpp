#include "tests/simulator/checks/races.h"

#include <algorithm>

namespace fire::simulator {
namespace {

constexpr size_t kSenders = 4;  // mbarriers of a block that asynchronous stores may complete on

}  // namespace

RaceChecker::RaceChecker(Cluster& cluster, uint64_t index)
    : cluster_(cluster),
      launch_(*cluster.launch),
      index_(index),
      warps_(cluster.blocks.size() * cluster.blocks[0].warps.size()),
      races_(launch_.settings.check_races),
      uninitialised_(launch_.settings.check_uninitialised) {
  const size_t all = warps_ + (cluster.program->sends ? kSenders * cluster.blocks.size() : 0);
  clocks_.resize(all);
  for (size_t i = 0; i < all; ++i) {
    clocks_[i].index = static_cast<uint32_t>(i);
    clocks_[i].cluster = index;
    clocks_[i].known.assign(all, 0);
  }
  shared_.resize(cluster.blocks.size());
  for (Shadow& shadow : shared_) shadow.Reset((launch_.shared_bytes + 3) / 4);
  remote_.assign(cluster.blocks.size(), std::vector<RemoteTouch>(all));
}

// ---- accesses

void RaceChecker::Check(Warp& w, const Op& op, const Access& access, Touch touch) {
  Entry entry;
  entry.tick = clocks_[w.cluster_index].tick;
  entry.warp = static_cast<uint16_t>(w.cluster_index);
  entry.cluster = static_cast<uint32_t>(index_);
  entry.strong = touch == Touch::kAtomic || (op.flags & kStrong);
  entry.write = touch != Touch::kRead;
  uint32_t global = 0;
  for (uint32_t left = access.lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (access.space[lane] == Space::kShared) {
      CheckShared(w, op, access, lane, entry);
    } else if (access.space[lane] == Space::kGlobal) {
      global |= 1u << lane;
    }
  }
  if (global && races_) CheckGlobal(w, op, access, global, entry);
}

void RaceChecker::CheckShared(Warp& w, const Op& op, const Access& access, int lane, const Entry& kind) {
  Block& block = *access.block[lane];
  if (&block != w.block && races_) {
    RemoteTouch& touch = remote_[block.rank][w.cluster_index];
    if (!(touch.begun >> lane & 1)) CheckBegun(w, op, lane, block);
    touch = {1u << lane, kind.tick, &op, touch.begun | 1u << lane};
  }
  Entry entry = kind;
  entry.lanes = 1u << lane;
  TouchShared(w, op, access, lane, entry);
}

void RaceChecker::TouchShared(Warp& w, const Op& op, const Access& access, int lane, const Entry& kind) {
  const WarpClock& clock = clocks_[w.cluster_index];
  const Block& block = *access.block[lane];
  Shadow& shadow = shared_[block.rank];
  const uint32_t offset = static_cast<uint32_t>(access.host[lane] - block.shared.data());
  const bool reads = !kind.write || (kind.strong && op.d != kNone);
  for (uint32_t at = offset; at < offset + access.bytes;) {
    const uint32_t in = at & 3, count = std::min(4 - in, offset + access.bytes - at);
    Entry entry = kind;
    entry.bytes = static_cast<uint8_t>(((access.used >> (at - offset)) & ((1u << count) - 1)) << in);
    Cell& cell = shadow.cells[at / 4];
    if (uninitialised_ && reads && (entry.bytes & ~cell.written)) {
      ReportUnwritten(w, op, lane, "byte " + std::to_string(at) + " of shared memory");
    }
    if (races_) {
      const Entry before = shadow.Touch(at / 4, entry, clock, lane);
      if (before.tick) ReportRace(w, op, lane, entry, before);
    } else if (entry.write) {
      cell.written |= entry.bytes;
    }
    at += count;
  }
}

// The blocks of a cluster need not begin together: before a thread touches a peer's memory, something of the peer must
// have come before.
void RaceChecker::CheckBegun(Warp& w, const Op& op, int lane, const Block& block) {
  const WarpClock& clock = clocks_[w.cluster_index];
  for (const Warp& theirs : block.warps) {
    for (int any = 0; any < kLanes; ++any) {
      if (clock.Knows(lane, index_, theirs.cluster_index, 1u << any, kBegun)) return;
    }
  }
  if (!reported_.insert({&op, 3}).second) return;
  launch_.Add(
      launch_.MakeReport(w, op, lane, Finding::kUnbegunBlock,
                         "block " + std::to_string(block.rank) +
                             " of the cluster may not have begun: nothing of it is ordered before this access"));
}

void RaceChecker::CheckGlobal(Warp& w, const Op& op, const Access& access, uint32_t lanes, const Entry& kind) {
  GlobalShadow& global = *launch_.shadow;
  const WarpClock& clock = clocks_[w.cluster_index];
  std::unique_lock<std::mutex> lock;
  Shadow* page = nullptr;
  uint64_t page_number = ~uint64_t{0};
  for (; lanes; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const uint64_t begin = reinterpret_cast<uint64_t>(access.host[lane]), end = begin + access.bytes;
    for (uint64_t at = begin; at < end;) {
      if (at / GlobalShadow::kPageBytes != page_number) {
        page_number = at / GlobalShadow::kPageBytes;
        GlobalShadow::Stripe& stripe = global.StripeOf(at);
        if (lock) lock.unlock();
        lock = std::unique_lock(stripe.mutex);
        page = global.Page(stripe, at, kind.write);
      }
      const uint64_t in = at & 3, count = std::min(4 - in, end - at);
      if (page) {
        Entry entry = kind;
        entry.lanes = 1u << lane;
        entry.bytes = static_cast<uint8_t>(((access.used >> (at - begin)) & ((1u << count) - 1)) << in);
        const Entry before = page->Touch(at % GlobalShadow::kPageBytes / 4, entry, clock, lane);
        if (before.tick) ReportRace(w, op, lane, entry, before);
      }
      at += count;
    }
  }
}

std::string RaceChecker::ThreadName(const Entry& entry) const {
  if (entry.cluster != index_) return "a thread of cluster " + std::to_string(entry.cluster);
  if (entry.warp >= warps_) return "an asynchronous store";
  const uint32_t warps = static_cast<uint32_t>(cluster_.blocks[0].warps.size());
  return "thread " +
         std::to_string(entry.warp % warps * kLanes + static_cast<uint32_t>(std::countr_zero(entry.lanes))) +
         " of block " + std::to_string(entry.warp / warps) + " of the cluster";
}

void RaceChecker::ReportRace(Warp& w, const Op& op, int lane, const Entry& now, const Entry& before) {
  if (!reported_.insert({&op, 0}).second) return;
  const auto name = [](const Entry& e) {
    return std::string(e.write ? (e.strong ? "an atomic or strong write" : "a write") : "a read");
  };
  launch_.Add(launch_.MakeReport(w, op, lane, Finding::kRace,
                                 name(now) + " not ordered after " + name(before) + " by " + ThreadName(before)));
}

void RaceChecker::ReportUnwritten(Warp& w, const Op& op, int lane, const std::string& where) {
  if (!reported_.insert({&op, 1}).second) return;
  launch_.Add(launch_.MakeReport(w, op, lane, Finding::kUninitialised, where));
}

// ---- what orders them

void RaceChecker::WarpSync(Warp& w, uint32_t lanes) { clocks_[w.cluster_index].SyncLanes(lanes, lanes == w.alive); }

void RaceChecker::BarrierArrive(Warp& w, uint32_t lanes, uint32_t id) {
  barriers_[{w.block, id}].Join(clocks_[w.cluster_index].Publish(lanes, lanes == w.alive));
}

void RaceChecker::BarrierLeave(Warp& w, uint32_t lanes, uint32_t id) {
  clocks_[w.cluster_index].Absorb(lanes, lanes == w.alive, barriers_[{w.block, id}]);
}

void RaceChecker::BarrierDone(Block& block, uint32_t id) { barriers_.erase({&block, id}); }

void RaceChecker::ClusterArrive(Warp& w, uint32_t lanes, bool release) {
  WarpClock& clock = clocks_[w.cluster_index];
  if (release) return cluster_arrived_.Join(clock.Publish(lanes, lanes == w.alive));
  for (const WarpClock::Fence& fence : clock.inits) {
    if (!(fence.lanes & lanes)) continue;
    Snapshot before = *fence.before;
    before.singles.push_back({clock.index, fence.lanes, fence.tick});
    cluster_arrived_.Join(before);
  }
  Snapshot begun;  // orders no memory, but whoever waits knows that this warp is there
  begun.cluster = index_;
  begun.known.assign(clocks_.size(), 0);
  begun.known[w.cluster_index] = kBegun;
  cluster_arrived_.Join(begun);
}

void RaceChecker::ClusterWait(Warp& w, uint32_t lanes) {
  clocks_[w.cluster_index].Absorb(lanes, lanes == w.alive, cluster_done_);
}

void RaceChecker::ClusterDone() {
  cluster_done_ = std::move(cluster_arrived_);
  cluster_arrived_ = {};
}

void RaceChecker::Fence(Warp& w, uint32_t lanes, bool cta) {
  WarpClock& clock = clocks_[w.cluster_index];
  for (WarpClock::Extra& seen : clock.pending) {
    if (seen.lanes & lanes) clock.extras.push_back({seen.lanes & lanes, seen.what});
    seen.lanes &= ~lanes;
  }
  std::erase_if(clock.pending, [](const WarpClock::Extra& seen) { return seen.lanes == 0; });
  for (WarpClock::Fence& fence : clock.fences) fence.lanes &= ~lanes;
  std::erase_if(clock.fences, [](const WarpClock::Fence& fence) { return fence.lanes == 0; });
  clock.fences.push_back({lanes, clock.tick++, cta, std::make_shared<Snapshot>(clock.Collect(lanes))});
}

void RaceChecker::FenceInit(Warp& w, uint32_t lanes) {
  WarpClock& clock = clocks_[w.cluster_index];
  clock.inits.push_back({lanes, clock.tick++, false, std::make_shared<Snapshot>(clock.Collect(lanes))});
}

void RaceChecker::PublishTo(SyncObject& object, Warp& w, const Op& op, int lane) {
  WarpClock& clock = clocks_[w.cluster_index];
  const auto publish = [&](const Snapshot& what, bool cta) {
    (cta ? object.cta[{index_, w.block->rank}] : object.wide[index_]).Join(what);
  };
  if (op.flags & kRelease) publish(clock.Publish(1u << lane, false), op.flags & kCtaScope);
  for (const WarpClock::Fence& fence : clock.fences) {
    if (!(fence.lanes >> lane & 1)) continue;
    Snapshot before = *fence.before;
    before.singles.push_back({clock.index, 1u << lane, fence.tick});
    publish(before, fence.cta || (op.flags & kCtaScope && !(op.flags & kRelease)));
  }
}

Snapshot RaceChecker::AcquireFrom(const SyncObject& object, const Warp& w) const {
  Snapshot out;
  out.cluster = index_;
  out.known.assign(clocks_.size(), 0);
  for (const auto& [cluster, what] : object.wide) out.Join(what);
  if (const auto it = object.cta.find({index_, w.block->rank}); it != object.cta.end()) out.Join(it->second);
  return out;
}

void RaceChecker::Publish(Warp& w, const Op& op, const Access& access) {
  if (!(op.flags & kRelease) && clocks_[w.cluster_index].fences.empty()) return;
  for (uint32_t left = access.lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (access.space[lane] == Space::kShared) {
      PublishTo(sync_[access.host[lane]], w, op, lane);
    } else if (access.space[lane] == Space::kGlobal && launch_.shadow) {
      const uint64_t address = reinterpret_cast<uint64_t>(access.host[lane]);
      GlobalShadow::Stripe& stripe = launch_.shadow->StripeOf(address);
      const std::lock_guard lock(stripe.mutex);
      PublishTo(stripe.sync[address], w, op, lane);
    }
  }
}

void RaceChecker::Acquire(Warp& w, const Op& op, const Access& access) {
  WarpClock& clock = clocks_[w.cluster_index];
  for (uint32_t left = access.lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    uint32_t lanes = 1u << lane;
    Snapshot what;
    if (access.space[lane] == Space::kShared) {
      const auto it = sync_.find(access.host[lane]);
      if (it == sync_.end()) continue;
      what = AcquireFrom(it->second, w);
    } else if (access.space[lane] == Space::kGlobal && launch_.shadow) {
      const uint64_t address = reinterpret_cast<uint64_t>(access.host[lane]);
      GlobalShadow::Stripe& stripe = launch_.shadow->StripeOf(address);
      const std::lock_guard lock(stripe.mutex);
      const auto it = stripe.sync.find(address);
      if (it == stripe.sync.end()) continue;
      what = AcquireFrom(it->second, w);
    } else {
      continue;
    }
    // All at one place, as at an mbarrier, learn the same.
    for (uint32_t others = left & (left - 1); others; others &= others - 1) {
      const int other = std::countr_zero(others);
      if (access.host[other] == access.host[lane]) lanes |= 1u << other;
    }
    left = (left & ~lanes) | 1u << lane;
    if (op.flags & kAcquire && lanes == w.alive) {
      clock.Absorb(lanes, true, what);
      continue;
    }
    auto& list = op.flags & kAcquire ? clock.extras : clock.pending;
    list.push_back({lanes, std::make_shared<Snapshot>(std::move(what))});
  }
}

void RaceChecker::PublishCopy(Warp& w, int lane, const uint8_t* barrier) {
  sync_[barrier].wide[index_].Join(clocks_[w.cluster_index].Publish(1u << lane, false));
}

uint32_t RaceChecker::SenderTo(const uint8_t* barrier) {
  const auto number = static_cast<size_t>(std::find(senders_.begin(), senders_.end(), barrier) - senders_.begin());
  if (number == senders_.size()) senders_.push_back(barrier);
  if (warps_ + number >= clocks_.size()) {
    throw Fault{Finding::kInvalid, 0, "stores complete on more mbarriers than the check of races has room for"};
  }
  return static_cast<uint32_t>(warps_ + number);
}

void RaceChecker::Sent(Warp& w, const Op& op, const Access& to, const Access& barrier) {
  for (uint32_t left = to.lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    Block& block = *to.block[lane];
    const uint32_t sender = SenderTo(barrier.host[lane]);
    Entry entry;
    entry.tick = ++clocks_[sender].tick;
    entry.warp = static_cast<uint16_t>(sender);
    entry.cluster = static_cast<uint32_t>(index_);
    entry.lanes = kAllLanes;
    entry.write = true;
    if (&block != w.block && races_) {
      if (!(remote_[block.rank][w.cluster_index].begun >> lane & 1)) CheckBegun(w, op, lane, block);
      remote_[block.rank][w.cluster_index].begun |= 1u << lane;
      remote_[block.rank][sender] = {kAllLanes, entry.tick, &op, kAllLanes};
    }
    TouchShared(w, op, to, lane, entry);
    // At the mbarrier all of them are one access: kept apart, each would be compared with each.
    entry.strong = true;
    entry.tick = kBegun;
    TouchShared(w, op, barrier, lane, entry);
    Snapshot what;
    what.cluster = index_;
    what.known.assign(clocks_.size(), 0);
    what.known[sender] = clocks_[sender].tick;
    sync_[barrier.host[lane]].wide[index_].Join(what);
  }
}

// A block leaves its cluster with its last thread. Every touch by a peer must be ordered before some exit of the block.
void RaceChecker::Exit(Warp& w) {
  if (!races_ || w.block->alive) return;
  const uint32_t rank = w.block->rank;
  for (uint32_t peer = 0; peer < clocks_.size(); ++peer) {
    const RemoteTouch& touch = remote_[rank][peer];
    if (!touch.op) continue;
    const bool ordered = std::any_of(w.block->warps.begin(), w.block->warps.end(), [&](const Warp& mine) {
      const WarpClock& clock = clocks_[mine.cluster_index];
      for (int lane = 0; lane < kLanes; ++lane) {
        if (clock.Knows(lane, index_, peer, touch.lanes, touch.tick)) return true;
      }
      return false;
    });
    if (ordered) continue;
    const size_t warps = w.block->warps.size();
    const Warp& toucher = peer < warps_ ? cluster_.blocks[peer / warps].warps[peer % warps] : w;
    if (!reported_.insert({touch.op, 2}).second) continue;
    launch_.Add(launch_.MakeReport(toucher, *touch.op, std::countr_zero(touch.lanes), Finding::kExitedBlock,
                                   "block " + std::to_string(rank) +
                                       " of the cluster may have exited: nothing orders this access before its end"));
  }
}

}  // namespace fire::simulator
