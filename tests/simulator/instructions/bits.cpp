// Logic, shifts, bit fields, permutations, selection.
#include <algorithm>

#include "tests/simulator/instructions/instructions.h"

namespace fire::simulator {
namespace {

template <class T>
T Reverse(T a) {
  T out = 0;
  for (size_t bit = 0; bit < 8 * sizeof(T); ++bit) out = static_cast<T>(out << 1 | (a >> bit & 1));
  return out;
}

// The position of the highest bit that is not a copy of the sign; all ones if there is none.
template <class T, bool shift_amount>
uint32_t FindBit(T a) {
  using U = std::make_unsigned_t<T>;
  U bits = static_cast<U>(a);
  if (std::is_signed_v<T> && a < T{0}) bits = static_cast<U>(~bits);
  if (bits == 0) return ~0u;
  const uint32_t position = static_cast<uint32_t>(8 * sizeof(T) - 1 - std::countl_zero(bits));
  return shift_amount ? static_cast<uint32_t>(8 * sizeof(T) - 1) - position : position;
}

template <class T>
T ExtractField(T a, uint32_t position, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  using U = std::make_unsigned_t<T>;
  position &= 255, length &= 255;
  if (length == 0) return 0;
  const U bits = static_cast<U>(a);
  const uint32_t top = std::min(position + length - 1, kBits - 1);
  const bool sign = std::is_signed_v<T> && (bits >> top & 1);
  U out = 0;
  for (uint32_t bit = 0; bit < kBits; ++bit) {
    const bool inside = bit < length && position + bit < kBits;
    const bool value = inside ? bits >> (position + bit) & 1 : sign;
    out |= U{value} << bit;
  }
  return static_cast<T>(out);
}

template <class T>
T InsertField(T a, T b, uint32_t position, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  position &= 255, length &= 255;
  if (position >= kBits || length == 0) return b;
  const T ones = length >= kBits ? ~T{0} : (T{1} << length) - 1;
  const T mask = ones << position;
  return (b & ~mask) | (a << position & mask);
}

// The position of the n-th set bit counted from a base, upwards for n > 0, downwards for n < 0.
uint32_t FindNth(uint32_t mask, uint32_t base, int32_t n) {
  if (base > 31) return ~0u;
  if (n == 0) return mask >> base & 1 ? base : ~0u;
  const int step = n > 0 ? 1 : -1;
  int left = n > 0 ? n : -n;
  for (int position = static_cast<int>(base); position >= 0 && position < 32; position += step) {
    if (mask >> position & 1 && --left == 0) return static_cast<uint32_t>(position);
  }
  return ~0u;
}

// Eight bytes b:a, picked by four selectors; bit 3 of a selector spreads the byte's sign.
uint32_t Permute(uint32_t a, uint32_t b, uint32_t selectors) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t selector = selectors >> 4 * i;
    uint32_t byte = static_cast<uint8_t>(bytes >> 8 * (selector & 7));
    if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
    out |= byte << 8 * i;
  }
  return out;
}

// The four selectors of prmt's named modes, by the two lowest bits of c.
constexpr uint16_t kForward4[] = {0x3210, 0x4321, 0x5432, 0x6543};
constexpr uint16_t kBackward4[] = {0x5670, 0x6701, 0x7012, 0x0123};
constexpr uint16_t kReplicate8[] = {0x0000, 0x1111, 0x2222, 0x3333};
constexpr uint16_t kClampLeft[] = {0x3210, 0x3211, 0x3222, 0x3333};
constexpr uint16_t kClampRight[] = {0x0000, 0x1110, 0x2210, 0x3210};
constexpr uint16_t kReplicate16[] = {0x1010, 0x3232, 0x1010, 0x3232};

template <const uint16_t (&modes)[4]>
Choice PermuteMode() {
  return Ternary<uint32_t, uint32_t, uint32_t, uint32_t,
                 [](uint32_t a, uint32_t b, uint32_t c) { return Permute(a, b, modes[c & 3]); }>();
}

template <class T>
void AddLogic(Table& t, const std::string& type) {
  t["and." + type] = Binary<T, T, T, [](T a, T b) { return a & b; }>();
  t["or." + type] = Binary<T, T, T, [](T a, T b) { return a | b; }>();
  t["xor." + type] = Binary<T, T, T, [](T a, T b) { return a ^ b; }>();
  t["not." + type] = Unary<T, T, [](T a) { return ~a; }>();
  t["cnot." + type] = Unary<T, T, [](T a) { return a == 0; }>();
}

template <class T, class S>
void AddShift(Table& t, const std::string& bits) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  t["shl.b" + bits] = Binary<T, T, uint32_t, [](T a, uint32_t n) {
    return n >= kBits ? T{0} : static_cast<T>(a << (n & (kBits - 1)));
  }>();
  t["shr.b" + bits] = t["shr.u" + bits] = Binary<T, T, uint32_t, [](T a, uint32_t n) {
    return n >= kBits ? T{0} : static_cast<T>(a >> (n & (kBits - 1)));
  }>();
  t["shr.s" + bits] =
      Binary<S, S, uint32_t, [](S a, uint32_t n) { return static_cast<S>(a >> (n >= kBits ? kBits - 1 : n)); }>();
}

template <class T>
void AddSearch(Table& t, const std::string& bits) {
  using S = std::make_signed_t<T>;
  t["popc.b" + bits] = Unary<uint32_t, T, [](T a) { return std::popcount(a); }>();
  t["clz.b" + bits] = Unary<uint32_t, T, [](T a) { return std::countl_zero(a); }>();
  t["brev.b" + bits] = Unary<T, T, Reverse<T>>();
  t["bfind.u" + bits] = Unary<uint32_t, T, FindBit<T, false>>();
  t["bfind.s" + bits] = Unary<uint32_t, S, FindBit<S, false>>();
  t["bfind.shiftamt.u" + bits] = Unary<uint32_t, T, FindBit<T, true>>();
  t["bfind.shiftamt.s" + bits] = Unary<uint32_t, S, FindBit<S, true>>();
  t["bfe.u" + bits] = Ternary<T, T, uint32_t, uint32_t, ExtractField<T>>();
  t["bfe.s" + bits] = Ternary<S, S, uint32_t, uint32_t, ExtractField<S>>();
  t["bfi.b" + bits] = Quaternary<T, T, T, uint32_t, uint32_t, InsertField<T>>();
}

template <bool left, bool wrap>
uint32_t Funnel(uint32_t a, uint32_t b, uint32_t n) {
  n = wrap ? n & 31 : std::min(n, 32u);
  const uint64_t both = uint64_t{b} << 32 | a;
  return static_cast<uint32_t>(left ? both << n >> 32 : both >> n);
}

template <class T>
void AddSelect(Table& t, const std::string& bits, std::initializer_list<const char*> types) {
  constexpr char k = Width<T>();
  const Choice select = {[](Warp& w, const Op& op, uint32_t lanes) {
                           auto d = w.R<T>(op.d), a = w.R<T>(op.a), b = w.R<T>(op.b);
                           const uint32_t which = GetPredicate(w, op.c, op.flags & kNegateC);
                           ForLanes(lanes, [&](int lane) {
                             const T x = a[lane], y = b[lane];
                             d.Set(lane, which & 1u << lane ? x : y);
                           });
                         },
                         {k, k, k, 'p'}};
  for (const char* type : types) {
    t["selp." + (type + bits)] = select;
    t["slct." + (type + bits) + ".s32"] =
        Ternary<T, T, T, int32_t, [](T a, T b, int32_t c) { return c >= 0 ? a : b; }>();
    t["slct." + (type + bits) + ".f32"] = Ternary<T, T, T, float, [](T a, T b, float c) { return c >= 0 ? a : b; }>();
    t["mov." + (type + bits)] = Unary<T, T, [](T a) { return a; }>();
  }
}

template <auto F>
Choice PredicateLogic() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            const uint32_t a = GetPredicate(w, op.a, op.flags & kNegateA);
            const uint32_t b = op.b == kNone ? 0 : w.predicates[op.b];
            SetPredicate(w, op.d, lanes, F(a, b));
          },
          {'p', 'p', 'p'}};
}

}  // namespace

void AddBits(Table& t) {
  AddLogic<uint16_t>(t, "b16");
  AddLogic<uint32_t>(t, "b32");
  AddLogic<uint64_t>(t, "b64");
  AddShift<uint16_t, int16_t>(t, "16");
  AddShift<uint32_t, int32_t>(t, "32");
  AddShift<uint64_t, int64_t>(t, "64");
  AddSearch<uint32_t>(t, "32");
  AddSearch<uint64_t>(t, "64");
  AddSelect<uint16_t>(t, "16", {"b", "u", "s", "f"});
  AddSelect<uint32_t>(t, "32", {"b", "u", "s", "f"});
  AddSelect<uint64_t>(t, "64", {"b", "u", "s", "f"});
  t["fns.b32"] = Ternary<uint32_t, uint32_t, uint32_t, int32_t, FindNth>();
  t["shf.l.wrap.b32"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Funnel<true, true>>();
  t["shf.l.clamp.b32"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Funnel<true, false>>();
  t["shf.r.wrap.b32"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Funnel<false, true>>();
  t["shf.r.clamp.b32"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Funnel<false, false>>();
  t["bmsk.clamp.b32"] = Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) {
    return (a > 31) ? 0 : ((b > 31) ? ~0u : (1u << b) - 1) << a;
  }>();
  t["bmsk.wrap.b32"] =
      Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) { return ((1u << (b & 31)) - 1) << (a & 31); }>();
  t["prmt.b32"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Permute>();
  t["prmt.b32.f4e"] = PermuteMode<kForward4>();
  t["prmt.b32.b4e"] = PermuteMode<kBackward4>();
  t["prmt.b32.rc8"] = PermuteMode<kReplicate8>();
  t["prmt.b32.ecl"] = PermuteMode<kClampLeft>();
  t["prmt.b32.ecr"] = PermuteMode<kClampRight>();
  t["prmt.b32.rc16"] = PermuteMode<kReplicate16>();
  t["lop3.b32"] = {[](Warp& w, const Op& op, uint32_t lanes) {
                     auto d = w.R<uint32_t>(op.d), a = w.R<uint32_t>(op.a), b = w.R<uint32_t>(op.b),
                          c = w.R<uint32_t>(op.c);
                     ForLanes(lanes, [&](int lane) {
                       const uint32_t x = a[lane], y = b[lane], z = c[lane];
                       uint32_t out = 0;
                       for (int k = 0; k < 8; ++k) {
                         const uint32_t on = op.extra >> k & 1 ? ~0u : 0u;
                         out |= on & (k & 4 ? x : ~x) & (k & 2 ? y : ~y) & (k & 1 ? z : ~z);
                       }
                       d.Set(lane, out);
                     });
                   },
                   {'w', 'w', 'w', 'w', 'i'}};
  t["and.pred"] = PredicateLogic<[](uint32_t a, uint32_t b) { return a & b; }>();
  t["or.pred"] = PredicateLogic<[](uint32_t a, uint32_t b) { return a | b; }>();
  t["xor.pred"] = PredicateLogic<[](uint32_t a, uint32_t b) { return a ^ b; }>();
  t["not.pred"] = PredicateLogic<[](uint32_t a, uint32_t) { return ~a; }>();
  t["not.pred"].operands[2] = 0;
  t["mov.pred"] = PredicateLogic<[](uint32_t a, uint32_t) { return a; }>();
  t["mov.pred"].operands[2] = 0;
}

}  // namespace fire::simulator
