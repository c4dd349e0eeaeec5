// Moves, and instructions that work across the lanes of a warp.
#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {

void Decoder::SplitPair(const std::string& text, std::string& first, std::string& second) const {
  const size_t bar = text.find('|');
  first = text::Trim(std::string_view(text).substr(0, bar));
  second = bar == std::string::npos ? "" : text::Trim(std::string_view(text).substr(bar + 1));
}

bool Decoder::DecodeWarp(Opcode& opcode, const std::vector<std::string>& operands) {
  const std::string& root = opcode.root();
  if (root == "mov") {
    const std::string type = opcode.TakeLast();
    const bool special = operands.at(1) == "%clock" || operands[1] == "%clock64" || operands[1] == "%globaltimer" ||
                         operands[1] == "%globaltimer_lo" || operands[1] == "%clock_hi";
    const bool packed = operands.at(0)[0] == '{' || operands[1][0] == '{';
    if (packed || special) {
      Op op;
      op.extra = static_cast<uint32_t>(text::TypeBytes(type));
      if (special) {
        const char width = op.extra == 8 ? 'l' : 'w';
        if (width == 'l') op.flags |= kWide;
        op.d = Destination(operands[0], width);
        Emit(Step::kNext, ReadClock, op);
      } else {
        DecodeMove(op, operands);
      }
      return true;
    }
    // The general path reads the rest; it needs the name back.
    const Choice* choice = nullptr;
    if (const auto found = Instructions().find("mov." + type); found != Instructions().end()) choice = &found->second;
    if (!choice) Refuse("unknown instruction");
    Op op;
    op.d = Destination(operands[0], choice->operands[0]);
    if (choice->operands[0] == 'p') {
      op.a = PredicateOperand(operands[1], op, kNegateA);
    } else {
      op.a = Operand(operands[1], choice->operands[1]);
    }
    Emit(Step::kNext, choice->execute, op);
    return true;
  }
  if (root == "shfl" || root == "vote" || root == "match" || root == "redux" || root == "elect") {
    if (!opcode.Take("sync")) Refuse("unknown instruction");
    DecodeGathered(opcode, operands);
    return true;
  }
  if (root == "activemask") {
    opcode.Take("b32");
    Op op;
    op.d = Destination(operands.at(0), 'w');
    Emit(Step::kNext, ActiveMask, op);
    return true;
  }
  return false;
}

// mov.b64 %rd, {%r1, %r2} and back.
void Decoder::DecodeMove(Op& op, const std::vector<std::string>& operands) {
  const bool unpack = operands[0][0] == '{';
  const std::string& list = operands[unpack ? 0 : 1];
  const std::vector<std::string> elements = text::SplitOperands(list.substr(1, list.size() - 2));
  op.count = static_cast<uint8_t>(elements.size());
  if ((op.count != 2 && op.count != 4) || op.extra % op.count) Refuse("unknown operands");
  op.bytes = static_cast<uint8_t>(op.extra / op.count);
  const char width = op.extra == 8 ? 'l' : 'w';
  if (width == 'l') op.flags |= kWide;
  for (size_t i = 0; i < elements.size(); ++i) {
    op.vector[i] = unpack ? Destination(elements[i], 'w') : Operand(elements[i], 'w');
  }
  if (unpack) {
    op.a = Operand(operands[1], width);
  } else {
    op.d = Destination(operands[0], width);
  }
  Emit(Step::kNext, unpack ? Unpack : Pack, op);
}

void Decoder::DecodeGathered(Opcode& opcode, const std::vector<std::string>& operands) {
  const std::string& root = opcode.root();
  Op op;
  Execute execute = nullptr;
  const std::string mode = opcode.TakeAny(
      {"up", "down", "bfly", "idx", "ballot", "any", "all", "uni", "add", "min", "max", "and", "or", "xor"});
  const std::string type = opcode.TakeLast();
  op.f = Operand(operands.back(), 'w');
  if (root == "shfl") {
    std::string value, inside;
    SplitPair(operands.at(0), value, inside);
    op.d = Destination(value, 'w');
    if (!inside.empty()) op.e = Destination(inside, 'p');
    op.a = Operand(operands.at(1), 'w');
    op.b = Operand(operands.at(2), 'w');
    op.c = Operand(operands.at(3), 'w');
    execute = FindShuffle(mode);
  } else if (root == "vote") {
    op.d = Destination(operands.at(0), mode == "ballot" ? 'w' : 'p');
    op.a = PredicateOperand(operands.at(1), op, kNegateA);
    execute = FindVote(mode);
  } else if (root == "match") {
    std::string value, all;
    SplitPair(operands.at(0), value, all);
    op.d = Destination(value, 'w');
    if (!all.empty()) op.e = Destination(all, 'p');
    op.a = Operand(operands.at(1), type == "b64" ? 'l' : 'w');
    execute = FindMatch(mode, type == "b64");
  } else if (root == "redux") {
    op.d = Destination(operands.at(0), 'w');
    op.a = Operand(operands.at(1), 'w');
    execute = FindRedux(mode, type);
  } else if (mode.empty()) {  // elect.sync %r|%p, mask
    std::string leader, elected;
    SplitPair(operands.at(0), leader, elected);
    op.d = Destination(leader, 'w');
    op.e = Destination(elected, 'p');
    execute = Elect;
  }
  if (!execute) Refuse("unknown instruction");
  Emit(Step::kTogether, execute, op);
}

}  // namespace fire::simulator
