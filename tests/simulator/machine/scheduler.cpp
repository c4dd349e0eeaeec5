// Warps, and the groups of lanes in them, in turns.
#include "tests/simulator/machine/scheduler.h"

#include <algorithm>

#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"

namespace fire::simulator {
namespace {

constexpr uint64_t kCopyWait = 4096;

}  // namespace

void Scheduler::Run() {
  std::vector<Warp*> order;
  for (Block& block : cluster_.blocks) {
    for (Warp& w : block.warps) order.push_back(&w);
  }
  while (cluster_.exited < cluster_.threads) {
    bool ran = false;
    for (size_t left = order.size(); left > 0; --left) {  // a random order of the warps, each once
      std::swap(order[left - 1], order[cluster_.Random() % left]);
      ran |= RunWarp(*order[left - 1]);
    }
    if (launch_.Failed()) return;
    if (cluster_.stores) cluster_.stores->Expire();
    if (!ran && !cluster_.sent.empty()) {
      cluster_.clock += kCopyWait;  // nobody but a copy can make progress
      ran = true;
    }
    FinishCopies();
    if (!ran) ReportDeadlock();
    std::erase_if(order, [](const Warp* w) { return w->alive == 0; });
  }
  cluster_.clock += kCopyWait;
  FinishCopies();
  if (cluster_.stores) cluster_.stores->FlushAll();
  for (const Block& block : cluster_.blocks) {
    for (const Warp& w : block.warps) cluster_.instructions += w.steps;
  }
}

void Scheduler::Stop(const Warp& w, int32_t pc, const Fault& fault) {
  throw SimulationError(
      {launch_.MakeReport(w, code_[static_cast<size_t>(pc)], fault.lane, fault.finding, fault.message)});
}

bool Scheduler::RunWarp(Warp& w) {
  if (w.alive == 0) return false;
  Group group;
  while (!PickGroup(w, group)) {
    const bool any =
        std::any_of(w.groups.begin(), w.groups.end(), [](const Group& g) { return g.state == Group::kAtJoin; });
    if (!any) return false;
    BreakJoin(w);  // lanes of this warp wait for each other here and elsewhere: neither place may hold them up
  }
  try {
    RunGroup(w, group);
  } catch (const Fault& fault) {
    Stop(w, w.pc, fault);
  }
  return true;
}

bool Scheduler::PickGroup(Warp& w, Group& group) {
  if (w.groups.size() > 1) MergeReady(w);
  size_t ready = 0;
  for (const Group& g : w.groups) ready += g.state == Group::kReady;
  if (ready == 0) return false;
  size_t pick = ready == 1 ? 0 : cluster_.Random() % ready;
  for (size_t i = 0; i < w.groups.size(); ++i) {
    if (w.groups[i].state != Group::kReady || pick-- > 0) continue;
    group = w.groups[i];
    w.groups.erase(w.groups.begin() + static_cast<ptrdiff_t>(i));
    return true;
  }
  return false;
}

void Scheduler::Exit(Warp& w, const Group& group, uint32_t lanes) {
  const uint32_t count = static_cast<uint32_t>(std::popcount(lanes));
  w.alive &= ~lanes;
  w.block->alive -= count;
  cluster_.exited += count;
  if (const uint32_t arrived = w.cluster_arrived & lanes) {  // it had arrived; a thread that has exited always has
    ForLanes(arrived, [&](int lane) { cluster_.arrived -= w.cluster_phase[lane] == cluster_.phase; });
  }
  for (int32_t at = group.join; at >= 0;) {
    Join& join = w.joins[at];
    const int32_t parent = join.parent;
    join.members &= ~lanes;
    join.arrived &= ~lanes;
    if (join.members && join.arrived == join.members) {
      Group whole;
      whole.pc = join.pc;
      whole.join = at;
      whole.lanes = join.members;
      std::erase_if(w.groups, [&](const Group& g) { return g.state == Group::kAtJoin && g.join == at; });
      join.arrived = 0;
      if (ArriveAtJoin(w, whole)) w.groups.push_back(whole);
    } else if (join.members == 0) {
      w.free_joins.push_back(at);
    }
    at = parent;
  }
  if (cluster_.races) cluster_.races->Exit(w);
  CompleteMasks(w);
  CompleteAllBarriers(*w.block);
  CompleteCluster();
}

void Scheduler::TakeBack(Warp& w, int32_t pc) {
  --w.steps;
  if (launch_.work) --w.block->tally.issued[pc];
  if (launch_.settings.trace) w.block->tally.steps.pop_back();
}

// An mbarrier's waiters are woken when it completes a phase: a wait that fails counts for nothing.
bool Scheduler::AwaitPhase(Warp& w, Group& group, const Op& op, uint32_t lanes) {
  op.execute(w, op, lanes);
  if ((w.predicates[op.d] & lanes) == lanes) {
    ++group.pc;
    return true;
  }
  TakeBack(w, group.pc);
  group.state = Group::kAtPhase;
  w.groups.push_back(group);
  return false;
}

void Scheduler::FinishCopies() {
  std::vector<SentCopy> landing;
  std::erase_if(cluster_.sent, [&](const SentCopy& copy) {
    if (copy.due <= cluster_.clock) landing.push_back(copy);
    return copy.due <= cluster_.clock;
  });
  for (const SentCopy& copy : landing) {
    if (copy.block->alive == 0) {
      throw SimulationError({launch_.MakeReport(
          *copy.by, *copy.op, copy.lane, Finding::kExitedBlock,
          "it arrives at block " + std::to_string(copy.block->rank) + " of the cluster, which has exited")});
    }
    Land(cluster_, copy);
  }
}

void Scheduler::RunGroup(Warp& w, Group group) {
  const Op* const code = code_.data();
  w.pc = group.pc;
  uint64_t* const issued = launch_.work ? w.block->tally.issued.data() : nullptr;
  if (const uint64_t budget = launch_.settings.step_budget; budget && w.steps > budget) {
    throw Fault{Finding::kBudget, std::countr_zero(group.lanes),
                "the warp ran " + std::to_string(w.steps) + " instructions, more than its budget"};
  }
  uint32_t fuel = 16 + static_cast<uint32_t>(cluster_.Random() % 1024);
  int32_t join_pc = group.join >= 0 ? w.joins[group.join].pc : -1;
  for (; fuel > 0; --fuel) {
    if (group.pc == join_pc) {
      if (!ArriveAtJoin(w, group)) return;
      join_pc = group.join >= 0 ? w.joins[group.join].pc : -1;
    }
    const Op& op = code[group.pc];
    w.pc = group.pc;
    ++w.steps;
    if (issued) ++issued[group.pc];
    ++cluster_.clock;
    uint32_t lanes = group.lanes;
    if (op.guard >= 0) {
      const uint32_t guard = w.predicates[op.guard];
      lanes &= op.negate_guard ? ~guard : guard;
    }
    if (launch_.settings.trace) w.block->tally.steps.push_back(StepOf(w, op, group.pc, lanes));
    if (lanes == 0) {
      ++group.pc;
      continue;
    }
    switch (op.step) {
      case Step::kNext:
        op.execute(w, op, lanes);
        ++group.pc;
        continue;
      case Step::kBranch:
        if (lanes == group.lanes) {
          group.pc = op.target;
        } else {
          Diverge(w, group, lanes, op.target);
          join_pc = group.join >= 0 ? w.joins[group.join].pc : -1;
        }
        continue;
      case Step::kCall: {
        auto d = w.R<uint32_t>(op.d);
        ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<uint32_t>(group.pc + 1)); });
        if (lanes == group.lanes) {
          group.pc = op.target;
        } else {
          Diverge(w, group, lanes, op.target);
          join_pc = group.join >= 0 ? w.joins[group.join].pc : -1;
        }
        continue;
      }
      case Step::kReturn:
      case Step::kTable: {
        int32_t targets[kLanes];
        ForLanes(group.lanes, [&](int lane) { targets[lane] = group.pc + 1; });
        ForLanes(lanes, [&](int lane) {
          if (op.step == Step::kReturn) {
            targets[lane] = w.R<int32_t>(op.a)[lane];
          } else {
            const std::vector<int32_t>& table = cluster_.program->tables[op.extra];
            const uint32_t index = w.R<uint32_t>(op.b)[lane];
            if (index >= table.size()) throw Fault{Finding::kInvalid, lane, "brx.idx beyond its list of targets"};
            targets[lane] = table[index];
          }
        });
        DivergeMany(w, group, targets, op.converge);
        return;
      }
      case Step::kExit: {
        Group rest = group;
        rest.lanes &= ~lanes;
        ++rest.pc;
        if (rest.lanes) w.groups.push_back(rest);
        Exit(w, group, lanes);
        return;
      }
      case Step::kTogether:
      case Step::kConverge:
        if (!Together(w, group, op, lanes)) return;
        continue;
      case Step::kBarrier:
        if (!((op.flags & kAligned) ? Aligned(w, group, op, lanes) : ArriveAtBarrier(w, group, op, lanes))) return;
        continue;
      case Step::kClusterArrive:
        if (op.flags & kAligned) {
          if (!Aligned(w, group, op, lanes)) return;
        } else {
          ArriveAtCluster(w, op, lanes);
          ++group.pc;
        }
        continue;
      case Step::kClusterWait:
        if (!((op.flags & kAligned) ? Aligned(w, group, op, lanes) : WaitForCluster(w, group, op, lanes))) return;
        continue;
      case Step::kYield:
        op.execute(w, op, lanes);
        ++group.pc;
        FinishCopies();
        fuel = 1;
        continue;
      case Step::kAwait:
        if (!AwaitPhase(w, group, op, lanes)) return;
        continue;
      case Step::kTrap:
        throw Fault{Finding::kTrap, std::countr_zero(lanes), "the kernel stopped itself"};
    }
  }
  w.groups.push_back(group);
}

}  // namespace fire::simulator
