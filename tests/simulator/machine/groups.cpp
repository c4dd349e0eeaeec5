// Diverged lanes run as groups, each on its own (independent thread scheduling). The parts of a divergent branch meet
// again where the compiler would have them meet, except that now and then one of them does not wait, as the seed says.
#include <algorithm>

#include "tests/simulator/machine/scheduler.h"

namespace fire::simulator {

void Scheduler::MergeReady(Warp& w) {
  for (size_t i = 0; i < w.groups.size(); ++i) {
    for (size_t k = i + 1; k < w.groups.size();) {
      Group& a = w.groups[i];
      const Group& b = w.groups[k];
      if (a.state == Group::kReady && b.state == Group::kReady && a.pc == b.pc && a.join == b.join) {
        a.lanes |= b.lanes;
        w.groups.erase(w.groups.begin() + static_cast<ptrdiff_t>(k));
      } else {
        ++k;
      }
    }
  }
}

int32_t Scheduler::NewJoin(Warp& w, const Group& group, int32_t pc) {
  if (pc < 0 || (!launch_.work && cluster_.Random() % 16 == 0)) return group.join;
  if (group.join >= 0 && w.joins[group.join].pc == pc) return group.join;
  int32_t at;
  if (w.free_joins.empty()) {
    at = static_cast<int32_t>(w.joins.size());
    w.joins.emplace_back();
  } else {
    at = w.free_joins.back();
    w.free_joins.pop_back();
  }
  w.joins[at] = {pc, group.join, group.lanes, 0};
  return at;
}

void Scheduler::Diverge(Warp& w, Group& group, uint32_t taken, int32_t target) {
  group.join = NewJoin(w, group, code_[group.pc].converge);
  Group other = group;
  other.lanes = taken;
  other.pc = target;
  group.lanes &= ~taken;
  ++group.pc;
  if (cluster_.Random() & 1) std::swap(group, other);
  w.groups.push_back(other);
}

void Scheduler::DivergeMany(Warp& w, const Group& group, const int32_t* targets, int32_t converge) {
  const int32_t join = NewJoin(w, group, converge);
  for (uint32_t left = group.lanes; left;) {
    Group part = group;
    part.join = join;
    part.pc = targets[std::countr_zero(left)];
    part.lanes = 0;
    for (uint32_t lanes = left; lanes; lanes &= lanes - 1) {
      const int lane = std::countr_zero(lanes);
      if (targets[lane] == part.pc) part.lanes |= 1u << lane;
    }
    left &= ~part.lanes;
    w.groups.push_back(part);
  }
}

bool Scheduler::ArriveAtJoin(Warp& w, Group& group) {
  while (group.join >= 0 && w.joins[group.join].pc == group.pc) {
    Join& join = w.joins[group.join];
    join.arrived |= group.lanes;
    if (join.arrived != join.members) {
      group.state = Group::kAtJoin;
      w.groups.push_back(group);
      return false;
    }
    std::erase_if(w.groups, [&](const Group& g) { return g.state == Group::kAtJoin && g.join == group.join; });
    group.lanes = join.members;
    w.free_joins.push_back(group.join);
    group.join = join.parent;
  }
  return true;
}

// One waiting group goes on alone.
void Scheduler::BreakJoin(Warp& w) {
  std::vector<size_t> waiting;
  for (size_t i = 0; i < w.groups.size(); ++i) {
    if (w.groups[i].state == Group::kAtJoin) waiting.push_back(i);
  }
  Group group = w.groups[waiting[cluster_.Random() % waiting.size()]];
  w.groups.erase(std::find_if(w.groups.begin(), w.groups.end(),
                              [&](const Group& g) { return g.state == Group::kAtJoin && g.lanes == group.lanes; }));
  const int32_t at = group.join;
  w.joins[at].members &= ~group.lanes;
  w.joins[at].arrived &= ~group.lanes;
  group.join = w.joins[at].parent;
  group.state = Group::kReady;
  if (ArriveAtJoin(w, group)) w.groups.push_back(group);
}

}  // namespace fire::simulator
