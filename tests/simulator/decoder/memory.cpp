// What has an address: loads, stores, atomics, fences, conversions between spaces.
#include "tests/simulator/decoder/decoder.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {

Space Decoder::TakeSpace(Opcode& opcode) {
  if (!opcode.TakeAny({"global"}).empty()) return Space::kGlobal;
  if (!opcode.TakeAny({"shared", "shared::cta", "shared::cluster"}).empty()) return Space::kShared;
  if (opcode.Take("local")) return Space::kLocal;
  if (opcode.Take("const")) return Space::kConstant;
  if (!opcode.TakeAny({"param", "param::entry", "param::func"}).empty()) {
    return in_kernel_ ? Space::kParameter : Space::kLocal;
  }
  return Space::kGeneric;
}

void Decoder::TakeOrder(Opcode& opcode, Op& op) {
  if (opcode.Take("volatile") || opcode.Take("relaxed") || opcode.Take("mmio")) op.flags |= kStrong;
  if (opcode.Take("acquire")) op.flags |= kStrong | kAcquire;
  if (opcode.Take("release")) op.flags |= kStrong | kRelease;
  if (opcode.Take("acq_rel")) op.flags |= kStrong | kAcquire | kRelease;
  opcode.Take("weak");
  if (opcode.TakeAny({"cta", "cluster", "gpu", "sys"}) == "cta") op.flags |= kCtaScope;
}

void Decoder::TakeCacheHints(Opcode& opcode) {
  opcode.TakeAny({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  opcode.TakeAny({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  opcode.TakeAny({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
  opcode.Take("L2::cache_hint");
  opcode.TakeAny({"L2::64B", "L2::128B", "L2::256B"});
}

// [register+n], [symbol+n], [n].
void Decoder::Address(const std::string& text, Op& op) {
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') Refuse("'" + text + "' is no address");
  const std::string inside(text::Trim(std::string_view(text).substr(1, text.size() - 2)));
  const size_t plus = inside.find('+');
  const std::string base(text::Trim(inside.substr(0, plus)));
  if (plus != std::string::npos) {
    op.offset = static_cast<int64_t>(Immediate(std::string(text::Trim(inside.substr(plus + 1))), 'l'));
  }
  const char width = WidthOf(base);
  if (width == 'w') op.flags |= kAddress32;
  if (!width && !IsImmediate(base)) {  // a symbol; a function's parameters lie in local memory
    const Symbol* symbol = FindSymbol(base);
    if (!symbol) Refuse("'" + base + "' is not known");
    if (op.space == Space::kParameter) op.space = symbol->space;
  }
  op.a = Operand(base, width == 'w' ? 'w' : 'l');
}

uint32_t Decoder::WideAddress(const std::string& text) {
  Op address;
  Address(text, address);
  Op sum;
  sum.d = NewRow('l');
  sum.a = address.a;
  sum.b = ConstantRow('l', static_cast<uint64_t>(address.offset));
  if (address.flags & kAddress32) {
    const uint32_t wide = NewRow('l');
    Op widen;
    widen.d = wide, widen.a = address.a;
    Emit(Step::kNext, Instructions().at("cvt.u64.u32").execute, widen);
    sum.a = wide;
  }
  Emit(Step::kNext, Instructions().at("add.u64").execute, sum);
  return sum.d;
}

// A register or {registers}. Data in 64-bit registers may be narrower in memory.
void Decoder::Elements(const std::string& text, Op& op, bool destination) {
  const std::vector<std::string> list =
      text[0] == '{' ? text::SplitOperands(text.substr(1, text.size() - 2)) : std::vector<std::string>{text};
  if (list.size() != op.count) Refuse("a vector of another length than the instruction's");
  char width = op.bytes == 8 ? 'l' : 'w';
  for (const std::string& one : list) {
    if (WidthOf(one) == 'l') width = 'l';
  }
  if (width == 'l') op.flags |= kWide;
  for (size_t i = 0; i < list.size(); ++i) {
    op.vector[i] = destination ? Destination(list[i], width) : Operand(list[i], width);
  }
}

bool Decoder::DecodeMemory(Opcode& opcode, const std::vector<std::string>& operands) {
  const std::string& root = opcode.root();
  if (root == "ld" || root == "ldu") {
    DecodeLoad(opcode, operands);
  } else if (root == "st") {
    DecodeStore(opcode, operands);
  } else if (root == "atom" || root == "red") {
    DecodeAtomic(opcode, operands);
  } else if (root == "cp") {
    DecodeCopy(opcode, operands);
  } else if (root == "mbarrier") {
    DecodeMbarrier(opcode, operands);
  } else if (root == "cvta" || root == "isspacep" || root == "mapa" || root == "getctarank") {
    DecodeAddressConversion(opcode, operands);
  } else if (root == "fence" || root == "membar") {
    Op op;
    opcode.TakeAny({"sc", "acq_rel", "acquire", "release"});
    if (opcode.TakeAny({"mbarrier_init", "proxy"}) == "mbarrier_init") op.extra = 1;
    opcode.TakeAny({"async", "alias", "async::generic", "async.global"});
    opcode.TakeAny({"global", "shared::cta"});
    if (opcode.TakeAny({"cta", "cluster", "gpu", "sys", "gl"}) == "cta") op.flags |= kCtaScope;
    Emit(Step::kNext, Fence, op);
  } else if (root == "prefetch" || root == "prefetchu" || root == "applypriority" || root == "discard") {
    if (root == "discard") Refuse("unknown instruction");
    Op op;
    op.space = TakeSpace(opcode);
    TakeCacheHints(opcode);
    opcode.TakeAny({"L1", "L2"});
    Address(operands.at(0), op);  // for a trace alone
    Emit(Step::kNext, Nothing, op);
  } else if (root == "createpolicy") {  // a hint for the caches, which are not simulated
    opcode.TakeAny({"fractional", "range"});
    opcode.Take("global");
    TakeCacheHints(opcode);
    opcode.Take("L2::evict_unchanged");
    opcode.Take("L2::evict_first");
    opcode.Take("b64");
    Op op;
    op.d = Destination(operands.at(0), 'l');
    op.a = ConstantRow('l', 0);
    Emit(Step::kNext, Instructions().at("mov.b64").execute, op);
  } else {
    return false;
  }
  return true;
}

void Decoder::DecodeLoad(Opcode& opcode, const std::vector<std::string>& operands) {
  Op op;
  TakeOrder(opcode, op);
  op.space = TakeSpace(opcode);
  opcode.Take("nc");
  opcode.Take("unified");
  TakeCacheHints(opcode);
  const std::string vector = opcode.TakeAny({"v2", "v4", "v8"});
  op.count = vector.empty() ? 1 : static_cast<uint8_t>(vector[1] - '0');
  const std::string type = opcode.TakeLast();
  op.bytes = static_cast<uint8_t>(text::TypeBytes(type));
  if (op.bytes == 0 || op.bytes > 8 || type == "pred" || op.bytes * op.count > 32) Refuse("unknown instruction");
  if (type[0] == 's') op.flags |= kSigned;
  Elements(operands.at(0), op, true);
  Address(operands.at(1), op);
  Emit(Step::kNext, Load, op);
}

void Decoder::DecodeStore(Opcode& opcode, const std::vector<std::string>& operands) {
  const bool is_async = opcode.Take("async");
  Op op;
  TakeOrder(opcode, op);
  op.space = opcode.TakeAny({"param", "param::func"}).empty() ? TakeSpace(opcode) : Space::kLocal;
  if (is_async && (op.flags != 0 || op.space != Space::kShared || !opcode.Take("mbarrier::complete_tx::bytes"))) {
    Refuse("unknown instruction");
  }
  TakeCacheHints(opcode);
  const std::string vector = opcode.TakeAny({"v2", "v4", "v8"});
  op.count = vector.empty() ? 1 : static_cast<uint8_t>(vector[1] - '0');
  const std::string type = opcode.TakeLast();
  op.bytes = static_cast<uint8_t>(text::TypeBytes(type));
  if (op.bytes == 0 || op.bytes > 8 || type == "pred" || op.bytes * op.count > 32) Refuse("unknown instruction");
  Address(operands.at(0), op);
  Elements(operands.at(1), op, false);
  if (is_async && (op.bytes < 4 || op.bytes * op.count > 16)) Refuse("an asynchronous store of this size");
  if (is_async) {
    op.c = WideAddress(operands.at(2));
    program_->sends = true;
  }
  Emit(Step::kNext, is_async ? StoreAsync : Store, op);
}

void Decoder::DecodeAtomic(Opcode& opcode, const std::vector<std::string>& operands) {
  const bool reduction = opcode.root() == "red";
  if (opcode.Take("async")) Refuse("unknown instruction");
  Op op;
  op.flags = kStrong;
  TakeOrder(opcode, op);
  op.space = TakeSpace(opcode);
  TakeCacheHints(opcode);
  opcode.Take("noftz");
  const std::string type = opcode.TakeLast();
  const std::string operation = opcode.TakeAny({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  Execute execute = FindAtomic(operation, type);
  if (!execute) Refuse("unknown instruction");
  op.bytes = static_cast<uint8_t>(text::TypeBytes(type));
  const char width = op.bytes == 8 ? 'l' : 'w';
  size_t next = 0;
  if (!reduction) op.d = Destination(operands.at(next++), width);
  Address(operands.at(next++), op);
  op.b = Operand(operands.at(next++), width);
  if (operation == "cas") op.c = Operand(operands.at(next++), width);
  Emit(Step::kNext, execute, op);
}

void Decoder::DecodeAddressConversion(Opcode& opcode, const std::vector<std::string>& operands) {
  const std::string& root = opcode.root();
  const bool to = opcode.Take("to");
  Op op;
  op.space = TakeSpace(opcode);
  const std::string type = opcode.TakeLast();
  const char width = type == "u64" ? 'l' : 'w';
  if (root == "isspacep") {
    if (op.space == Space::kGeneric) Refuse("unknown instruction");
    op.d = Destination(operands.at(0), 'p');
    op.a = Operand(operands.at(1), 'l');
    Emit(Step::kNext, IsSpace, op);
    return;
  }
  if (type != "u64" && type != "u32") Refuse("unknown instruction");
  if (width == 'l') op.flags |= kWide;
  if (root == "mapa" || root == "getctarank") {
    const bool rank = root == "getctarank";
    op.d = Destination(operands.at(0), rank ? 'w' : width);
    op.a = Operand(operands.at(1), width);
    if (!rank) op.b = Operand(operands.at(2), 'w');
    Emit(Step::kNext, rank ? GetRank : MapAddress, op);
    return;
  }
  if (width != 'l') Refuse("unknown instruction");
  op.d = Destination(operands.at(0), 'l');
  op.a = Operand(operands.at(1), 'l');
  Execute execute = Instructions().at("mov.b64").execute;
  if (op.space == Space::kShared) execute = to ? ToShared : FromShared;
  if (op.space == Space::kLocal) execute = to ? ToLocal : FromLocal;
  if (op.space == Space::kParameter) execute = to ? ToParameter : FromParameter;
  Emit(Step::kNext, execute, op);
}

}  // namespace fire::simulator
