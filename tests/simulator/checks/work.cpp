#include "tests/simulator/checks/work.h"

#include <numeric>
#include <tuple>

#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/machine/memory.h"
#include "tests/simulator/machine/warp.h"

namespace fire::simulator {
namespace {

uint64_t Sum(const std::vector<uint64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), uint64_t{0}); }

}  // namespace

LaunchTrace::Step StepOf(Warp& w, const Op& op, int32_t pc, uint32_t lanes) {
  LaunchTrace::Step step;
  step.warp = w.index, step.pc = pc, step.lanes = lanes;
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
  trace_.phases.resize(shape.grid.Count());
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
    const uint64_t at = (uint64_t{id.z} * grid.y + id.y) * grid.x + id.x;
    trace_.blocks[at] = std::move(tally.steps);
    trace_.phases[at] = std::move(tally.phases);
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
  return work;
}

}  // namespace fire::simulator
