// A decoded kernel: an array of operations over rows of registers, 32 lanes side by side.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/machine/machine.h"

namespace fire::simulator {

struct Warp;
struct Op;
using Execute = void (*)(Warp&, const Op&, uint32_t lanes);

// What the scheduler does with an operation.
enum class Step : uint8_t {
  kNext,    // execute, go on
  kBranch,  // to `target`
  kTable,   // brx.idx: to tables[extra][register b]
  kCall,    // to `target`; the return address goes to register d
  kReturn,  // to the address in register a
  kExit,
  kTogether,  // execute once every lane of the member mask (register f) is here
  kConverge,  // the same, but any instruction of the same mask will do: bar.warp.sync
  kBarrier,   // bar, barrier: see BarrierKind
  kClusterArrive,
  kClusterWait,
  kYield,  // execute, then let another warp run
  kAwait,  // wait for the phase of an mbarrier
  kTrap,
};

enum class BarrierKind : uint8_t { kSync, kArrive, kPopc, kAnd, kOr };

enum OpFlag : uint16_t {
  kAligned = 1,   // barriers: all lanes of the warp execute it together
  kHasCount = 2,  // barriers: register b holds the number of threads
  kRelease = 4,   // memory order
  kAcquire = 8,
  kStrong = 16,    // relaxed, volatile or atomic
  kCtaScope = 32,  // of release and acquire; otherwise the cluster or wider
  kWide = 64,      // the destination is a 64-bit register (loads), the data is (stores)
  kSigned = 128,   // loads extend the sign
  kNegateC = 256,  // predicate operands
  kNegateA = 512,
  kNoResult = 1024,   // the destination is '_'
  kAddress32 = 2048,  // the address is in a 32-bit register
};

enum class Space : uint8_t { kGeneric, kGlobal, kShared, kLocal, kConstant, kParameter };

constexpr uint32_t kNone = ~0u;

struct Op {
  Execute execute = nullptr;
  Step step = Step::kNext;
  uint8_t bytes = 0;  // of one element in memory
  uint8_t count = 1;  // elements of a vector
  Space space = Space::kGeneric;
  BarrierKind barrier = BarrierKind::kSync;
  bool negate_guard = false;
  uint16_t flags = 0;
  int32_t guard = -1;                                                         // predicate
  uint32_t d = kNone, e = kNone, a = kNone, b = kNone, c = kNone, f = kNone;  // byte offsets of rows, or predicates
  uint32_t vector[8] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  int64_t offset = 0;  // of an address; an immediate otherwise
  int32_t target = -1;
  int32_t converge = -1;  // where the lanes meet again after a divergent branch; -1: nowhere
  uint32_t extra = 0;     // tables[extra], the bytes of a load that are used, or an instruction's own number
  uint32_t source = 0;    // sources[source]
};

enum class Special : uint8_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLane,
  kWarp,
  kWarps,
  kMaskEq,
  kMaskLe,
  kMaskLt,
  kMaskGe,
  kMaskGt,
  kSm,
  kSms,
  kGrid,
  kDynamicShared,
  kTotalShared,
  kIsCluster,
  kClusterCtaidX,
  kClusterCtaidY,
  kClusterCtaidZ,
  kClusterNctaidX,
  kClusterNctaidY,
  kClusterNctaidZ,
  kClusterRank,
  kClusterSize,
  kClusteridX,
  kClusteridY,
  kClusteridZ,
  kNclusteridX,
  kNclusteridY,
  kNclusteridZ,
};

struct SourceLine {
  std::string text;
  int file = 0, line = 0;
};

class Program {
 public:
  KernelInfo info;
  std::vector<Op> code;
  std::vector<SourceLine> sources;
  std::vector<std::string> files;
  std::vector<std::vector<int32_t>> tables;
  std::vector<std::pair<uint32_t, uint64_t>> constants;  // row <- value in every lane, as 64 bits
  std::vector<std::pair<uint32_t, uint64_t>> constants32;
  std::vector<std::pair<uint32_t, uint32_t>> predicate_constants;
  std::vector<std::pair<uint32_t, Special>> specials;
  uint32_t register_bytes = 0;  // of one warp
  uint32_t predicates = 0;
  uint32_t parameter_bytes = 0;
  uint32_t dynamic_shared_at = 0;  // offset of dynamic shared memory
  bool sends = false;              // it has asynchronous stores
};

// The name of the file, empty where the program has none for the line.
inline std::string FileOf(const Program& program, const SourceLine& line) {
  const bool known = line.file > 0 && static_cast<size_t>(line.file) < program.files.size();
  return known ? program.files[static_cast<size_t>(line.file)] : "";
}

// A fault of one lane, raised while an operation executes.
struct Fault {
  Finding finding;
  int lane;
  std::string message;
};

}  // namespace fire::simulator
