#include "tests/simulator/checks/shadow.h"

#include <algorithm>

namespace fire::simulator {
namespace {

bool SameKind(const Entry& a, const Entry& b) {
  return a.tick == b.tick && a.warp == b.warp && a.cluster == b.cluster && a.bytes == b.bytes && a.strong == b.strong &&
         a.write == b.write;
}

}  // namespace

void Shadow::Keep(Cell& cell, const Entry& entry) {
  if (cell.more == 0) {
    more.emplace_back();
    cell.more = static_cast<uint32_t>(more.size());
  }
  std::vector<Entry>& list = more[cell.more - 1];
  const auto same = std::find_if(list.begin(), list.end(), [&](const Entry& old) { return SameKind(old, entry); });
  if (same != list.end()) {
    same->lanes |= entry.lanes;
  } else {
    list.push_back(entry);
  }
}

Entry Shadow::TouchSlowly(Cell& cell, const Entry& entry, const WarpClock& clock, int lane) {
  Entry race;
  const auto ordered = [&](const Entry& old) {
    return old.tick == 0 || clock.Knows(lane, old.cluster, old.warp, old.lanes, old.tick);
  };
  const auto check = [&](const Entry& old) {
    if (race.tick || old.tick == 0 || !(old.bytes & entry.bytes)) return;
    if ((!old.write && !entry.write) || (old.strong && entry.strong)) return;
    if (!ordered(old)) race = old;
  };
  check(cell.write);
  check(cell.read);
  if (cell.more) {
    for (const Entry& old : more[cell.more - 1]) check(old);
  }
  // An access ordered before this one, and no wider, need not be remembered: what is ordered after this one is ordered
  // after that one too. Nor is one that has been reported.
  const auto done = [&](const Entry& old) {
    return race.tick || ((entry.write || !old.write) && (old.bytes & ~entry.bytes) == 0 && ordered(old));
  };
  if (cell.more) {
    std::vector<Entry>& list = more[cell.more - 1];
    std::erase_if(list, done);
  }
  if (entry.write) {
    if (cell.read.tick && !done(cell.read)) Keep(cell, cell.read);
    if (cell.write.tick && !done(cell.write)) Keep(cell, cell.write);
    cell.read = {};
    cell.write = entry;
    cell.written |= entry.bytes;
  } else if (SameKind(cell.read, entry)) {
    cell.read.lanes |= entry.lanes;
  } else {
    if (cell.read.tick && !done(cell.read)) Keep(cell, cell.read);
    cell.read = entry;
  }
  return race;
}

}  // namespace fire::simulator
