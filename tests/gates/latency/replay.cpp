#include "tests/gates/latency/replay.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <tuple>
#include <utility>

#include "tests/gates/latency/memory.h"

namespace fire::latency {
namespace {

using Step = simulator::LaunchTrace::Step;
constexpr Cycle kTakenBranch = 9;  // until the first instruction behind it; assumed

struct Multiprocessor {
  Cycle slot[kSchedulers] = {};  // when it is free
  Window::Free unit[kSchedulers] = {};
  Cycle shared = 0;
  Intake intake;
};

struct Warp {
  Warp(int registers, const std::vector<const Step*>& all) : window(registers), steps(&all) {}
  Window window;
  const std::vector<const Step*>* steps;
  size_t at = 0;
  Cycle next = 0;  // issues no earlier
  size_t row = 0, block = 0;
  uint32_t index = 0;  // in the block
  size_t phase = 0;    // cluster barriers that it has arrived at
  Cycle mark = 0;
  std::map<int32_t, Cycle> spent;  // since the last barrier, by place
};

struct Waiting {
  Cycle at;
  size_t warp;
};

struct Block {
  size_t alive = 0;  // warps
  std::vector<Waiting> waiting;
  std::vector<Phase> phases;
  Cycle end = 0;
};

// Of an mbarrier.
struct Arrivals {
  size_t missing = 0;
  Cycle last = 0;
  std::vector<Waiting> waiting;
};

struct Row {
  std::vector<Block> blocks;
  size_t alive = 0;                       // warps
  size_t missing = 0;                     // of them, at the cluster barrier
  std::vector<Waiting> arrived, waiting;  // at the cluster barrier
  std::vector<Cycle> released;            // by phase
  std::vector<Arrivals> arrivals;         // by mbarrier's phase
};

class Replayer {
 public:
  Replayer(const simulator::LaunchTrace& trace, const Code& code, const Machine& machine, const Batch& batch)
      : trace_(trace), code_(code), machine_(machine), batch_(batch), memory_(machine, ShareOf()) {
    multiprocessors_.resize(trace.blocks.size());
    for (const auto& block : trace.blocks) {
      auto& warps = steps_.emplace_back();
      for (const Step& step : block) {
        warps.resize(std::max<size_t>(warps.size(), step.warp + 1));
        warps[step.warp].push_back(&step);
      }
    }
    NumberPhases();
    std::map<std::pair<std::string, int>, int32_t> known;
    for (const auto& one : trace.code) {
      places_.push_back(known.try_emplace({one.file, one.line}, static_cast<int32_t>(places_.size())).first->second);
    }
  }

  Replayed Run() {
    for (int i = 0; i < batch_.at_once; ++i) Start(0);
    while (!events_.empty()) {
      const auto [at, warp] = events_.top();
      events_.pop();
      Advance(warp, at);
    }
    Replayed found{end_, memory_.hbm_bytes() / static_cast<double>(batch_.rows), {}, std::move(issues_)};
    const auto last = std::max_element(rows_[0].blocks.begin(), rows_[0].blocks.end(),
                                       [](const Block& a, const Block& b) { return a.end < b.end; });
    found.phases = last->phases;
    return found;
  }

 private:
  // The bandwidth that all sets share: one with more rows than others goes on when those have ended.
  Share ShareOf() const {
    const double blocks = static_cast<double>(trace_.blocks.size());
    const double rows = static_cast<double>(batch_.all), mine = static_cast<double>(batch_.rows);
    const double device = std::max(1.0, rows / mine);  // sets like this one would read as much
    return {machine_.hbm_bytes_a_ns / machine_.ghz / (device * blocks),
            std::min(machine_.intake_bytes_a_clock, machine_.l2_bytes_a_clock / (device * blocks)), device};
  }

  // Which mbarriers' phases there are, and what each waits for.
  void NumberPhases() {
    std::map<std::tuple<uint32_t, uint32_t, int32_t>, size_t> known;
    for (size_t block = 0; block < trace_.phases.size(); ++block) {
      auto& numbers = phases_.emplace_back();
      for (const auto& phase : trace_.phases[block]) {
        numbers.push_back(known.try_emplace({phase.block, phase.offset, phase.number}, known.size()).first->second);
      }
    }
    arrivals_.resize(known.size());
    for (size_t block = 0; block < trace_.blocks.size(); ++block) {
      for (const Step& step : trace_.blocks[block]) {
        if (!code_.instructions[static_cast<size_t>(step.pc)].IsStore()) continue;
        for (uint32_t i = 0; i < step.phases; ++i) ++arrivals_[phases_[block][step.first_phase + i]].missing;
      }
    }
  }

  void Start(Cycle now) {
    if (static_cast<int64_t>(rows_.size()) == batch_.rows) return;
    const size_t number = rows_.size();
    Row& row = rows_.emplace_back();
    row.blocks.resize(steps_.size());
    row.arrivals = arrivals_;
    for (size_t b = 0; b < steps_.size(); ++b) {
      for (size_t w = 0; w < steps_[b].size(); ++w) {
        Warp& warp = warps_.emplace_back(code_.registers, steps_[b][w]);
        warp.next = warp.mark = now;
        warp.row = number, warp.block = b, warp.index = static_cast<uint32_t>(w);
        ++row.blocks[b].alive;
        ++row.alive, ++row.missing;
        events_.push({now, warps_.size() - 1});
      }
    }
  }

  void Advance(size_t number, Cycle at) {
    Warp& warp = warps_[number];
    warp.next = std::max(warp.next, at);
    if (warp.window.empty()) {
      if (warp.at == warp.steps->size()) return End(number);
      warp.window.Open(code_, *warp.steps, &warp.at);
    }
    Multiprocessor& place = multiprocessors_[warp.block];
    const size_t scheduler = warp.index % kSchedulers;
    Window::Free& unit = place.unit[scheduler];
    unit[static_cast<size_t>(Unit::kShared)] = place.shared;
    const Window::Pick pick = warp.window.Next(warp.next, unit);
    if (pick.node < 0) {  // what was left took no slot
      warp.window.Close();
      events_.push({warp.next, number});
      return;
    }
    const Cycle begin = std::max(pick.ready, place.slot[scheduler]);
    if (begin > at && !events_.empty() && events_.top() < std::make_pair(begin, number)) {
      events_.push({begin, number});
      return;
    }
    const Instruction& one = warp.window.instruction(pick.node);
    const Step& step = warp.window.step(pick.node);
    place.slot[scheduler] = warp.next = begin + one.slots;
    Cycle& busy = one.unit == Unit::kShared ? place.shared : unit[static_cast<size_t>(one.unit)];
    busy = std::max(busy, begin) + one.busy;
    if (warp.row == 0) {
      warp.spent[places_[static_cast<size_t>(step.pc)]] += warp.next - warp.mark;
      warp.mark = warp.next;
      if (warp.block == 0 && static_cast<int>(warp.index) == batch_.watched) issues_.push_back({begin, step.pc});
    }
    warp.window.Issue(pick.node, begin + LatencyOf(warp, one, step, begin));
    if (one.IsStore() && step.phases != 0) {
      Arrive(warp, step, begin + (one.kind == Kind::kSend ? machine_.sent : one.latency));
    }
    const bool is_over = warp.window.empty();
    if (is_over) warp.window.Close();
    if (!is_over || !one.IsLast()) return events_.push({warp.next, number});
    switch (one.kind) {
      case Kind::kBarrier:
        rows_[warp.row].blocks[warp.block].waiting.push_back({warp.next, number});
        return LeaveBarrier(warp.row, warp.block);
      case Kind::kClusterArrive:
        return ArriveAtCluster(number, one);
      case Kind::kClusterWait:
        return WaitForCluster(number);
      case Kind::kAwait:
        return WaitForPhase(number, step);
      case Kind::kBranch:
        if (warp.at < warp.steps->size() && (*warp.steps)[warp.at]->pc != step.pc + 1) warp.next = begin + kTakenBranch;
        break;
      default:
        break;
    }
    events_.push({warp.next, number});
  }

  Cycle LatencyOf(const Warp& warp, const Instruction& one, const Step& step, Cycle begin) {
    const bool is_load = one.kind == Kind::kGlobalLoad || one.kind == Kind::kPrefetch;
    if (!is_load || step.address == 0) return one.latency;
    const double bytes = one.bytes * __builtin_popcount(step.lanes);
    Intake& intake = multiprocessors_[warp.block].intake;
    const double done =
        memory_.Load(intake, warp.row, step.address, bytes, static_cast<double>(begin), one.kind == Kind::kPrefetch);
    return static_cast<Cycle>(std::ceil(done)) - begin;
  }

  // Tells of a phase of the first row, whose warps wait or have ended.
  void Tell(size_t row, size_t block, const std::vector<Waiting>& waiting, Cycle end, int32_t pc) {
    if (row > 0) return;
    const auto earlier = [](const Waiting& a, const Waiting& b) { return a.at < b.at; };
    const Waiting& last = *std::max_element(waiting.begin(), waiting.end(), earlier);
    const Cycle first = std::min_element(waiting.begin(), waiting.end(), earlier)->at;
    Phase phase{first, last.at, end, pc, warps_[last.warp].index, {}};
    for (const auto& [place, cycles] : warps_[last.warp].spent) phase.parts.push_back({place, cycles});
    std::sort(phase.parts.begin(), phase.parts.end(),
              [](const Phase::Part& a, const Phase::Part& b) { return a.cycles > b.cycles; });
    rows_[row].blocks[block].phases.push_back(std::move(phase));
  }

  void GoOn(const std::vector<Waiting>& waiting, Cycle at, bool together = true) {
    for (const Waiting& one : waiting) {
      Warp& warp = warps_[one.warp];
      warp.next = std::max(one.at, at);
      if (together) warp.spent.clear(), warp.mark = warp.next;
      events_.push({warp.next, one.warp});
    }
  }

  int32_t PcBehind(size_t warp) const { return (*warps_[warp].steps)[warps_[warp].at - 1]->pc; }

  void LeaveBarrier(size_t row, size_t number) {
    Block& block = rows_[row].blocks[number];
    if (block.waiting.empty() || block.waiting.size() < block.alive) return;
    Cycle last = 0;
    for (const Waiting& one : block.waiting) last = std::max(last, one.at);
    const int32_t pc = PcBehind(block.waiting[0].warp);
    const Cycle end = last + code_.instructions[static_cast<size_t>(pc)].latency;
    Tell(row, number, block.waiting, end, pc);
    GoOn(std::exchange(block.waiting, {}), end);
  }

  void ArriveAtCluster(size_t number, const Instruction& one) {
    Warp& warp = warps_[number];
    Row& row = rows_[warp.row];
    if (!one.is_relaxed) warp.next += machine_.cluster_release;
    ++warp.phase;
    --row.missing;
    row.arrived.push_back({warp.next, number});
    events_.push({warp.next, number});
    CompleteCluster(row);
  }

  void WaitForCluster(size_t number) {
    Warp& warp = warps_[number];
    rows_[warp.row].waiting.push_back({warp.next, number});
    LeaveCluster(warp.row);
  }

  void CompleteCluster(Row& row) {
    if (row.arrived.empty() || row.missing > 0) return;
    Cycle last = 0;
    for (const Waiting& one : row.arrived) last = std::max(last, one.at);
    row.released.push_back(last + machine_.cluster_barrier);
    row.arrived.clear();
    row.missing = row.alive;
    LeaveCluster(static_cast<size_t>(&row - rows_.data()));
  }

  void LeaveCluster(size_t number) {
    Row& row = rows_[number];
    std::vector<std::vector<Waiting>> gone(row.blocks.size());
    std::vector<Waiting> stay;
    Cycle end = 0;
    for (const Waiting& one : row.waiting) {
      const Warp& warp = warps_[one.warp];
      if (warp.phase > row.released.size()) {
        stay.push_back(one);
        continue;
      }
      end = row.released[warp.phase - 1];
      gone[warp.block].push_back(one);
    }
    row.waiting = std::move(stay);
    for (size_t block = 0; block < gone.size(); ++block) {
      if (gone[block].empty()) continue;
      const bool together = gone[block].size() == row.blocks[block].alive;
      if (together) Tell(number, block, gone[block], end, PcBehind(gone[block][0].warp));
      GoOn(gone[block], end, together);
    }
  }

  void Arrive(const Warp& warp, const Step& step, Cycle at) {
    for (uint32_t i = 0; i < step.phases; ++i) {
      Arrivals& arrivals = rows_[warp.row].arrivals[phases_[warp.block][step.first_phase + i]];
      arrivals.last = std::max(arrivals.last, at);
      if (--arrivals.missing > 0 || arrivals.waiting.empty()) continue;
      const std::vector<Waiting> waiting = std::exchange(arrivals.waiting, {});
      const size_t block = warps_[waiting[0].warp].block;
      const int32_t pc = PcBehind(waiting[0].warp);
      const Cycle end = arrivals.last + code_.instructions[static_cast<size_t>(pc)].latency;
      const bool together = waiting.size() == rows_[warp.row].blocks[block].alive;
      if (together) Tell(warp.row, block, waiting, end, pc);
      GoOn(waiting, end, together);
    }
  }

  void WaitForPhase(size_t number, const Step& step) {
    Warp& warp = warps_[number];
    Arrivals& arrivals = rows_[warp.row].arrivals[phases_[warp.block][step.first_phase]];
    if (arrivals.missing > 0) return arrivals.waiting.push_back({warp.next, number});
    warp.next = std::max(warp.next, arrivals.last + code_.instructions[static_cast<size_t>(step.pc)].latency);
    events_.push({warp.next, number});
  }

  void End(size_t number) {
    const Warp& warp = warps_[number];
    Row& row = rows_[warp.row];
    Block& block = row.blocks[warp.block];
    end_ = std::max(end_, warp.next);
    block.end = std::max(block.end, warp.next);
    --row.alive;
    row.missing -= warp.phase == row.released.size();
    if (--block.alive == 0) Tell(warp.row, warp.block, {{warp.next, number}}, warp.next, -1);
    LeaveBarrier(warp.row, warp.block);
    CompleteCluster(row);
    if (row.alive == 0) Start(warp.next);
  }

  const simulator::LaunchTrace& trace_;
  const Code& code_;
  const Machine& machine_;
  const Batch batch_;
  Memory memory_;
  std::vector<std::vector<std::vector<const Step*>>> steps_;  // by block and warp
  std::vector<std::vector<size_t>> phases_;                   // of the trace's, by block: their numbers
  std::vector<Arrivals> arrivals_;                            // by number, before any
  std::vector<int32_t> places_;                               // by pc: the first pc of its source line
  std::vector<Multiprocessor> multiprocessors_;
  std::deque<Warp> warps_;
  std::vector<Row> rows_;
  using Event = std::pair<Cycle, size_t>;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  Cycle end_ = 0;
  std::vector<Issue> issues_;
};

}  // namespace

Replayed Replay(const simulator::LaunchTrace& trace, const Code& code, const Machine& machine, const Batch& batch) {
  return Replayer(trace, code, machine, batch).Run();
}

}  // namespace fire::latency
