// From statements to operations: registers get rows, names get addresses, branches get targets.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/simulator/decoder/program.h"
#include "tests/simulator/decoder/ptx_text.h"
#include "tests/simulator/instructions/instructions.h"

namespace fire::simulator {

// "ld.global.nc.v4.u32" as a root and modifiers, which the decoder takes off one by one. What is left over is unknown.
class Opcode {
 public:
  explicit Opcode(const std::string& text);
  const std::string& root() const { return root_; }
  bool Take(std::string_view modifier);
  std::string TakeAny(std::initializer_list<std::string_view> modifiers);  // the first that is there, or ""
  std::string TakeLast();
  bool Empty() const { return modifiers_.empty(); }

 private:
  std::string root_;
  std::vector<std::string> modifiers_;
};

class Decoder {
 public:
  Decoder(const text::Source& source, const std::map<std::string, Variable>& variables);
  std::unique_ptr<Program> Run(const text::Function& kernel);  // throws SimulationError

 private:
  struct Register {
    char width;  // p, w, l as in Choice
    uint32_t at;
  };
  struct Symbol {
    Space space = Space::kLocal;
    uint64_t address = 0;
    size_t size = 0;
    bool dynamic = false;  // dynamic shared memory, whose address is known once all static memory is placed
  };
  struct Scope {
    std::unordered_map<std::string, Register> registers;
    std::unordered_map<std::string, Symbol> symbols;
  };
  struct Callee {
    int32_t begin = -1;
    uint32_t return_row = kNone;
    std::vector<Symbol> results, parameters;
    std::set<std::string> calls;
  };

  // decoder.cpp: functions and declarations; operands.cpp: operands
  [[noreturn]] void Refuse(const std::string& why) const;
  void DecodeFunction(const text::Function& function, Callee* callee);
  void LayOutParameters(const text::Function& kernel);
  void Directive(const std::string& text);
  void DeclareRegisters(std::string_view text);
  std::string Local(const std::string& label) const;  // labels are local to a function
  Callee& FindCallee(const std::string& name);
  void RefuseRecursion() const;
  void Instruction(const text::Statement& statement);
  void ResolveLabels();
  Symbol PlaceLocal(const text::Declaration& declaration);
  Symbol PlaceShared(const text::Declaration& declaration);
  uint32_t NewRow(char width);
  uint32_t SymbolRow(const Symbol& symbol, char width);
  void PlaceDynamicShared();
  uint32_t ConstantRow(char width, uint64_t value);
  const Register* FindRegister(const std::string& name) const;
  const Symbol* FindSymbol(const std::string& name);
  uint32_t Operand(const std::string& text, char width);
  uint32_t LowWord(const std::string& text);                  // of a 64-bit register, in a row of its own
  uint32_t Destination(const std::string& text, char width);  // kNone for '_'
  uint32_t PredicateOperand(std::string text, Op& op, OpFlag negated);
  uint64_t Immediate(const std::string& text, char width) const;
  bool IsImmediate(const std::string& text) const;
  char WidthOf(const std::string& text) const;  // of a register; 0 for anything else
  Op& Emit(Step step, Execute execute, Op op = {});

  // flow.cpp: branches, calls, barriers
  bool DecodeFlow(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeCall(Opcode& opcode, std::vector<std::string> operands);
  void DecodeBarrier(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeClusterBarrier(Opcode& opcode);

  // memory.cpp: what has an address
  bool DecodeMemory(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeLoad(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeStore(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeAtomic(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeAddressConversion(Opcode& opcode, const std::vector<std::string>& operands);
  Space TakeSpace(Opcode& opcode);
  void TakeOrder(Opcode& opcode, Op& op);
  void TakeCacheHints(Opcode& opcode);
  void Address(const std::string& text, Op& op);
  uint32_t WideAddress(const std::string& text);  // a second address, as one 64-bit row
  void Elements(const std::string& text, Op& op, bool destination);

  // async.cpp: what completes later
  void DecodeCopy(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeMbarrier(Opcode& opcode, const std::vector<std::string>& operands);

  // warp.cpp: between lanes, and moves
  bool DecodeWarp(Opcode& opcode, const std::vector<std::string>& operands);
  void DecodeMove(Op& op, const std::vector<std::string>& operands);
  void DecodeGathered(Opcode& opcode, const std::vector<std::string>& operands);
  void SplitPair(const std::string& text, std::string& first, std::string& second) const;  // "%r1|%p1"

  const text::Source& source_;
  const std::map<std::string, Variable>& variables_;
  std::unique_ptr<Program> program_;
  std::vector<Scope> scopes_;
  bool in_kernel_ = true;
  uint32_t return_row_ = kNone;
  std::map<std::pair<char, uint64_t>, uint32_t> constants_;
  std::map<std::string, uint32_t> specials_;
  std::map<std::string, Symbol> module_shared_;
  std::map<std::string, Callee> callees_;
  std::vector<std::string> pending_;  // functions called but not decoded yet
  std::vector<std::pair<uint32_t, char>> dynamic_rows_;
  size_t dynamic_align_ = 16;
  std::string last_label_;
  std::map<std::string, int32_t> labels_;
  std::vector<std::pair<size_t, std::string>> branches_;  // operation -> label
  std::vector<std::pair<size_t, std::string>> calls_;     // operation -> function
  std::vector<std::pair<size_t, std::string>> tables_;    // brx.idx -> name of its list
  std::map<std::string, std::vector<std::string>> target_lists_;
  const text::Function* function_ = nullptr;
  const text::Statement* statement_ = nullptr;
  int32_t guard_ = -1;
  bool negate_guard_ = false;
  uint32_t used_bytes_ = ~0u;
};

constexpr size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Fills in where diverged lanes meet again: the nearest point every way from the branch leads through.
void FindConvergence(Program& program);

std::unique_ptr<SimulationError> MakeError(const Program& program, const SourceLine* line, Finding finding,
                                           const std::string& message);

}  // namespace fire::simulator
