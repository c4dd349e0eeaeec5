// Asynchronous copies, and mbarriers in shared memory.
//
// A copy takes effect as late as it may: cp.async when its group is waited for, a bulk copy and st.async after a seeded
// delay.
#include <algorithm>

#include "tests/simulator/checks/races.h"
#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/machine/memory.h"
#include "tests/simulator/machine/scheduler.h"

namespace fire::simulator {
namespace {

// An mbarrier as the machine lays it out; PTX leaves that open.
struct Mbarrier {
  uint64_t expected : 20, pending : 20, bytes : 23, phase : 1;
};
static_assert(sizeof(Mbarrier) == 8);

Mbarrier Get(const uint8_t* at) {
  Mbarrier barrier;
  std::memcpy(&barrier, at, sizeof barrier);
  return barrier;
}

void Put(Cluster& cluster, uint8_t* at, Mbarrier barrier) {
  const bool is_complete = barrier.pending == 0 && barrier.bytes == 0;
  if (is_complete) {
    barrier.phase ^= 1;
    barrier.pending = barrier.expected;
  }
  std::memcpy(at, &barrier, sizeof barrier);
  if (!is_complete) return;
  ++cluster.phases[at];
  cluster.Wake(Group::kAtPhase);
}

// Notes for a trace which phases of mbarriers the instruction has a part in.
void TellPhase(Warp& w, const Access& barrier, int lane, int ago) {
  LaunchTrace::Step& step = w.block->tally.steps.back();
  std::vector<LaunchTrace::Phase>& phases = w.block->tally.phases;
  if (step.phases == 0) step.first_phase = static_cast<uint32_t>(phases.size());
  ++step.phases;
  const Block& block = *barrier.block[lane];
  const uint32_t now = w.cluster->phases[barrier.host[lane]];
  phases.push_back(
      {block.rank, static_cast<uint32_t>(barrier.host[lane] - block.shared.data()), static_cast<int32_t>(now) - ago});
}

SentCopy& Send(Warp& w, const Op& op, int lane, const Access& to, const Access& barrier, uint32_t bytes) {
  SentCopy copy;
  copy.due = w.cluster->clock + w.cluster->Random() % 2048;
  copy.to = to.host[lane];
  copy.bytes = bytes;
  copy.barrier = barrier.host[lane];
  copy.block = to.block[lane];
  copy.by = &w, copy.op = &op, copy.lane = lane;
  w.cluster->sent.push_back(copy);
  return w.cluster->sent.back();
}

// Whoever waits for the mbarrier sees the copy, which counts as the issuing thread's access.
void ObserveCopy(Warp& w, const Op& op, int lane, Access from, Access to, const Access& barrier, uint32_t bytes) {
  constexpr uint32_t kPart = 16;
  from.lanes = to.lanes = 1u << lane;
  from.bytes = to.bytes = kPart;
  for (uint32_t at = 0; at < bytes; at += kPart) {
    Observe(w, op, from, Touch::kRead);
    Observe(w, op, to, Touch::kWrite);
    from.host[lane] += kPart;
    to.host[lane] += kPart;
  }
  if (w.cluster->races) w.cluster->races->PublishCopy(w, lane, barrier.host[lane]);
}

}  // namespace

void CopyAsync(Warp& w, const Op& op, uint32_t lanes) {
  Access to;
  Resolve(w, op, lanes, op.bytes, to);
  Access from;
  from.bytes = op.bytes;
  from.lanes = 0;
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    PendingCopy copy{};
    copy.lane = static_cast<uint8_t>(lane);
    copy.bytes = op.bytes;
    copy.group = w.copy_group[lane];
    copy.to = to.host[lane];
    copy.block = to.block[lane];
    copy.op = &op;
    const uint32_t size = std::min<uint32_t>(w.R<uint32_t>(op.b)[lane], op.bytes);  // the rest becomes zeros
    if (size) {
      ResolveOne(w, Space::kGlobal, lane, w.R<uint64_t>(op.vector[0])[lane], size, op.bytes, from);
      from.lanes |= 1u << lane;
      copy.from = from.host[lane];
      copy.size = static_cast<uint8_t>(size);
    }
    w.copies.push_back(copy);
  }
  if (w.observed) Observe(w, op, from, Touch::kRead);
}

void CommitCopies(Warp& w, const Op&, uint32_t lanes) {
  for (; lanes; lanes &= lanes - 1) ++w.copy_group[std::countr_zero(lanes)];
}

void WaitCopies(Warp& w, const Op& op, uint32_t lanes) {
  std::vector<PendingCopy> kept;
  for (const PendingCopy& copy : w.copies) {
    const uint32_t waited = w.copy_group[copy.lane] - static_cast<uint32_t>(op.offset);
    if (!(lanes >> copy.lane & 1) || static_cast<int32_t>(copy.group - waited) >= 0) {
      kept.push_back(copy);
      continue;
    }
    std::memset(copy.to, 0, copy.bytes);
    if (copy.size) std::memcpy(copy.to, copy.from, copy.size);
    if (w.observed) {
      Access access;
      access.lanes = 1u << copy.lane;
      access.bytes = copy.bytes;
      access.host[copy.lane] = copy.to;
      access.space[copy.lane] = Space::kShared;
      access.block[copy.lane] = copy.block;
      Observe(w, *copy.op, access, Touch::kWrite);
    }
  }
  w.copies.swap(kept);
}

void BarrierInit(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, 8, access);
  if (w.observed) Observe(w, op, access, Touch::kWrite);
  auto count = w.R<uint32_t>(op.b);
  for (; lanes; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    if (count[lane] == 0 || count[lane] >= 1u << 20) {
      throw Fault{Finding::kInvalid, lane, "mbarrier.init with a count of " + std::to_string(count[lane])};
    }
    Mbarrier barrier{count[lane], count[lane], 0, 0};
    std::memcpy(access.host[lane], &barrier, sizeof barrier);
    w.cluster->phases[access.host[lane]] = 0;
  }
}

void BarrierInvalidate(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, 8, access);
  if (w.observed) Observe(w, op, access, Touch::kWrite);
}

void BarrierArrive(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, 8, access);
  if (w.observed) {
    OrderBefore(w, op, access, true);
    Observe(w, op, access, Touch::kAtomic);
  }
  for (; lanes; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    Mbarrier barrier = Get(access.host[lane]);
    uint64_t state;
    std::memcpy(&state, &barrier, sizeof state);
    const uint32_t operand = op.b == kNone ? 1 : w.R<uint32_t>(op.b)[lane];
    if (op.extra & kExpect) barrier.bytes += operand;
    if (!(op.extra & kNoArrival)) {
      const uint32_t arrivals = op.extra & kArriveCount ? operand : 1;
      if (arrivals > barrier.pending) {
        throw Fault{Finding::kInvalid, lane, "more arrivals at an mbarrier than it was initialised for"};
      }
      barrier.pending -= arrivals;
      if (op.extra & kDrop) barrier.expected -= arrivals;
    }
    if (w.cluster->launch->settings.trace) TellPhase(w, access, lane, 0);
    Put(*w.cluster, access.host[lane], barrier);
    if (op.d != kNone) w.R<uint64_t>(op.d).Set(lane, state);
  }
}

void BarrierTest(Warp& w, const Op& op, uint32_t lanes) {
  Access access;
  Resolve(w, op, lanes, 8, access);
  if (w.observed) {
    OrderBefore(w, op, access, false);
    Observe(w, op, access, Touch::kAtomic);
  }
  uint32_t done = 0;
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const uint32_t phase = Get(access.host[lane]).phase;
    const uint64_t waited = op.extra ? w.R<uint32_t>(op.b)[lane] & 1 : w.R<uint64_t>(op.b)[lane] >> 63;
    if (phase != waited) done |= 1u << lane;
  }
  w.predicates[op.d] = (w.predicates[op.d] & ~lanes) | done;
  if (done == 0) return;
  access.lanes = done;
  if (w.cluster->launch->settings.trace && done == lanes) TellPhase(w, access, std::countr_zero(done), 1);
  if (w.observed) OrderAfter(w, op, access);
}

void CopyBulk(Warp& w, const Op& op, uint32_t lanes) {
  for (; lanes; lanes &= lanes - 1) {
    const int lane = std::countr_zero(lanes);
    const uint32_t bytes = w.R<uint32_t>(op.b)[lane];
    if (bytes % 16) throw Fault{Finding::kMisaligned, lane, "a bulk copy of " + std::to_string(bytes) + " bytes"};
    Access to, from, barrier;
    ResolveOne(w, Space::kShared, lane, AddressOf(w, op, lane), bytes, 16, to);
    const Space source = op.flags & kSigned ? Space::kShared : Space::kGlobal;
    ResolveOne(w, source, lane, w.R<uint64_t>(op.vector[0])[lane], bytes, 16, from);
    ResolveOne(w, Space::kShared, lane, w.R<uint64_t>(op.vector[1])[lane], 8, 8, barrier);
    if (w.observed) ObserveCopy(w, op, lane, from, to, barrier, bytes);
    Send(w, op, lane, to, barrier, bytes).from = from.host[lane];
  }
}

void StoreAsync(Warp& w, const Op& op, uint32_t lanes) {
  const uint32_t bytes = op.bytes * op.count;
  Access to, barrier;
  Resolve(w, op, lanes, bytes, to);
  barrier.lanes = lanes;
  barrier.bytes = sizeof(Mbarrier);
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    ResolveOne(w, Space::kShared, lane, w.R<uint64_t>(op.c)[lane], sizeof(Mbarrier), sizeof(Mbarrier), barrier);
    if (barrier.block[lane] != to.block[lane]) {
      throw Fault{Finding::kInvalid, lane, "st.async to another block than its mbarrier's"};
    }
    SentCopy& copy = Send(w, op, lane, to, barrier, bytes);
    for (uint32_t i = 0; i < op.count; ++i) {
      const uint64_t value = op.flags & kWide ? w.R<uint64_t>(op.vector[i])[lane] : w.R<uint32_t>(op.vector[i])[lane];
      std::memcpy(copy.carried + i * op.bytes, &value, op.bytes);
    }
    if (w.cluster->launch->settings.trace) TellPhase(w, barrier, lane, 0);
  }
  if (w.observed && w.cluster->races) w.cluster->races->Sent(w, op, to, barrier);
}

void Land(Cluster& cluster, const SentCopy& copy) {
  std::memcpy(copy.to, copy.from ? copy.from : copy.carried, copy.bytes);
  Mbarrier barrier = Get(copy.barrier);
  barrier.bytes -= copy.bytes;
  Put(cluster, copy.barrier, barrier);
}

}  // namespace fire::simulator
