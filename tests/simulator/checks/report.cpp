// Reports, and the state a launch collects them in.
#include <algorithm>
#include <cstdio>
#include <tuple>

#include "tests/simulator/checks/global_shadow.h"
#include "tests/simulator/machine/launch_state.h"
#include "tests/simulator/machine/machine.h"

namespace fire::simulator {
namespace {

std::string Show(const Dim3& d) {
  char text[48];
  std::snprintf(text, sizeof text, "(%u, %u, %u)", d.x, d.y, d.z);
  return text;
}

std::string Lines(const std::vector<Report>& reports) {
  std::string text;
  for (const Report& report : reports) {
    if (!text.empty()) text += "\n";
    text += report.Text();
  }
  return text;
}

}  // namespace

const char* FindingName(Finding finding) {
  switch (finding) {
    case Finding::kRace:
      return "race";
    case Finding::kUninitialised:
      return "read of memory nobody wrote";
    case Finding::kOutOfBounds:
      return "access out of bounds";
    case Finding::kMisaligned:
      return "misaligned access";
    case Finding::kUnknownInstruction:
      return "unknown instruction";
    case Finding::kBarrierDivergence:
      return "barrier divergence";
    case Finding::kDeadlock:
      return "deadlock";
    case Finding::kUnbegunBlock:
      return "shared memory of a block that has not begun";
    case Finding::kExitedBlock:
      return "shared memory of an exited block";
    case Finding::kBudget:
      return "step budget exceeded";
    case Finding::kTrap:
      return "trap";
    case Finding::kPriorNotAwaited:
      return "prior kernels not awaited";
    case Finding::kInvalid:
      return "invalid use";
  }
  return "";
}

std::string Report::Text() const {
  std::string text = std::string(FindingName(finding)) + ": " + message + "; kernel " + kernel;
  if (!instruction.empty()) {
    text += ", block " + Show(block) + ", thread " + Show(thread);
    text += ", ";
    text += file.empty() ? "no line information" : file + ":" + std::to_string(line);
    text += ": " + instruction;
  }
  return text;
}

SimulationError::SimulationError(std::vector<Report> reports)
    : std::runtime_error(Lines(reports)), reports_(std::move(reports)) {}

LaunchState::LaunchState(const Program& program, const LaunchShape& shape, const Settings& settings, MemoryMap& memory)
    : program(program), shape(shape), settings(settings), memory(memory) {
  if (settings.check_races) shadow = std::make_unique<GlobalShadow>();
  if (settings.count_work) work = std::make_unique<WorkCounter>(program, shape, settings.trace);
}

LaunchState::~LaunchState() = default;

MemoryMap::Range* LaunchState::FindRange(uint64_t address) {
  if (MemoryMap::Range* range = memory.Find(address)) return range;
  for (MemoryMap::Range& range : variables) {
    if (address >= range.begin && address < range.end) return &range;
  }
  return nullptr;
}

Report LaunchState::MakeReport(const Warp& w, const Op& op, int lane, Finding finding,
                               const std::string& message) const {
  Report report;
  report.finding = finding;
  report.kernel = program.info.name;
  report.block = w.block->id;
  const uint32_t thread = w.index * kLanes + static_cast<uint32_t>(lane);
  report.thread = {thread % shape.block.x, thread / shape.block.x % shape.block.y,
                   thread / shape.block.x / shape.block.y};
  const SourceLine& source = program.sources[op.source];
  report.instruction = source.text;
  report.line = source.line;
  report.file = FileOf(program, source);
  report.message = message;
  return report;
}

void LaunchState::Add(Report report) {
  const std::lock_guard lock(mutex_);
  const std::string key =
      std::string(FindingName(report.finding)) + report.file + ":" + std::to_string(report.line) + report.instruction;
  if (known_.insert(key).second) reports_.push_back(std::move(report));
}

std::vector<Report> LaunchState::TakeReports() {
  const std::lock_guard lock(mutex_);
  // Host threads find them in any order.
  std::stable_sort(reports_.begin(), reports_.end(), [](const Report& a, const Report& b) {
    return std::tie(a.file, a.line, a.instruction, a.finding) < std::tie(b.file, b.line, b.instruction, b.finding);
  });
  return std::move(reports_);
}

}  // namespace fire::simulator
