// The simulated device: runs the PTX that nvcc emitted, one warp instruction at a time, and reports what a real device
// would leave undefined. The CUDA runtime's side of it (streams, properties, launches by host pointer) is built on top.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace fire::simulator {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t Count() const { return uint64_t{x} * y * z; }
};

struct LaunchShape {
  Dim3 grid, block, cluster;  // cluster: blocks, {1, 1, 1} without one; must divide the grid
  size_t dynamic_shared = 0;  // bytes
  // It may begin before the kernels ahead of it in the stream have ended: a thread may touch global memory only after
  // griddepcontrol.wait.
  bool overlaps_prior = false;
  int carveout = -1;  // per cent of a multiprocessor's memory that it wants as shared memory; -1: the driver chooses
};

struct Settings {
  uint64_t seed = 0;  // orders warps and diverged lanes, and delays weak stores
  bool check_races = false;
  bool check_uninitialised = false;
  bool check_bounds = true;  // of global memory; the bounds of shared and local memory are always checked
  bool weak_memory = false;
  uint64_t step_budget = 0;  // instructions each warp may run; 0: no limit
  // Launch fills in what it is asked to count; diverged lanes then always meet where the compiler would have them.
  bool count_work = false;
  bool trace = false;  // with count_work: every step of it is kept, in LaunchWork::trace
  int threads = 2;     // host threads, which run whole clusters
};

enum class Finding {
  kRace,
  kUninitialised,
  kOutOfBounds,
  kMisaligned,
  kUnknownInstruction,
  kBarrierDivergence,
  kDeadlock,
  kUnbegunBlock,  // a peer may touch the shared memory of a block that has not begun
  kExitedBlock,   // … that has left its cluster
  kBudget,
  kTrap,
  kPriorNotAwaited,  // global memory touched while kernels ahead in the stream may still run
  kInvalid,          // a launch or an instruction used against the rules of CUDA or PTX
};
const char* FindingName(Finding finding);

struct Report {
  Finding finding = Finding::kInvalid;
  std::string kernel;
  Dim3 block{0, 0, 0}, thread{0, 0, 0};
  std::string file;  // from the line information of nvcc -lineinfo; empty without
  int line = 0;
  std::string instruction;  // as nvcc wrote it
  std::string message;
  std::string Text() const;  // all of it on one line
};

// Thrown by Launch. Faults (bounds, alignment, deadlock, budget, ...) stop the launch and come alone or after the
// findings before them; races and reads of uninitialised memory let it finish.
class SimulationError : public std::runtime_error {
 public:
  explicit SimulationError(std::vector<Report> reports);
  const std::vector<Report>& reports() const { return reports_; }

 private:
  std::vector<Report> reports_;
};

// Memory that kernels may touch besides their own shared and local memory and their module's variables.
class MemoryMap {
 public:
  // `initialised` false: bytes count as written only after a store of a kernel or MarkInitialised.
  void Register(const void* begin, size_t bytes, std::string name, bool initialised);
  void Unregister(const void* begin);  // throws std::invalid_argument if no registered range begins there
  void MarkInitialised(const void* begin, size_t bytes);  // after a copy or a fill; unregistered bytes are ignored
  // From here on all of it counts: a launch that does not keep track of its stores may have written any of it.
  void MarkAllInitialised();
  bool Initialised(const void* begin, size_t bytes) const;  // false also if some byte is not registered
  bool Contains(const void* begin, size_t bytes) const;

  struct Range {
    uint64_t begin = 0, end = 0;
    std::string name;
    struct Free {
      void operator()(uint8_t* bytes) const { std::free(bytes); }
    };
    // One a byte; null where all of it counts as initialised. From calloc, whose pages cost nothing until touched: an
    // allocation may be larger than the machine's memory.
    std::unique_ptr<uint8_t[], Free> written;
  };
  // The range that holds the address, else null. Ranges must stay registered while a launch runs.
  Range* Find(uint64_t address) const;
  // The range nearest below the address, for the report of an access beyond its end; null if there is none.
  const Range* Below(uint64_t address) const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<uint64_t, std::unique_ptr<Range>> ranges_;  // by begin
};

struct KernelInfo {
  std::string name;
  struct Parameter {
    size_t offset = 0, size = 0;
  };
  std::vector<Parameter> parameters;
  size_t static_shared = 0;        // bytes
  size_t local = 0;                // bytes a thread
  uint32_t max_threads = 0;        // .maxntid or .reqntid: product; 0 if not given
  uint32_t min_blocks = 0;         // .minnctapersm; 0 if not given
  Dim3 required_cluster{0, 0, 0};  // .reqnctapercluster; zeros if not given
};

struct Variable {
  std::string name;
  void* address = nullptr;
  size_t size = 0;
  bool constant = false;
};

// Every instruction that the warps of a launch issued, warp by warp in their own order.
struct LaunchTrace {
  struct Instruction {
    std::string text;  // PTX; empty for all but the last of the operations that one instruction is decoded into
    std::string file;
    int line = 0;
  };
  struct Step {
    uint32_t warp = 0;                     // of the block
    int32_t pc = 0;                        // an index of `code`
    uint32_t lanes = 0;                    // that a guard let through
    uint64_t address = 0;                  // in global memory, that the first of them loads, stores or prefetches
    uint32_t first_phase = 0, phases = 0;  // of the block's: that it has a part in, or waits for
  };
  struct Phase {  // of an mbarrier, whose place in a block's shared memory names it
    uint32_t block, offset;
    int32_t number;  // from 0; -1: the one before, for which nobody waits
  };
  std::vector<Instruction> code;
  std::vector<std::vector<Step>> blocks;   // by their place in the grid
  std::vector<std::vector<Phase>> phases;  // likewise
};

// What a launch issued, in instructions of warps, whether or not a guard let any lane execute them; and the barriers of
// the block that issued most.
struct LaunchWork {
  std::string kernel;
  LaunchShape shape;
  uint64_t instructions = 0;  // of all blocks
  Dim3 busiest_block{0, 0, 0};
  uint64_t of_busiest = 0;
  uint64_t block_barriers = 0;    // that were completed in it
  uint64_t cluster_barriers = 0;  // that a warp of it waited for
  LaunchTrace trace;              // empty unless Settings::trace
};

class Program;
namespace text {
struct Source;
}

class Module {
 public:
  // Throws std::invalid_argument for text that is not PTX. An instruction the machine does not know stops only the
  // launch of a kernel that contains it, with Finding::kUnknownInstruction.
  static std::unique_ptr<Module> Parse(std::string ptx);
  ~Module();

  int target() const;  // 90 for .target sm_90
  std::vector<std::string> KernelNames() const;
  const KernelInfo* FindKernel(const std::string& name) const;  // null if there is none
  const Variable* FindVariable(const std::string& name) const;  // .global and .const; null if there is none
  const std::vector<Variable>& variables() const;
  const Program& Decode(const std::string& kernel) const;  // once a kernel; throws SimulationError

 private:
  Module();
  struct State;
  std::unique_ptr<State> state_;
};

// Runs the kernel to its end; how many warp instructions that took. `arguments` holds a pointer to each argument's
// value, in order. `work` is filled in where the settings ask for it.
uint64_t Launch(const Module& module, const std::string& kernel, const LaunchShape& shape, void* const* arguments,
                const Settings& settings, MemoryMap& memory, LaunchWork* work);

}  // namespace fire::simulator
