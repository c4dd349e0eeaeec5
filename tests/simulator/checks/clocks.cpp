#include "tests/simulator/checks/clocks.h"

#include <algorithm>

namespace fire::simulator {

void Snapshot::Join(const Snapshot& other) {
  if (known.empty()) {
    cluster = other.cluster;
    known.assign(other.known.size(), 0);
  }
  if (other.cluster != cluster) {
    foreign.push_back(std::make_shared<Snapshot>(other));
    return;
  }
  for (size_t i = 0; i < known.size(); ++i) known[i] = std::max(known[i], other.known[i]);
  for (const Single& single : other.singles) {
    if (single.tick <= known[single.warp]) continue;
    const auto same = std::find_if(singles.begin(), singles.end(),
                                   [&](const Single& s) { return s.warp == single.warp && s.lanes == single.lanes; });
    if (same == singles.end()) {
      singles.push_back(single);
    } else {
      same->tick = std::max(same->tick, single.tick);
    }
  }
  for (const auto& one : other.foreign) {
    if (std::find(foreign.begin(), foreign.end(), one) == foreign.end()) foreign.push_back(one);
  }
}

bool Snapshot::Covers(uint64_t of_cluster, uint32_t warp, uint32_t lanes, uint32_t tick) const {
  if (of_cluster == cluster) {
    if (tick <= known[warp]) return true;
    for (const Single& single : singles) {
      if (single.warp == warp && tick <= single.tick) lanes &= ~single.lanes;
    }
    if (lanes == 0) return true;
  }
  return std::any_of(foreign.begin(), foreign.end(),
                     [&](const auto& one) { return one->Covers(of_cluster, warp, lanes, tick); });
}

bool WarpClock::Knows(int lane, uint64_t of_cluster, uint32_t warp, uint32_t lanes, uint32_t at) const {
  if (of_cluster == cluster) {
    if (warp == index) {
      lanes &= ~(1u << lane);
      if (lanes == 0 || at <= full) return true;
      for (const Partial& partial : partials) {
        if (partial.lanes >> lane & 1 && at <= partial.tick) lanes &= ~partial.lanes;
      }
      if (lanes == 0) return true;
    } else if (at <= known[warp]) {
      return true;
    }
  }
  for (const Extra& extra : extras) {
    if (extra.lanes >> lane & 1 && extra.what->Covers(of_cluster, warp, lanes, at)) return true;
  }
  return false;
}

Snapshot WarpClock::Collect(uint32_t lanes) const {
  Snapshot out;
  out.cluster = cluster;
  out.known = known;
  out.known[index] = full;
  for (const Partial& partial : partials) {
    if (partial.lanes & lanes) out.singles.push_back({index, partial.lanes, partial.tick});
  }
  for (const Extra& extra : extras) {
    if (extra.lanes & lanes) out.Join(*extra.what);
  }
  return out;
}

Snapshot WarpClock::Publish(uint32_t lanes, bool whole) {
  Snapshot out = Collect(lanes);
  if (whole) {
    out.known[index] = tick;
  } else {
    out.singles.push_back({index, lanes, tick});
  }
  ++tick;
  return out;
}

void WarpClock::Absorb(uint32_t lanes, bool whole, const Snapshot& what) {
  if (what.known.empty()) return;
  if (!whole || what.cluster != cluster) {
    extras.push_back({lanes, std::make_shared<Snapshot>(what)});
    return;
  }
  for (size_t i = 0; i < known.size(); ++i) known[i] = std::max(known[i], what.known[i]);
  full = std::max(full, what.known[index]);
  std::erase_if(partials, [&](const Partial& p) { return p.tick <= full; });
  Snapshot rest;
  rest.cluster = cluster;
  rest.known.assign(known.size(), 0);
  for (const Snapshot::Single& single : what.singles) {
    if (single.tick > known[single.warp]) rest.singles.push_back(single);
  }
  rest.foreign = what.foreign;
  if (!rest.singles.empty() || !rest.foreign.empty()) extras.push_back({lanes, std::make_shared<Snapshot>(rest)});
}

void WarpClock::SyncLanes(uint32_t lanes, bool whole) {
  if (!whole) {
    partials.push_back({lanes, tick++});
    for (Extra& extra : extras) {
      if (extra.lanes & lanes) extra.lanes |= lanes;
    }
    return;
  }
  full = tick++;
  partials.clear();
  std::vector<Extra> shared;
  shared.swap(extras);
  for (const Extra& extra : shared) Absorb(lanes, true, *extra.what);
}

}  // namespace fire::simulator
