// Asynchronous copies, and the barriers in shared memory that they complete on.
#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {

void Decoder::DecodeCopy(Opcode& opcode, const std::vector<std::string>& operands) {
  if (!opcode.Take("async")) Refuse("unknown instruction");
  Op op;
  op.space = Space::kShared;
  if (opcode.Take("bulk")) {
    const std::string to = opcode.TakeAny({"shared::cluster", "shared::cta"});
    if (to.empty() || opcode.TakeAny({"global", "shared::cta"}).empty() ||
        !opcode.Take("mbarrier::complete_tx::bytes")) {
      Refuse("unknown instruction");
    }
    TakeCacheHints(opcode);
    const bool from_shared = WidthOf(operands.at(1).substr(1, operands[1].find_first_of("+]") - 1)) == 'w';
    op.vector[0] = WideAddress(operands.at(1));
    op.vector[1] = WideAddress(operands.at(3));
    if (from_shared) op.flags |= kSigned;
    op.b = Operand(operands.at(2), 'w');
    Address(operands.at(0), op);
    Emit(Step::kNext, CopyBulk, op);
  } else if (opcode.Take("commit_group")) {
    Emit(Step::kNext, CommitCopies);
  } else if (opcode.Take("wait_all")) {
    Emit(Step::kNext, CommitCopies);
    Emit(Step::kNext, WaitCopies);
  } else if (opcode.Take("wait_group")) {
    op.offset = static_cast<int64_t>(Immediate(operands.at(0), 'w'));
    Emit(Step::kNext, WaitCopies, op);
  } else {
    opcode.TakeAny({"ca", "cg"});
    if (opcode.TakeAny({"shared", "shared::cta"}).empty() || !opcode.Take("global")) Refuse("unknown instruction");
    TakeCacheHints(opcode);
    op.bytes = static_cast<uint8_t>(Immediate(operands.at(2), 'w'));
    if (op.bytes != 4 && op.bytes != 8 && op.bytes != 16) Refuse("a copy of this size");
    op.vector[0] = WideAddress(operands.at(1));
    op.b = operands.size() > 3 ? Operand(operands[3], 'w') : ConstantRow('w', op.bytes);
    Address(operands.at(0), op);
    Emit(Step::kNext, CopyAsync, op);
  }
}

void Decoder::DecodeMbarrier(Opcode& opcode, const std::vector<std::string>& operands) {
  Op op;
  op.space = Space::kShared;
  op.bytes = 8;
  const std::string what =
      opcode.TakeAny({"init", "inval", "arrive", "arrive_drop", "expect_tx", "test_wait", "try_wait"});
  const bool suspends = what == "try_wait", waits = suspends || what == "test_wait";
  const bool expects = opcode.Take("expect_tx");
  const bool parity = opcode.Take("parity");
  const bool relaxed = opcode.Take("relaxed");
  if (opcode.Take("noComplete")) op.extra |= kNoComplete;
  opcode.TakeAny({"release", "acquire"});
  if (opcode.TakeAny({"cta", "cluster"}) != "cluster") op.flags |= kCtaScope;
  opcode.TakeAny({"shared", "shared::cta", "shared::cluster"});
  opcode.Take("b64");
  if (!relaxed) op.flags |= waits ? kAcquire : kRelease;
  if (what != "init" && what != "inval") op.flags |= kStrong;
  if (what == "init") {
    Address(operands.at(0), op);
    op.b = Operand(operands.at(1), 'w');
    Emit(Step::kNext, BarrierInit, op);
  } else if (what == "inval") {
    Address(operands.at(0), op);
    Emit(Step::kNext, BarrierInvalidate, op);
  } else if (what == "expect_tx") {
    Address(operands.at(0), op);
    op.b = Operand(operands.at(1), 'w');
    op.extra |= kExpect | kNoArrival;
    Emit(Step::kNext, BarrierArrive, op);
  } else if (what == "arrive" || what == "arrive_drop") {
    if (what == "arrive_drop") op.extra |= kDrop;
    op.d = Destination(operands.at(0), 'l');
    Address(operands.at(1), op);
    if (operands.size() > 2) op.b = Operand(operands[2], 'w');
    if (expects) op.extra |= kExpect;
    if (!expects && operands.size() > 2) op.extra |= kArriveCount;
    Emit(Step::kNext, BarrierArrive, op);
  } else if (waits) {
    op.d = Destination(operands.at(0), 'p');
    Address(operands.at(1), op);
    op.b = Operand(operands.at(2), parity ? 'w' : 'l');
    op.extra = parity;
    Emit(suspends ? Step::kAwait : Step::kYield, BarrierTest, op);
  } else {
    Refuse("unknown instruction");
  }
}

}  // namespace fire::simulator
