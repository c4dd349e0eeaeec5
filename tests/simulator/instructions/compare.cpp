// setp and set: comparisons, with an optional predicate combined in.
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/rounding.h"

namespace fire::simulator {
namespace {

enum class Combine { kNone, kAnd, kOr, kXor };

inline uint32_t Combined(Combine how, uint32_t value, uint32_t with) {
  switch (how) {
    case Combine::kAnd:
      return value & with;
    case Combine::kOr:
      return value | with;
    case Combine::kXor:
      return value ^ with;
    default:
      return value;
  }
}

// Kept out of line: one loop a comparison, whatever is done with its result.
template <class T, auto compare>
[[gnu::noinline]] uint32_t Compare(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<T>(op.a), b = w.R<T>(op.b);
  return Ballot(lanes, [&](int lane) { return compare(a[lane], b[lane]); });
}

// d is the result, e that of the negated comparison.
template <class T, auto compare, Combine combine>
void Setp(Warp& w, const Op& op, uint32_t lanes) {
  const uint32_t value = Compare<T, compare>(w, op, lanes);
  const uint32_t with = combine == Combine::kNone ? 0 : GetPredicate(w, op.c, op.flags & kNegateC);
  SetPredicate(w, op.d, lanes, Combined(combine, value, with));
  SetPredicate(w, op.e, lanes, Combined(combine, ~value, with));
}

void Spread(Warp& w, const Op& op, uint32_t lanes, uint32_t bits, uint32_t value) {
  auto d = w.R<uint32_t>(op.d);
  ForLanes(lanes, [&](int lane) { d.Set(lane, bits >> lane & 1 ? value : 0); });
}

template <class D, class T, auto compare, Combine combine>
void Set(Warp& w, const Op& op, uint32_t lanes) {
  const uint32_t with = combine == Combine::kNone ? 0 : GetPredicate(w, op.c, op.flags & kNegateC);
  const uint32_t bits = Combined(combine, Compare<T, compare>(w, op, lanes), with);
  Spread(w, op, lanes, bits, std::is_same_v<D, float> ? std::bit_cast<uint32_t>(1.0f) : ~0u);
}

template <class T, auto compare, Combine combine>
void AddCombined(Table& t, const std::string& name, const std::string& with, const std::string& type) {
  const char last = combine == Combine::kNone ? '\0' : 'p';
  t["setp." + name + with + "." + type] = {Setp<T, compare, combine>, {'p', Width<T>(), Width<T>(), last}};
  if constexpr (sizeof(T) >= 4) {
    t["set." + name + with + ".u32." + type] = {Set<uint32_t, T, compare, combine>,
                                                {'w', Width<T>(), Width<T>(), last}};
    t["set." + name + with + ".s32." + type] = t["set." + name + with + ".u32." + type];
    t["set." + name + with + ".f32." + type] = {Set<float, T, compare, combine>, {'w', Width<T>(), Width<T>(), last}};
  }
}

template <class T, auto compare>
void AddComparison(Table& t, const std::string& name, const std::string& type) {
  AddCombined<T, compare, Combine::kNone>(t, name, "", type);
  AddCombined<T, compare, Combine::kAnd>(t, name, ".and", type);
  AddCombined<T, compare, Combine::kOr>(t, name, ".or", type);
  AddCombined<T, compare, Combine::kXor>(t, name, ".xor", type);
}

template <class T>
void AddOrdered(Table& t, const std::string& type) {
  AddComparison<T, [](T a, T b) { return a == b; }>(t, "eq", type);
  AddComparison<T, [](T a, T b) { return a != b; }>(t, "ne", type);
  AddComparison<T, [](T a, T b) { return a < b; }>(t, "lt", type);
  AddComparison<T, [](T a, T b) { return a <= b; }>(t, "le", type);
  AddComparison<T, [](T a, T b) { return (a > b); }>(t, "gt", type);
  AddComparison<T, [](T a, T b) { return (a >= b); }>(t, "ge", type);
  AddComparison<T, [](T a, T b) { return a < b; }>(t, "lo", type);
  AddComparison<T, [](T a, T b) { return a <= b; }>(t, "ls", type);
  AddComparison<T, [](T a, T b) { return (a > b); }>(t, "hi", type);
  AddComparison<T, [](T a, T b) { return (a >= b); }>(t, "hs", type);
}

bool Unordered(double a, double b) { return a != a || b != b; }

// Comparisons of floats by name: those with u hold for unordered operands too.
template <class T, auto value>
void AddFloats(Table& t, const std::string& type) {
  AddComparison<T, [](T a, T b) { return value(a) == value(b); }>(t, "eq", type);
  AddComparison<T, [](T a, T b) { return value(a) < value(b) || value(b) < value(a); }>(t, "ne", type);
  AddComparison<T, [](T a, T b) { return value(a) < value(b); }>(t, "lt", type);
  AddComparison<T, [](T a, T b) { return value(a) <= value(b); }>(t, "le", type);
  AddComparison<T, [](T a, T b) { return value(b) < value(a); }>(t, "gt", type);
  AddComparison<T, [](T a, T b) { return value(b) <= value(a); }>(t, "ge", type);
  AddComparison<T, [](T a, T b) { return !(value(a) < value(b) || value(b) < value(a)); }>(t, "equ", type);
  AddComparison<T, [](T a, T b) { return value(a) != value(b); }>(t, "neu", type);
  AddComparison<T, [](T a, T b) { return !(value(b) <= value(a)); }>(t, "ltu", type);
  AddComparison<T, [](T a, T b) { return !(value(b) < value(a)); }>(t, "leu", type);
  AddComparison<T, [](T a, T b) { return !(value(a) <= value(b)); }>(t, "gtu", type);
  AddComparison<T, [](T a, T b) { return !(value(a) < value(b)); }>(t, "geu", type);
  AddComparison<T, [](T a, T b) { return !Unordered(value(a), value(b)); }>(t, "num", type);
  AddComparison<T, [](T a, T b) { return Unordered(value(a), value(b)); }>(t, "nan", type);
}

// Pairs: d is the comparison of the low halves, e that of the high ones; both are combined with c.
template <class Format, auto compare, Combine combine>
void SetpPair(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<uint32_t>(op.a), b = w.R<uint32_t>(op.b);
  const auto half = [](uint32_t x, int shift) { return Decode<Format>(static_cast<uint16_t>(x >> shift)); };
  const uint32_t with = combine == Combine::kNone ? 0 : GetPredicate(w, op.c, op.flags & kNegateC);
  const uint32_t low = Ballot(lanes, [&](int l) { return compare(half(a[l], 0), half(b[l], 0)); });
  const uint32_t high = Ballot(lanes, [&](int l) { return compare(half(a[l], 16), half(b[l], 16)); });
  SetPredicate(w, op.d, lanes, Combined(combine, low, with));
  SetPredicate(w, op.e, lanes, Combined(combine, high, with));
}

// set on pairs: all ones in each half whose comparison holds, or 1.0 for a floating-point destination.
template <class Format, auto compare, bool one>
Choice SetPair() {
  return Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) {
    constexpr uint32_t kTrue = one ? (Format::kFraction == Half::kFraction ? 0x3c00 : 0x3f80) : 0xffff;
    const auto half = [](uint32_t x, int shift) { return Decode<Format>(static_cast<uint16_t>(x >> shift)); };
    return (compare(half(a, 0), half(b, 0)) ? kTrue : 0) | (compare(half(a, 16), half(b, 16)) ? kTrue << 16 : 0);
  }>();
}

template <class Format, auto compare>
void AddPair(Table& t, const std::string& name, const std::string& type) {
  t["setp." + name + "." + type] = {SetpPair<Format, compare, Combine::kNone>, {'p', 'w', 'w'}};
  t["setp." + name + ".and." + type] = {SetpPair<Format, compare, Combine::kAnd>, {'p', 'w', 'w', 'p'}};
  t["setp." + name + ".or." + type] = {SetpPair<Format, compare, Combine::kOr>, {'p', 'w', 'w', 'p'}};
  t["setp." + name + ".xor." + type] = {SetpPair<Format, compare, Combine::kXor>, {'p', 'w', 'w', 'p'}};
  t["set." + name + ".u32." + type] = t["set." + name + ".s32." + type] = SetPair<Format, compare, false>();
  t["set." + name + "." + type + "." + type] = SetPair<Format, compare, true>();
}

template <class Format>
void AddPairs(Table& t, const std::string& type) {
  using F = double;
  AddPair<Format, [](F a, F b) { return a == b; }>(t, "eq", type);
  AddPair<Format, [](F a, F b) { return a < b || b < a; }>(t, "ne", type);
  AddPair<Format, [](F a, F b) { return a < b; }>(t, "lt", type);
  AddPair<Format, [](F a, F b) { return a <= b; }>(t, "le", type);
  AddPair<Format, [](F a, F b) { return b < a; }>(t, "gt", type);
  AddPair<Format, [](F a, F b) { return b <= a; }>(t, "ge", type);
  AddPair<Format, [](F a, F b) { return !(a < b || b < a); }>(t, "equ", type);
  AddPair<Format, [](F a, F b) { return a != b; }>(t, "neu", type);
  AddPair<Format, [](F a, F b) { return !(b <= a); }>(t, "ltu", type);
  AddPair<Format, [](F a, F b) { return !(b < a); }>(t, "leu", type);
  AddPair<Format, [](F a, F b) { return !(a <= b); }>(t, "gtu", type);
  AddPair<Format, [](F a, F b) { return !(a < b); }>(t, "geu", type);
  AddPair<Format, [](F a, F b) { return !Unordered(a, b); }>(t, "num", type);
  AddPair<Format, [](F a, F b) { return Unordered(a, b); }>(t, "nan", type);
}

template <class T>
void AddEquality(Table& t, const std::string& type) {
  AddComparison<T, [](T a, T b) { return a == b; }>(t, "eq", type);
  AddComparison<T, [](T a, T b) { return a != b; }>(t, "ne", type);
}

}  // namespace

void AddCompare(Table& t) {
  AddOrdered<uint16_t>(t, "u16");
  AddOrdered<int16_t>(t, "s16");
  AddOrdered<uint32_t>(t, "u32");
  AddOrdered<int32_t>(t, "s32");
  AddOrdered<uint64_t>(t, "u64");
  AddOrdered<int64_t>(t, "s64");
  AddEquality<uint16_t>(t, "b16");
  AddEquality<uint32_t>(t, "b32");
  AddEquality<uint64_t>(t, "b64");
  AddFloats<float, [](float a) { return a; }>(t, "f32");
  AddFloats<double, [](double a) { return a; }>(t, "f64");
  AddFloats<uint16_t, Decode<Half>>(t, "f16");
  AddFloats<uint16_t, Decode<Brain>>(t, "bf16");
  AddPairs<Half>(t, "f16x2");
  AddPairs<Brain>(t, "bf16x2");
}

const Table& Instructions() {
  static const Table table = [] {
    Table t;
    AddInteger(t);
    AddBits(t);
    AddFloat(t);
    AddPacked(t);
    AddConvert(t);
    AddCompare(t);
    return t;
  }();
  return table;
}

}  // namespace fire::simulator
