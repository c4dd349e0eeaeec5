// What all clusters of one launch share.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/simulator/decoder/program.h"
#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

class GlobalShadow;
class WorkCounter;

class LaunchState {
 public:
  LaunchState(const Program& program, const LaunchShape& shape, const Settings& settings, MemoryMap& memory);
  ~LaunchState();

  const Program& program;
  const LaunchShape& shape;
  const Settings& settings;
  MemoryMap& memory;
  std::vector<MemoryMap::Range> variables;  // of the module, always initialised
  std::vector<uint8_t> parameters;
  size_t shared_bytes = 0;               // of a block: static and dynamic
  std::unique_ptr<GlobalShadow> shadow;  // of global memory, where races are checked
  std::unique_ptr<WorkCounter> work;     // where it is counted

  MemoryMap::Range* FindRange(uint64_t address);
  Report MakeReport(const Warp& w, const Op& op, int lane, Finding finding, const std::string& message) const;
  // Kept once for each kind, source line and instruction.
  void Add(Report report);
  bool Failed() const { return failed_.load(std::memory_order_relaxed); }
  void Fail() { failed_.store(true, std::memory_order_relaxed); }
  std::vector<Report> TakeReports();

 private:
  std::mutex mutex_;
  std::set<std::string> known_;
  std::vector<Report> reports_;
  std::atomic<bool> failed_{false};
};

}  // namespace fire::simulator
