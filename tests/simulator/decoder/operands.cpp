// Operands: registers, immediates, special registers and names, as rows.
#include <algorithm>
#include <cstdlib>

#include "tests/simulator/decoder/decoder.h"

namespace fire::simulator {
namespace {

const std::map<std::string, Special>& Specials() {
  using S = Special;
  static const std::map<std::string, Special> names = {
      {"%tid.x", S::kTidX},
      {"%tid.y", S::kTidY},
      {"%tid.z", S::kTidZ},
      {"%ntid.x", S::kNtidX},
      {"%ntid.y", S::kNtidY},
      {"%ntid.z", S::kNtidZ},
      {"%ctaid.x", S::kCtaidX},
      {"%ctaid.y", S::kCtaidY},
      {"%ctaid.z", S::kCtaidZ},
      {"%nctaid.x", S::kNctaidX},
      {"%nctaid.y", S::kNctaidY},
      {"%nctaid.z", S::kNctaidZ},
      {"%laneid", S::kLane},
      {"%warpid", S::kWarp},
      {"%nwarpid", S::kWarps},
      {"%lanemask_eq", S::kMaskEq},
      {"%lanemask_le", S::kMaskLe},
      {"%lanemask_lt", S::kMaskLt},
      {"%lanemask_ge", S::kMaskGe},
      {"%lanemask_gt", S::kMaskGt},
      {"%smid", S::kSm},
      {"%nsmid", S::kSms},
      {"%gridid", S::kGrid},
      {"%dynamic_smem_size", S::kDynamicShared},
      {"%total_smem_size", S::kTotalShared},
      {"%is_explicit_cluster", S::kIsCluster},
      {"%cluster_ctaid.x", S::kClusterCtaidX},
      {"%cluster_ctaid.y", S::kClusterCtaidY},
      {"%cluster_ctaid.z", S::kClusterCtaidZ},
      {"%cluster_nctaid.x", S::kClusterNctaidX},
      {"%cluster_nctaid.y", S::kClusterNctaidY},
      {"%cluster_nctaid.z", S::kClusterNctaidZ},
      {"%cluster_ctarank", S::kClusterRank},
      {"%cluster_nctarank", S::kClusterSize},
      {"%clusterid.x", S::kClusteridX},
      {"%clusterid.y", S::kClusteridY},
      {"%clusterid.z", S::kClusteridZ},
      {"%nclusterid.x", S::kNclusteridX},
      {"%nclusterid.y", S::kNclusteridY},
      {"%nclusterid.z", S::kNclusteridZ},
  };
  return names;
}

}  // namespace

uint32_t Decoder::NewRow(char width) {
  if (width == 'p') return program_->predicates++;
  const uint32_t at = program_->register_bytes;
  program_->register_bytes += kLanes * (width == 'l' ? 8 : 4);
  return at;
}

uint32_t Decoder::ConstantRow(char width, uint64_t value) {
  if (width == 'w') value = static_cast<uint32_t>(value);
  const auto [it, is_new] = constants_.try_emplace({width, value}, 0);
  if (is_new) {
    it->second = NewRow(width);
    (width == 'l' ? program_->constants : program_->constants32).emplace_back(it->second, value);
  }
  return it->second;
}

Decoder::Symbol Decoder::PlaceLocal(const text::Declaration& one) {
  const size_t at = RoundUp(program_->info.local, one.align);
  program_->info.local = at + one.size;
  return {Space::kLocal, at, one.size};
}

Decoder::Symbol Decoder::PlaceShared(const text::Declaration& one) {
  if (one.external || one.size == 0) {
    dynamic_align_ = std::max(dynamic_align_, one.align);
    return {Space::kShared, 0, 0, true};
  }
  const size_t at = RoundUp(program_->info.static_shared, one.align);
  program_->info.static_shared = at + one.size;
  return {Space::kShared, kSharedBase + at, one.size};
}

void Decoder::PlaceDynamicShared() {
  program_->dynamic_shared_at = static_cast<uint32_t>(RoundUp(program_->info.static_shared, dynamic_align_));
  const uint64_t address = kSharedBase + program_->dynamic_shared_at;
  for (const auto& [row, width] : dynamic_rows_) {
    (width == 'l' ? program_->constants : program_->constants32).emplace_back(row, address);
  }
}

uint32_t Decoder::SymbolRow(const Symbol& symbol, char width) {
  if (!symbol.dynamic) return ConstantRow(width, symbol.address);
  for (const auto& [row, known] : dynamic_rows_) {
    if (known == width) return row;
  }
  dynamic_rows_.emplace_back(NewRow(width), width);
  return dynamic_rows_.back().first;
}

const Decoder::Register* Decoder::FindRegister(const std::string& name) const {
  for (size_t scope = scopes_.size(); scope-- > 0;) {
    const auto it = scopes_[scope].registers.find(name);
    if (it != scopes_[scope].registers.end()) return &it->second;
  }
  return nullptr;
}

const Decoder::Symbol* Decoder::FindSymbol(const std::string& name) {
  for (size_t scope = scopes_.size(); scope-- > 0;) {
    const auto it = scopes_[scope].symbols.find(name);
    if (it != scopes_[scope].symbols.end()) return &it->second;
  }
  if (const auto it = module_shared_.find(name); it != module_shared_.end()) return &it->second;
  for (const text::Declaration& one : source_.shared) {
    if (one.name == name) return &(module_shared_[name] = PlaceShared(one));
  }
  if (const auto it = variables_.find(name); it != variables_.end()) {
    const Variable& v = it->second;
    const Space space = v.constant ? Space::kConstant : Space::kGlobal;
    return &(module_shared_[name] = {space, reinterpret_cast<uint64_t>(v.address), v.size});
  }
  return nullptr;
}

char Decoder::WidthOf(const std::string& text) const {
  const Register* found = FindRegister(text);
  return found ? found->width : '\0';
}

bool Decoder::IsImmediate(const std::string& text) const {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-' || text == "WARP_SZ" ||
                           text == "true" || text == "false");
}

uint64_t Decoder::Immediate(const std::string& text, char width) const {
  if (text == "WARP_SZ") return kLanes;
  if (text == "true" || text == "false") return text == "true" ? ~0u : 0;
  const bool negative = text[0] == '-';
  std::string digits = text.substr(negative);
  if (!digits.empty() && digits.back() == 'U') digits.pop_back();
  if (digits.substr(0, 2) == "0f" || digits.substr(0, 2) == "0F") {
    if (width == 'l') Refuse("a single-precision immediate for a 64-bit operand");
    return std::strtoull(digits.c_str() + 2, nullptr, 16);
  }
  if (digits.substr(0, 2) == "0d" || digits.substr(0, 2) == "0D") return std::strtoull(digits.c_str() + 2, nullptr, 16);
  char* end = nullptr;
  uint64_t value;
  if (digits.substr(0, 2) == "0b" || digits.substr(0, 2) == "0B") {
    value = std::strtoull(digits.c_str() + 2, &end, 2);
  } else {
    value = std::strtoull(digits.c_str(), &end, 0);
  }
  if (*end) Refuse("'" + text + "' is no number");
  return negative ? uint64_t{0} - value : value;
}

uint32_t Decoder::Operand(const std::string& text, char width) {
  if (const Register* found = FindRegister(text)) {
    if (found->width != width) Refuse("register " + text + " has not the width of the operand");
    return found->at;
  }
  if (width == 'p') Refuse("'" + text + "' is no predicate");
  if (IsImmediate(text)) return ConstantRow(width, Immediate(text, width));
  if (text[0] == '%') {
    const auto special = Specials().find(text);
    if (special == Specials().end() || width != 'w') Refuse("register " + text + " is not known");
    const auto [it, is_new] = specials_.try_emplace(text, 0);
    if (is_new) {
      it->second = NewRow('w');
      program_->specials.emplace_back(it->second, special->second);
    }
    return it->second;
  }
  const size_t plus = text.find('+');
  const std::string name(text::Trim(text.substr(0, plus)));
  const Symbol* symbol = FindSymbol(name);
  if (!symbol) Refuse("'" + name + "' is not known");
  if (plus == std::string::npos) return SymbolRow(*symbol, width);
  if (symbol->dynamic) Refuse("an offset from dynamic shared memory outside an address");
  return ConstantRow(width, symbol->address + Immediate(std::string(text::Trim(text.substr(plus + 1))), width));
}

uint32_t Decoder::LowWord(const std::string& text) {
  Op op;
  op.a = Operand(text, 'l');
  op.d = NewRow('w');
  return Emit(Step::kNext, Instructions().at("cvt.u32.u64").execute, op).d;
}

uint32_t Decoder::Destination(const std::string& text, char width) {
  if (text == "_") return kNone;
  const Register* found = FindRegister(text);
  if (!found) Refuse("register " + text + " is not known");
  if (found->width != width) Refuse("register " + text + " has not the width of the result");
  return found->at;
}

uint32_t Decoder::PredicateOperand(std::string text, Op& op, OpFlag negated) {
  if (!text.empty() && text[0] == '!') {
    op.flags |= negated;
    text.erase(0, 1);
  }
  if (text == "true" || text == "false" || IsImmediate(text)) {
    const uint64_t value = Immediate(text, 'p');
    const auto [it, is_new] = constants_.try_emplace({'p', value ? ~0u : 0u}, 0);
    if (is_new) {
      it->second = NewRow('p');
      program_->predicate_constants.emplace_back(it->second, value ? ~0u : 0u);
    }
    return it->second;
  }
  return Operand(text, 'p');
}

}  // namespace fire::simulator
