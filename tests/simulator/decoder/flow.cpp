// Branches, calls and barriers.
#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {

bool Decoder::DecodeFlow(Opcode& opcode, const std::vector<std::string>& operands) {
  const std::string& root = opcode.root();
  if (root == "bra") {
    opcode.Take("uni");
    Emit(Step::kBranch, nullptr);
    branches_.emplace_back(program_->code.size() - 1, Local(operands.at(0)));
  } else if (root == "brx") {
    if (!opcode.Take("idx")) Refuse("unknown instruction");
    opcode.Take("uni");
    const uint32_t index = Operand(operands.at(0), 'w');
    Emit(Step::kTable, nullptr).b = index;
    tables_.emplace_back(program_->code.size() - 1, Local(operands.at(1)));
  } else if (root == "call") {
    DecodeCall(opcode, operands);
  } else if (root == "ret") {
    opcode.Take("uni");
    Emit(Step::kBranch, nullptr);
    branches_.emplace_back(program_->code.size() - 1, Local("return"));
  } else if (root == "exit") {
    Emit(Step::kExit, nullptr);
  } else if (root == "trap" || root == "brkpt") {
    Emit(Step::kTrap, nullptr);
  } else if (root == "bar" || (root == "barrier" && !opcode.Take("cluster"))) {
    DecodeBarrier(opcode, operands);
  } else if (root == "barrier") {
    DecodeClusterBarrier(opcode);
  } else if (root == "nanosleep") {
    opcode.Take("u32");
    Emit(Step::kYield, Nothing);
  } else if (root == "griddepcontrol") {  // launches run one after another: only who has waited is kept
    const bool waits = opcode.Take("wait");
    if (!waits && !opcode.Take("launch_dependents")) Refuse("unknown instruction");
    Emit(Step::kNext, waits ? AwaitPrior : Nothing);
  } else {
    return false;
  }
  return true;
}

Decoder::Callee& Decoder::FindCallee(const std::string& name) {
  if (const auto it = callees_.find(name); it != callees_.end()) return it->second;
  for (const text::Function& function : source_.functions) {
    if (function.name != name || function.entry) continue;
    Callee& callee = callees_[name];
    callee.return_row = NewRow('w');
    for (const text::Declaration& one : function.results) callee.results.push_back(PlaceLocal(one));
    for (const text::Declaration& one : function.parameters) callee.parameters.push_back(PlaceLocal(one));
    pending_.push_back(name);
    return callee;
  }
  Refuse("a call to " + name + ", which the module does not define");
}

// call.uni (result), function, (arguments): all three are names. Arguments are copied to the function's own memory.
void Decoder::DecodeCall(Opcode& opcode, std::vector<std::string> operands) {
  opcode.Take("uni");
  const auto list = [](const std::string& text) { return text::SplitOperands(text.substr(1, text.size() - 2)); };
  std::vector<std::string> results, arguments;
  if (!operands.empty() && operands[0][0] == '(') {
    results = list(operands[0]);
    operands.erase(operands.begin());
  }
  if (operands.empty() || operands.size() > 2) Refuse("an indirect call");
  if (operands.size() == 2) arguments = list(operands[1]);
  Callee& callee = FindCallee(operands[0]);
  if (!in_kernel_) callees_.at(function_->name).calls.insert(operands[0]);
  if (results.size() != callee.results.size() || arguments.size() != callee.parameters.size()) {
    Refuse("a call whose arguments are not those of the function");
  }
  const auto copy = [&](const Symbol& to, const Symbol& from) {
    Op& op = Emit(Step::kNext, CopyLocal);
    op.d = static_cast<uint32_t>(to.address);
    op.a = static_cast<uint32_t>(from.address);
    op.e = static_cast<uint32_t>(to.size);
  };
  const auto find = [&](const std::string& name) {
    const Symbol* symbol = FindSymbol(name);
    if (!symbol || symbol->space != Space::kLocal) Refuse("argument '" + name + "' is not known");
    return *symbol;
  };
  for (size_t i = 0; i < arguments.size(); ++i) copy(callee.parameters[i], find(arguments[i]));
  Emit(Step::kCall, nullptr).d = callee.return_row;
  calls_.emplace_back(program_->code.size() - 1, operands[0]);
  for (size_t i = 0; i < results.size(); ++i) copy(find(results[i]), callee.results[i]);
}

// Each function has one set of registers a thread, so none may run inside itself.
void Decoder::RefuseRecursion() const {
  for (const auto& [name, callee] : callees_) {
    std::set<std::string> seen;
    std::vector<std::string> next(callee.calls.begin(), callee.calls.end());
    while (!next.empty()) {
      const std::string one = next.back();
      next.pop_back();
      if (one == name) Refuse("function " + name + " calls itself");
      if (!seen.insert(one).second) continue;
      const auto& more = callees_.at(one).calls;
      next.insert(next.end(), more.begin(), more.end());
    }
  }
}

void Decoder::ResolveLabels() {
  const auto find = [&](const std::string& label) {
    const auto it = labels_.find(label);
    if (it == labels_.end()) Refuse("label " + label + " is not known");
    return it->second;
  };
  for (const auto& [at, label] : branches_) program_->code[at].target = find(label);
  for (const auto& [at, name] : calls_) program_->code[at].target = callees_.at(name).begin;
  for (const auto& [at, name] : tables_) {
    const auto list = target_lists_.find(name);
    if (list == target_lists_.end()) Refuse("brx.idx without its .branchtargets");
    const std::string function = name.substr(0, name.find(' ') + 1);
    program_->code[at].extra = static_cast<uint32_t>(program_->tables.size());
    program_->tables.emplace_back();
    for (const std::string& label : list->second) program_->tables.back().push_back(find(function + label));
  }
}

void Decoder::DecodeBarrier(Opcode& opcode, const std::vector<std::string>& operands) {
  const bool bar = opcode.root() == "bar";
  opcode.Take("cta");
  if (opcode.Take("warp")) {
    if (!opcode.Take("sync")) Refuse("unknown instruction");
    const uint32_t mask = Operand(operands.at(0), 'w');
    Emit(Step::kConverge, nullptr).f = mask;
    return;
  }
  const bool aligned = opcode.Take("aligned") || bar;
  const std::string how = opcode.TakeAny({"sync", "arrive", "red"});
  if (how.empty()) Refuse("unknown instruction");
  Op op;
  op.flags = aligned ? kAligned : 0;
  size_t next = 0;
  if (how == "red") {
    const std::string vote = opcode.TakeAny({"popc", "and", "or"});
    op.barrier = vote == "popc" ? BarrierKind::kPopc : vote == "and" ? BarrierKind::kAnd : BarrierKind::kOr;
    if (opcode.TakeAny({"u32", "pred"}).empty() || vote.empty()) Refuse("unknown instruction");
    op.d = Destination(operands.at(next++), vote == "popc" ? 'w' : 'p');
  } else {
    op.barrier = how == "arrive" ? BarrierKind::kArrive : BarrierKind::kSync;
  }
  op.a = Operand(operands.at(next++), 'w');
  const size_t left = operands.size() - next - (how == "red");
  if (left == 1) {
    op.flags |= kHasCount;
    op.b = Operand(operands.at(next++), 'w');
  }
  if (how == "red") op.c = PredicateOperand(operands.at(next++), op, kNegateC);
  if (next != operands.size() || (how == "arrive" && left != 1)) Refuse("unknown operands");
  Emit(Step::kBarrier, nullptr, op);
}

void Decoder::DecodeClusterBarrier(Opcode& opcode) {
  const std::string how = opcode.TakeAny({"arrive", "wait"});
  if (how.empty()) Refuse("unknown instruction");
  const bool aligned = opcode.Take("aligned");
  Op& op = Emit(how == "arrive" ? Step::kClusterArrive : Step::kClusterWait, nullptr);
  if (aligned) op.flags |= kAligned;
  if (how == "wait") {
    opcode.Take("acquire");
    op.flags |= kAcquire;
  } else if (!opcode.Take("relaxed")) {
    opcode.Take("release");
    op.flags |= kRelease;
  }
}

}  // namespace fire::simulator
