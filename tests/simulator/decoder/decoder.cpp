// Functions, declarations, and instructions by their names.
#include "tests/simulator/decoder/decoder.h"

#include <algorithm>
#include <cstdlib>

namespace fire::simulator {
Opcode::Opcode(const std::string& text) {
  size_t dot = text.find('.');
  root_ = text.substr(0, dot);
  while (dot != std::string::npos) {
    const size_t next = text.find('.', dot + 1);
    modifiers_.push_back(text.substr(dot + 1, next == std::string::npos ? next : next - dot - 1));
    dot = next;
  }
}

bool Opcode::Take(std::string_view modifier) {
  const auto at = std::find(modifiers_.begin(), modifiers_.end(), modifier);
  if (at == modifiers_.end()) return false;
  modifiers_.erase(at);
  return true;
}

std::string Opcode::TakeAny(std::initializer_list<std::string_view> modifiers) {
  for (std::string_view one : modifiers) {
    if (Take(one)) return std::string(one);
  }
  return "";
}

std::string Opcode::TakeLast() {
  if (modifiers_.empty()) return "";
  std::string last = modifiers_.back();
  modifiers_.pop_back();
  return last;
}

namespace {

// These take the low part of a register wider than their source type. PTX manual: "Operand Size Exceeding
// Instruction-Type Size".
bool ConvertsInteger(const std::string& name) {
  const char kind = name[name.rfind('.') + 1];
  return name.substr(0, 4) == "cvt." && (kind == 's' || kind == 'u');
}

}  // namespace

std::unique_ptr<SimulationError> MakeError(const Program& program, const SourceLine* line, Finding finding,
                                           const std::string& message) {
  Report report;
  report.finding = finding;
  report.kernel = program.info.name;
  report.message = message;
  if (line) {
    report.instruction = line->text;
    report.line = line->line;
    report.file = FileOf(program, *line);
  }
  return std::make_unique<SimulationError>(std::vector<Report>{report});
}

Decoder::Decoder(const text::Source& source, const std::map<std::string, Variable>& variables)
    : source_(source), variables_(variables), program_(std::make_unique<Program>()) {}

void Decoder::Refuse(const std::string& why) const {
  SourceLine line;
  if (statement_) line = {statement_->text, statement_->file, statement_->line};
  throw *MakeError(*program_, &line, Finding::kUnknownInstruction, why);
}

std::unique_ptr<Program> Decoder::Run(const text::Function& kernel) {
  program_->files = source_.files;
  program_->info.name = kernel.name;
  LayOutParameters(kernel);
  DecodeFunction(kernel, nullptr);
  in_kernel_ = false;
  while (!pending_.empty()) {
    const std::string name = pending_.back();
    pending_.pop_back();
    for (const text::Function& function : source_.functions) {
      if (function.name == name) DecodeFunction(function, &callees_.at(name));
    }
  }
  RefuseRecursion();
  ResolveLabels();
  PlaceDynamicShared();
  program_->info.local = RoundUp(program_->info.local, 16);
  ++program_->predicates;  // the condition code of carry chains
  FindConvergence(*program_);
  return std::move(program_);
}

void Decoder::LayOutParameters(const text::Function& kernel) {
  scopes_.emplace_back();
  size_t end = 0;
  for (const text::Declaration& one : kernel.parameters) {
    end = RoundUp(end, one.align);
    scopes_.back().symbols[one.name] = {Space::kParameter, end, one.size};
    program_->info.parameters.push_back({end, one.size});
    end += one.size;
  }
  program_->parameter_bytes = static_cast<uint32_t>(end);
}

void Decoder::DecodeFunction(const text::Function& function, Callee* callee) {
  function_ = &function;
  if (callee) {
    callee->begin = static_cast<int32_t>(program_->code.size());
    return_row_ = callee->return_row;
    scopes_.assign(1, {});
    for (size_t i = 0; i < function.results.size(); ++i) {
      scopes_.back().symbols[function.results[i].name] = callee->results[i];
    }
    for (size_t i = 0; i < function.parameters.size(); ++i) {
      scopes_.back().symbols[function.parameters[i].name] = callee->parameters[i];
    }
  }
  labels_[Local("return")] = -1;
  for (const text::Statement& statement : function.body) {
    statement_ = &statement;
    switch (statement.kind) {
      case text::Statement::kOpen:
        scopes_.emplace_back();
        break;
      case text::Statement::kClose:
        scopes_.pop_back();
        break;
      case text::Statement::kLabel:
        last_label_ = statement.text;
        labels_[Local(statement.text)] = static_cast<int32_t>(program_->code.size());
        break;
      case text::Statement::kDirective:
        Directive(statement.text);
        break;
      case text::Statement::kInstruction:
        Instruction(statement);
        break;
    }
  }
  // One way out, where lanes that return from different places meet again.
  guard_ = -1, negate_guard_ = false;
  labels_[Local("return")] = static_cast<int32_t>(program_->code.size());
  Op& last = Emit(callee ? Step::kReturn : Step::kExit, nullptr);
  last.a = return_row_;
}

std::string Decoder::Local(const std::string& label) const { return function_->name + " " + label; }

void Decoder::Directive(const std::string& text) {
  std::string_view rest = text;
  const std::string word = text.substr(0, text.find(' '));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  if (word == ".reg") {
    DeclareRegisters(rest);
  } else if (word == ".local" || word == ".param") {
    const text::Declaration one = text::ReadDeclaration(rest);
    scopes_.back().symbols[one.name] = PlaceLocal(one);
  } else if (word == ".shared") {
    const text::Declaration one = text::ReadDeclaration(rest);
    scopes_.back().symbols[one.name] = PlaceShared(one);
  } else if (word == ".branchtargets") {
    target_lists_[Local(last_label_)] = text::SplitOperands(rest);
  } else if (word == ".pragma") {  // of a load: which of its bytes are used; the others may hold anything
    const size_t mask = text.find("used_bytes_mask");
    if (mask != std::string::npos) used_bytes_ = static_cast<uint32_t>(std::strtoul(&text[mask + 15], nullptr, 0));
  } else {
    Refuse("unknown directive");
  }
}

void Decoder::DeclareRegisters(std::string_view text) {
  const std::string type(text.substr(1, text.find(' ') - 1));
  const size_t bytes = text::TypeBytes(type);
  if (bytes == 0 || bytes > 8) Refuse("registers of type " + type + " are not known");
  const char width = type == "pred" ? 'p' : bytes == 8 ? 'l' : 'w';
  for (const std::string& one : text::SplitOperands(text.substr(type.size() + 1))) {
    const size_t open = one.find('<');
    const int count = open == std::string::npos ? 1 : std::atoi(one.c_str() + open + 1);
    for (int i = 0; i < count; ++i) {
      const std::string name = open == std::string::npos ? one : one.substr(0, open) + std::to_string(i);
      scopes_.back().registers[name] = {width, NewRow(width)};
    }
  }
}

Op& Decoder::Emit(Step step, Execute execute, Op op) {
  op.step = step;
  op.execute = execute;
  op.guard = guard_;
  op.negate_guard = negate_guard_;
  op.source = static_cast<uint32_t>(program_->sources.size()) - 1;
  program_->code.push_back(op);
  return program_->code.back();
}

void Decoder::Instruction(const text::Statement& statement) {
  program_->sources.push_back({statement.text, statement.file, statement.line});
  std::string_view rest = statement.text;
  guard_ = -1, negate_guard_ = false;
  if (rest[0] == '@') {
    negate_guard_ = rest[1] == '!';
    const size_t space = rest.find(' ');
    guard_ = static_cast<int32_t>(Operand(std::string(rest.substr(1 + negate_guard_, space - 1 - negate_guard_)), 'p'));
    rest = text::Trim(rest.substr(space));
  }
  const uint32_t used_bytes = used_bytes_;
  used_bytes_ = ~0u;
  const size_t space = rest.find(' ');
  const std::string name(rest.substr(0, space));
  const std::vector<std::string> operands =
      space == std::string::npos ? std::vector<std::string>() : text::SplitOperands(rest.substr(space));
  Opcode opcode(name);
  if (DecodeFlow(opcode, operands) || DecodeMemory(opcode, operands) || DecodeWarp(opcode, operands)) {
    if (!opcode.Empty()) Refuse("unknown instruction");
    if (opcode.root() == "ld") program_->code.back().extra = used_bytes;
    return;
  }
  const auto found = Instructions().find(name);
  if (found == Instructions().end()) Refuse("unknown instruction");
  const Choice& choice = found->second;
  if (operands.size() != std::string_view(choice.operands).size()) Refuse("unknown operands");
  Op op;
  uint32_t* const to[] = {&op.d, &op.a, &op.b, &op.c, &op.f};
  for (size_t i = 0; i < operands.size(); ++i) {
    const char width = choice.operands[i];
    if (i == 0) {
      std::string first = operands[0], second;
      if (width == 'p') SplitPair(operands[0], first, second);
      op.d = Destination(first, width);
      if (!second.empty()) op.e = Destination(second, 'p');
    } else if (width == 'i') {
      op.extra = static_cast<uint32_t>(Immediate(operands[i], 'w'));
    } else if (width == 'p') {
      *to[i] = PredicateOperand(operands[i], op, i == 1 ? kNegateA : kNegateC);
    } else if (width == 'w' && WidthOf(operands[i]) == 'l' && ConvertsInteger(name)) {
      *to[i] = LowWord(operands[i]);
    } else {
      *to[i] = Operand(operands[i], width);
    }
  }
  Emit(Step::kNext, choice.execute, op);
}

}  // namespace fire::simulator
