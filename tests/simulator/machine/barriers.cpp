// Where lanes, warps and blocks wait for each other.
#include <algorithm>
#include <map>

#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/machine/scheduler.h"

namespace fire::simulator {
namespace {

std::string LaneMask(uint32_t lanes) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", lanes);
  return text;
}

}  // namespace

void Scheduler::OrderLanes(Warp& w, uint32_t lanes) {
  if (!w.observed) return;
  if (cluster_.stores) cluster_.stores->Flush(w, lanes);
  if (cluster_.races) cluster_.races->WarpSync(w, lanes);
}

// ---- masks: instructions with .sync and bar.warp.sync

bool Scheduler::Together(Warp& w, Group& group, const Op& op, uint32_t lanes) {
  auto masks = w.R<uint32_t>(op.f);
  const uint32_t first = masks[std::countr_zero(lanes)];
  if ((first & w.alive) == lanes && Ballot(lanes, [&](int lane) { return masks[lane] == first; }) == lanes) {
    if (op.step == Step::kTogether) {
      op.execute(w, op, lanes);
    } else {
      OrderLanes(w, lanes);
    }
    ++group.pc;
    return true;
  }
  ParkByMask(w, group, op, lanes);
  CompleteMasks(w);
  return false;
}

void Scheduler::ParkByMask(Warp& w, const Group& group, const Op& op, uint32_t lanes) {
  auto masks = w.R<uint32_t>(op.f);
  for (uint32_t left = lanes; left;) {
    Group part = group;
    part.state = Group::kAtMask;
    part.members = masks[std::countr_zero(left)];
    part.lanes = Ballot(left, [&](int lane) { return masks[lane] == part.members; });
    if (part.lanes & ~part.members) {
      throw Fault{Finding::kInvalid, std::countr_zero(part.lanes & ~part.members),
                  "the lane is not in its own member mask " + LaneMask(part.members)};
    }
    left &= ~part.lanes;
    w.groups.push_back(part);
  }
  if (lanes != group.lanes) {
    Group rest = group;
    rest.lanes &= ~lanes;
    ++rest.pc;
    w.groups.push_back(rest);
  }
}

// Lets those go on whose members, as far as they are alive, have all come to the same instruction, or for
// bar.warp.sync to any instruction of the same mask.
void Scheduler::CompleteMasks(Warp& w) {
  for (size_t i = 0; i < w.groups.size(); ++i) {
    const Group one = w.groups[i];
    if (one.state != Group::kAtMask && one.state != Group::kAtAligned) continue;
    const Op& op = code_[one.pc];
    const bool aligned = one.state == Group::kAtAligned;
    const auto same = [&](const Group& g) {
      if (g.state != one.state) return false;
      if (aligned) return g.pc == one.pc;
      return g.members == one.members &&
             (g.pc == one.pc || (op.step == Step::kConverge && code_[g.pc].step == Step::kConverge));
    };
    uint32_t here = 0;
    for (const Group& g : w.groups) here |= same(g) ? g.lanes : 0;
    if (here != ((aligned ? ~0u : one.members) & w.alive)) continue;
    std::vector<Group> gathered;
    for (const Group& g : w.groups) {
      if (same(g)) gathered.push_back(g);
    }
    std::erase_if(w.groups, same);
    w.pc = one.pc;
    if (aligned) {
      Group whole = one;
      whole.lanes = here;
      // Joins within the warp end here: all of its lanes are together.
      whole.state = Group::kReady;
      whole.join = -1;
      w.joins.clear();
      w.free_joins.clear();
      if (Aligned(w, whole, op, here)) w.groups.push_back(whole);
    } else {
      if (op.step == Step::kTogether) {
        op.execute(w, op, here);
      } else {
        OrderLanes(w, here);
      }
      for (Group& g : gathered) {
        g.state = Group::kReady;
        ++g.pc;
        w.groups.push_back(g);
      }
    }
    i = static_cast<size_t>(-1);  // the list has changed: from its start
  }
}

// ---- barriers of a block

// All lanes of the warp execute an .aligned instruction together.
bool Scheduler::Aligned(Warp& w, Group& group, const Op& op, uint32_t lanes) {
  if (lanes != w.alive) {
    Group part = group;
    part.state = Group::kAtAligned;
    part.lanes = lanes;
    w.groups.push_back(part);
    if (lanes != group.lanes) {
      group.lanes &= ~lanes;
      ++group.pc;
      w.groups.push_back(group);
    }
    CompleteMasks(w);
    return false;
  }
  if (w.alive != w.exists) {
    throw Fault{Finding::kBarrierDivergence, std::countr_zero(w.exists & ~w.alive),
                "the thread has exited while others of its warp execute an aligned barrier"};
  }
  if (op.step == Step::kClusterArrive) {
    ArriveAtCluster(w, op, lanes);
    ++group.pc;
    return true;
  }
  return op.step == Step::kClusterWait ? WaitForCluster(w, group, op, lanes) : ArriveAtBarrier(w, group, op, lanes);
}

bool Scheduler::ArriveAtBarrier(Warp& w, Group& group, const Op& op, uint32_t lanes) {
  Block& block = *w.block;
  const int first = std::countr_zero(lanes);
  const uint32_t id = w.R<uint32_t>(op.a)[first];
  if (Ballot(lanes, [&](int lane) { return w.R<uint32_t>(op.a)[lane] == id; }) != lanes || id > 15) {
    throw Fault{Finding::kInvalid, first, "lanes of one warp at different barriers, or one beyond 15"};
  }
  Barrier& barrier = block.barriers[id];
  const uint32_t expected = op.flags & kHasCount ? w.R<uint32_t>(op.b)[first] : 0;
  if (op.flags & kHasCount && (expected == 0 || expected % kLanes)) {
    throw Fault{Finding::kInvalid, first, "a barrier for " + std::to_string(expected) + " threads, no multiple of 32"};
  }
  if (!barrier.members.empty() && barrier.expected != expected) {
    throw Fault{Finding::kInvalid, first, "threads wait at barrier " + std::to_string(id) + " for different counts"};
  }
  barrier.expected = expected;
  // With a count, a warp counts whole, however many of its lanes there are.
  const bool whole = (op.flags & kHasCount) && (op.flags & kAligned);
  barrier.arrived += whole ? kLanes : static_cast<uint32_t>(std::popcount(lanes));
  barrier.members.emplace_back(&w, lanes);
  if (op.barrier >= BarrierKind::kPopc) {
    const uint32_t votes = GetPredicate(w, op.c, op.flags & kNegateC) & lanes;
    barrier.count += static_cast<uint32_t>(std::popcount(votes));
    barrier.all &= votes == lanes;
    barrier.any |= votes != 0;
  }
  if (w.observed) {
    if (cluster_.stores) cluster_.stores->Flush(w, lanes);
    if (cluster_.races) cluster_.races->BarrierArrive(w, lanes, id);
  }
  Group rest = group;
  rest.lanes &= ~lanes;
  ++rest.pc;
  Group here = group;
  here.lanes = lanes;
  if (op.barrier == BarrierKind::kArrive) {
    ++here.pc;
  } else {
    here.state = Group::kAtBarrier;
    here.barrier = id;
  }
  w.groups.push_back(here);
  if (rest.lanes) w.groups.push_back(rest);
  CompleteBarrier(block, id);
  return false;
}

void Scheduler::CompleteBarrier(Block& block, uint32_t id) {
  Barrier& barrier = block.barriers[id];
  const uint32_t expected = barrier.expected ? barrier.expected : block.alive;
  if (barrier.members.empty() || barrier.arrived < expected) return;
  for (const auto& [warp, lanes] : barrier.members) {
    Warp& w = *warp;
    for (Group& group : w.groups) {
      if (group.state != Group::kAtBarrier || group.barrier != id) continue;
      const Op& op = code_[group.pc];
      if (op.barrier == BarrierKind::kPopc) {
        auto d = w.R<uint32_t>(op.d);
        ForLanes(group.lanes, [&](int lane) { d.Set(lane, barrier.count); });
      } else if (op.barrier == BarrierKind::kAnd || op.barrier == BarrierKind::kOr) {
        const bool value = op.barrier == BarrierKind::kAnd ? barrier.all : barrier.any;
        SetPredicate(w, op.d, group.lanes, value ? ~0u : 0u);
      }
      if (w.observed && cluster_.races) cluster_.races->BarrierLeave(w, group.lanes, id);
      group.state = Group::kReady;
      ++group.pc;
    }
  }
  barrier = Barrier{};
  ++block.tally.block_barriers;
  if (cluster_.races) cluster_.races->BarrierDone(block, id);
}

void Scheduler::CompleteAllBarriers(Block& block) {
  for (uint32_t id = 0; id < 16; ++id) {
    if (block.barriers[id].expected == 0) CompleteBarrier(block, id);
  }
}

// ---- nobody can go on

void Scheduler::ReportDeadlock() {
  Report report;
  std::map<std::string, std::pair<size_t, std::string>> places;  // who waits where
  for (const Block& block : cluster_.blocks) {
    for (const Warp& w : block.warps) {
      for (const Group& group : w.groups) {
        const Op& op = code_[group.pc];
        const int lane = std::countr_zero(group.lanes);
        const bool diverged = group.state == Group::kAtAligned;
        const std::string message = diverged ? "an aligned barrier executed by lanes " + LaneMask(group.lanes) +
                                                   " of a warp whose threads " + LaneMask(w.alive) + " are alive"
                                             : "every thread that is alive waits";
        const Report here =
            launch_.MakeReport(w, op, lane, diverged ? Finding::kBarrierDivergence : Finding::kDeadlock, message);
        if (report.kernel.empty() || (diverged && report.finding == Finding::kDeadlock)) report = here;
        const std::string place = here.instruction + " at " + here.file + ":" + std::to_string(here.line);
        auto& [threads, who] = places[place];
        threads += static_cast<size_t>(std::popcount(group.lanes));
        if (who.empty()) {
          who = "block " + std::to_string(block.rank) + " of the cluster, warp " + std::to_string(w.index) +
                ", lanes " + LaneMask(group.lanes);
        }
      }
    }
  }
  for (const auto& [place, who] : places) {
    report.message += "; " + std::to_string(who.first) + " threads at " + place + " (" + who.second + " and others)";
  }
  throw SimulationError({report});
}

}  // namespace fire::simulator
