#include "tests/gates/latency/instruction.h"

#include <algorithm>
#include <map>
#include <stdexcept>

namespace fire::latency {
namespace {

struct Cost {
  const char* begins;  // the opcode does so; of several the first counts
  Kind kind;
  Unit unit;
  int slots, latency;
};

// Latencies: 4 cycles of arithmetic, 29 of a shared load and 180 of a peer's (arXiv:2402.13499, H100), a cycle more for
// what is not modelled; the others are assumed. An operation on 64 bits is as many on 32 as ptxas makes of it, a
// division the sequence of its code.
constexpr Cost kCosts[] = {
    {"ld.param", Kind::kFree, Unit::kNone, 0, 0},
    {"cvta", Kind::kFree, Unit::kNone, 0, 0},
    {"mov.b64", Kind::kFree, Unit::kNone, 0, 0},
    {"mov", Kind::kFree, Unit::kNone, 0, 0},
    {"not.pred", Kind::kFree, Unit::kNone, 0, 0},
    {"neg.f32", Kind::kFree, Unit::kNone, 0, 0},
    {"abs.f32", Kind::kFree, Unit::kNone, 0, 0},
    {"cvt.u64.u", Kind::kFree, Unit::kNone, 0, 0},
    {"cvt.u32.u", Kind::kFree, Unit::kNone, 0, 0},
    {"cvt.u16.u", Kind::kFree, Unit::kNone, 0, 0},
    {"cvt.s64.s", Kind::kPlain, Unit::kAlu, 1, 5},
    {"cvt.s32.s", Kind::kPlain, Unit::kAlu, 1, 5},
    {"cvt.rn.bf16x2", Kind::kPlain, Unit::kAlu, 1, 5},
    {"cvt.rn.f16x2", Kind::kPlain, Unit::kAlu, 1, 5},
    {"cvt.sat.f32.f32", Kind::kPlain, Unit::kFma, 1, 5},
    {"cvt.f32.f16", Kind::kPlain, Unit::kFma, 1, 5},
    {"cvt", Kind::kPlain, Unit::kConversion, 1, 18},
    {"popc", Kind::kPlain, Unit::kConversion, 1, 18},
    {"clz", Kind::kPlain, Unit::kConversion, 1, 18},
    {"bfind", Kind::kPlain, Unit::kConversion, 1, 18},
    {"lg2", Kind::kPlain, Unit::kConversion, 1, 18},
    {"ex2", Kind::kPlain, Unit::kConversion, 1, 18},
    {"rcp.approx", Kind::kPlain, Unit::kConversion, 1, 18},
    {"div.u32", Kind::kPlain, Unit::kNone, 18, 85},
    {"div.s32", Kind::kPlain, Unit::kNone, 18, 85},
    {"rem.u32", Kind::kPlain, Unit::kNone, 18, 85},
    {"div.u64", Kind::kPlain, Unit::kNone, 70, 300},
    {"div.rn.f32", Kind::kPlain, Unit::kNone, 12, 60},
    {"rcp.rn.f32", Kind::kPlain, Unit::kNone, 8, 40},
    {"setp.eq.s64", Kind::kPlain, Unit::kAlu, 2, 13},
    {"setp.ne.s64", Kind::kPlain, Unit::kAlu, 2, 13},
    {"setp", Kind::kPlain, Unit::kAlu, 1, 9},
    {"and.pred", Kind::kPlain, Unit::kAlu, 1, 9},
    {"or.pred", Kind::kPlain, Unit::kAlu, 1, 9},
    {"xor.pred", Kind::kPlain, Unit::kAlu, 1, 9},
    {"fma", Kind::kPlain, Unit::kFma, 1, 5},
    {"mul.lo.s64", Kind::kPlain, Unit::kImad, 4, 14},
    {"mul.lo.u64", Kind::kPlain, Unit::kImad, 4, 14},
    {"mul.hi.u64", Kind::kPlain, Unit::kImad, 10, 30},
    {"mul.wide", Kind::kPlain, Unit::kImad, 1, 5},
    {"mul.lo", Kind::kPlain, Unit::kImad, 1, 5},
    {"mul.hi", Kind::kPlain, Unit::kImad, 1, 5},
    {"mad", Kind::kPlain, Unit::kImad, 1, 5},
    {"mul.rn.f32", Kind::kPlain, Unit::kFma, 1, 5},
    {"mul.f32", Kind::kPlain, Unit::kFma, 1, 5},
    {"shfl", Kind::kPlain, Unit::kShared, 1, 24},
    {"redux", Kind::kPlain, Unit::kShared, 1, 24},
    {"vote", Kind::kPlain, Unit::kAlu, 1, 14},
    {"match", Kind::kPlain, Unit::kShared, 1, 24},
    {"activemask", Kind::kPlain, Unit::kAlu, 1, 14},
    {"mapa", Kind::kPlain, Unit::kAlu, 1, 12},
    {"ld.shared::cluster", Kind::kLoad, Unit::kShared, 1, 181},
    {"ld.shared", Kind::kLoad, Unit::kShared, 1, 30},
    {"ld.local", Kind::kLoad, Unit::kShared, 1, 40},
    {"ld.", Kind::kGlobalLoad, Unit::kShared, 1, 30},  // generic ones too, which may find shared memory
    {"atom.shared", Kind::kLoad, Unit::kShared, 1, 64},
    {"st.async", Kind::kSend, Unit::kShared, 1, 0},
    {"st.", Kind::kStore, Unit::kShared, 1, 0},
    {"mbarrier.init", Kind::kStore, Unit::kShared, 1, 0},
    {"mbarrier.arrive", Kind::kArrive, Unit::kShared, 1, 0},
    {"mbarrier.expect_tx", Kind::kArrive, Unit::kShared, 1, 0},
    {"mbarrier.try_wait", Kind::kAwait, Unit::kNone, 1, 24},
    {"fence.mbarrier_init", Kind::kPlain, Unit::kNone, 1, 0},
    {"prefetch", Kind::kPrefetch, Unit::kShared, 1, 0},
    {"griddepcontrol", Kind::kPlain, Unit::kNone, 1, 0},
    {"bar.warp", Kind::kPlain, Unit::kNone, 1, 0},
    {"bra", Kind::kBranch, Unit::kNone, 1, 0},
    {"brx", Kind::kBranch, Unit::kNone, 1, 0},
    {"call", Kind::kBranch, Unit::kNone, 1, 0},
    {"ret", Kind::kBranch, Unit::kNone, 1, 0},
    {"bar.sync", Kind::kBarrier, Unit::kNone, 1, 24},
    {"bar.red", Kind::kBarrier, Unit::kNone, 1, 34},
    {"barrier.cluster.arrive", Kind::kClusterArrive, Unit::kNone, 1, 0},
    {"barrier.cluster.wait", Kind::kClusterWait, Unit::kNone, 1, 0},
    {"exit", Kind::kEnd, Unit::kNone, 1, 0},
};
// On two registers where the type has 64 bits, on one otherwise.
constexpr const char* kInteger[] = {"add", "sub", "neg", "and", "or",  "xor", "not", "selp",
                                    "min", "max", "shl", "shr", "bfi", "bfe", "prmt"};
constexpr Cost kAlu = {"", Kind::kPlain, Unit::kAlu, 1, 5}, kWide = {"", Kind::kPlain, Unit::kAlu, 2, 7},
               kWideShift = {"", Kind::kPlain, Unit::kAlu, 3, 10}, kFloat = {"", Kind::kPlain, Unit::kFma, 1, 5},
               kWidePredicate = {"", Kind::kPlain, Unit::kAlu, 2, 13},
               kSpecial = {"", Kind::kPlain, Unit::kNone, 1, 20}, kNothing = {"", Kind::kFree, Unit::kNone, 0, 0};

bool Begins(const std::string& text, const std::string& with) { return text.rfind(with, 0) == 0; }
bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

Cost CostOf(const std::string& opcode, const std::string& operands) {
  const bool is_wide = Has(opcode, "64");
  if (Begins(opcode, "mov") && (Has(operands, "%tid") || Has(operands, "%cta") || Has(operands, "%cluster") ||
                                Has(operands, "%ntid") || Has(operands, "%nct"))) {
    return kSpecial;
  }
  if (Begins(opcode, "setp") && is_wide) return kWidePredicate;
  for (const Cost& cost : kCosts) {
    if (Begins(opcode, cost.begins)) return cost;
  }
  for (const char* name : kInteger) {
    if (!Begins(opcode, std::string(name) + ".")) continue;
    const bool is_shift = Begins(opcode, "sh") || Begins(opcode, "bf");
    const bool is_sum = Begins(opcode, "add") || Begins(opcode, "sub");
    if (is_sum && Has(opcode, "f32")) return kFloat;
    return !is_wide ? kAlu : is_shift ? kWideShift : kWide;
  }
  throw std::invalid_argument("tests/gates/latency/instruction.cpp knows no cost of " + opcode + " " + operands);
}

// By a lane: v4.u32 is 16.
int BytesOf(const std::string& opcode) {
  const int count = Has(opcode, ".v4.") ? 4 : Has(opcode, ".v2.") ? 2 : 1;
  for (const int bits : {64, 32, 16, 8}) {
    if (Has(opcode.substr(opcode.rfind('.')), std::to_string(bits).c_str())) return count * bits / 8;
  }
  return count * 4;
}

// Cycles that an instruction of 32 lanes keeps its unit: 64 lanes a clock of integers, 128 of floats, 16 of conversions
// and 32 of shuffles are the table "Arithmetic Instructions" of the CUDA programming guide; shared memory has 128 bytes
// a clock.
int BusyOf(const Cost& cost, const std::string& opcode) {
  switch (cost.unit) {
    case Unit::kAlu:
    case Unit::kImad:
      return 2 * cost.slots;
    case Unit::kConversion:
      return 8;
    case Unit::kShared:
      if (Begins(opcode, "redux")) return 2;
      return cost.kind == Kind::kPlain || cost.kind == Kind::kPrefetch ? 1 : std::max(1, BytesOf(opcode) / 4);
    default:
      return cost.slots;
  }
}

class Registers {
 public:
  // Numbers of the names in it.
  void Find(const std::string& text, std::vector<int>& into) {
    for (size_t at = 0; at < text.size();) {
      const auto is_part = [&](size_t i) {
        const char c = text[i];
        return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%';
      };
      size_t end = at;
      while (end < text.size() && is_part(end)) ++end;
      if (end > at && !std::isdigit(static_cast<unsigned char>(text[at]))) {
        into.push_back(numbers_.try_emplace(text.substr(at, end - at), count()).first->second);
      }
      at = end + 1;
    }
  }
  int count() const { return static_cast<int>(numbers_.size()); }

 private:
  std::map<std::string, int> numbers_;
};

// The first operand, with all of a vector.
size_t EndOfFirst(const std::string& operands) {
  return operands.find(',', !operands.empty() && operands[0] == '{' ? operands.find('}') : 0);
}

Instruction CostsOfOne(std::string text, Registers& registers) {
  Instruction one;
  one.kind = Kind::kFree;
  const auto trim = [&text] {
    const size_t begin = text.find_first_not_of(" \t");
    text = begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of("; \t") + 1 - begin);
  };
  trim();
  if (text.empty()) return one;
  std::string guard;
  if (text[0] == '@') {
    const size_t end = text.find_first_of(" \t");
    guard = text.substr(text[1] == '!' ? 2 : 1, end - (text[1] == '!' ? 2 : 1));
    text = text.substr(end);
    trim();
  }
  const size_t space = std::min(text.find_first_of(" \t"), text.size());
  const std::string opcode = text.substr(0, space);
  text = text.substr(space);
  trim();
  const Cost cost = CostOf(opcode, text);
  if (cost.kind == Kind::kBarrier && Has(opcode, "sync") && Has(text, ",")) {
    throw std::invalid_argument("tests/gates/latency knows only barriers of a whole block: " + opcode + " " + text);
  }
  one.kind = cost.kind, one.unit = cost.unit, one.slots = cost.slots;
  one.busy = BusyOf(cost, opcode);
  one.latency = cost.latency + std::max(0, cost.slots - 1);
  if (cost.unit == Unit::kShared) one.latency = cost.latency + one.busy - 1;
  if (cost.kind == Kind::kGlobalLoad) one.bytes = BytesOf(opcode);
  if (cost.kind == Kind::kPrefetch) one.bytes = 128;
  one.orders = one.IsStore() || cost.kind == Kind::kLoad || (cost.kind == Kind::kGlobalLoad && !Has(opcode, ".nc"));
  one.is_relaxed = Has(opcode, "relaxed");
  const bool writes = cost.kind <= Kind::kGlobalLoad || cost.kind == Kind::kAwait || Begins(opcode, "bar.red");
  const size_t first = writes ? std::min(EndOfFirst(text), text.size()) : 0;
  if (writes) registers.Find(text.substr(0, first), one.writes);
  if (cost.kind != Kind::kBranch) registers.Find(text.substr(first), one.reads);
  if (!guard.empty()) {
    registers.Find(guard, one.reads);
    one.reads.insert(one.reads.end(), one.writes.begin(), one.writes.end());  // kept where the guard says no
  }
  return one;
}

}  // namespace

Code CostsOf(const std::vector<simulator::LaunchTrace::Instruction>& code) {
  Code costs;
  Registers registers;
  for (const auto& one : code) costs.instructions.push_back(CostsOfOne(one.text, registers));
  costs.registers = registers.count();
  return costs;
}

}  // namespace fire::latency
