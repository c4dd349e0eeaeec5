#include "tests/simulator/checks/work.h"

#include <iomanip>
#include <numeric>
#include <sstream>
#include <tuple>

#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/machine/memory.h"
#include "tests/simulator/machine/warp.h"

namespace fire::simulator {
namespace {

constexpr int kVectorBytes = 16;

uint64_t Sum(const std::vector<uint64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); }

// One turn of the loop that the branch at `last` closes: what every way around it passes. Empty where the branch closes
// no loop, and for a loop around another.
std::vector<int32_t> TurnOf(const Program& program, int32_t last) {
  std::vector<int32_t> turn;
  for (int32_t at = program.code[last].target; turn.size() <= program.code.size();) {
    turn.push_back(at);
    if (at == last) return turn;
    const Op& op = program.code[at];
    const bool may_stay = op.guard >= 0;
    switch (op.step) {
      case Step::kBranch:
        if (op.target <= at) return {};
        at = may_stay ? op.converge : op.target;
        break;
      case Step::kTable:
        at = op.converge;
        break;
      case Step::kExit:
      case Step::kReturn:
      case Step::kTrap:
        at = may_stay ? at + 1 : -1;
        break;
      default:
        ++at;
    }
    if (at < 0) break;
  }
  return {};
}

std::ostream& operator<<(std::ostream& out, const Dim3& d) {
  return out << '[' << d.x << ", " << d.y << ", " << d.z << ']';
}

}  // namespace

LaunchTrace::Step StepOf(Warp& w, const Op& op, int32_t pc, uint32_t lanes) {
  LaunchTrace::Step step{w.index, pc, lanes};
  const bool may_be_global = op.space == Space::kGlobal || op.space == Space::kGeneric;
  const bool is_prefetch = op.execute == Nothing && op.a != kNone;
  if (lanes != 0 && may_be_global && (op.execute == Load || op.execute == Store || is_prefetch)) {
    const uint64_t address = AddressOf(w, op, std::countr_zero(lanes));
    if ((address & (kSharedWindow | kLocalWindow)) == 0) step.address = address;
  }
  return step;
}

WorkCounter::WorkCounter(const Program& program, const LaunchShape& shape, bool trace)
    : program_(program), shape_(shape), all_(program.code.size()) {
  if (!trace) return;
  trace_.blocks.resize(shape.grid.Count());
  for (size_t pc = 0; pc < program.code.size(); ++pc) {
    const uint32_t number = program.code[pc].source;
    const SourceLine& source = program.sources[number];
    const bool goes_on = pc + 1 < program.code.size() && program.code[pc + 1].source == number;
    trace_.code.push_back({goes_on ? "" : source.text, FileOf(program, source), source.line});
  }
}

void WorkCounter::Add(Block& block) {
  const std::lock_guard lock(mutex_);
  Tally& tally = block.tally;
  if (!trace_.blocks.empty()) {
    const Dim3 &id = block.id, &grid = shape_.grid;
    trace_.blocks[(uint64_t{id.z} * grid.y + id.y) * grid.x + id.x] = std::move(tally.steps);
  }
  for (size_t pc = 0; pc < all_.size(); ++pc) all_[pc] += tally.issued[pc];
  const uint64_t count = Sum(tally.issued);
  const auto place = [](const Dim3& d) { return std::make_tuple(d.z, d.y, d.x); };
  // Of several alike the first, whichever host thread comes first.
  if (count < most_ || (count == most_ && most_ != 0 && place(block.id) > place(busiest_id_))) return;
  most_ = count;
  busiest_ = tally;
  busiest_id_ = block.id;
}

LaunchWork WorkCounter::Work() {
  LaunchWork work;
  work.kernel = program_.info.name;
  work.shape = shape_;
  work.trace = std::move(trace_);
  work.instructions = Sum(all_);
  work.busiest_block = busiest_id_;
  work.of_busiest = most_;
  work.block_barriers = busiest_.block_barriers;
  work.cluster_barriers = busiest_.cluster_barriers;
  for (int32_t last = 0; last < static_cast<int32_t>(program_.code.size()); ++last) {
    const Op& branch = program_.code[last];
    if (branch.step != Step::kBranch || branch.target > last || all_[last] == 0) continue;
    LoopWork loop;
    const std::vector<int32_t> turn = TurnOf(program_, last);
    if (turn.empty()) continue;
    for (const int32_t pc : turn) {
      const Op& op = program_.code[pc];
      loop.vector_loads += op.execute == Load && op.bytes * op.count == kVectorBytes;
      loop.instructions += all_[pc];
      loop.of_busiest += busiest_.issued[pc];
    }
    const SourceLine& source = program_.sources[branch.source];
    loop.line = source.line;
    loop.file = FileOf(program_, source);
    loop.length = turn.size();
    work.loops.push_back(std::move(loop));
  }
  return work;
}

std::string LaunchWork::Json() const {
  std::ostringstream out;
  out << "{\"kernel\": " << std::quoted(kernel) << ", \"grid\": " << shape.grid << ", \"block\": " << shape.block
      << ", \"cluster\": " << shape.cluster << ", \"instructions\": " << instructions
      << ", \"busiest\": {\"block\": " << busiest_block << ", \"instructions\": " << of_busiest
      << ", \"block_barriers\": " << block_barriers << ", \"cluster_barriers\": " << cluster_barriers
      << "}, \"loops\": [";
  const char* between = "";
  for (const LoopWork& loop : loops) {
    out << between << "{\"file\": " << std::quoted(loop.file) << ", \"line\": " << loop.line
        << ", \"length\": " << loop.length << ", \"vector_loads\": " << loop.vector_loads
        << ", \"instructions\": " << loop.instructions << ", \"of_busiest\": " << loop.of_busiest << "}";
    between = ", ";
  }
  out << "]}";
  return out.str();
}

}  // namespace fire::simulator
