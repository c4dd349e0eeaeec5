// Integer arithmetic.
#include <algorithm>
#include <limits>

#include "tests/simulator/instructions/instructions.h"

namespace fire::simulator {
namespace {

template <class T>
using Wider =
    std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
                       std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                                          std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;
template <class T>
using Unsigned = std::make_unsigned_t<T>;

// Unsigned, at least 32 bits: C++ promotes shorter types to int, whose overflow is undefined.
template <class T>
using Ring = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
T High(T a, T b) {
  return static_cast<T>((Wider<T>(a) * Wider<T>(b)) >> (8 * sizeof(T)));
}

// Division by zero gives all ones on the devices PTX runs on.
template <class T>
T Divide(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return static_cast<T>(Ring<T>{0} - Ring<T>(a));
  }
  return static_cast<T>(a / b);
}

template <class T>
T Remainder(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return 0;
  }
  return static_cast<T>(a % b);
}

template <class T>
void AddArithmetic(Table& t, const std::string& type) {
  using R = Ring<T>;
  t["add." + type] = Binary<T, T, T, [](T a, T b) { return R(a) + R(b); }>();
  t["sub." + type] = Binary<T, T, T, [](T a, T b) { return R(a) - R(b); }>();
  t["mul.lo." + type] = Binary<T, T, T, [](T a, T b) { return R(a) * R(b); }>();
  t["mul.hi." + type] = Binary<T, T, T, [](T a, T b) { return High<T>(a, b); }>();
  t["mad.lo." + type] = Ternary<T, T, T, T, [](T a, T b, T c) { return R(a) * R(b) + R(c); }>();
  t["mad.hi." + type] = Ternary<T, T, T, T, [](T a, T b, T c) { return R(High<T>(a, b)) + R(c); }>();
  t["div." + type] = Binary<T, T, T, [](T a, T b) { return Divide<T>(a, b); }>();
  t["rem." + type] = Binary<T, T, T, [](T a, T b) { return Remainder<T>(a, b); }>();
  t["min." + type] = Binary<T, T, T, [](T a, T b) { return a < b ? a : b; }>();
  t["max." + type] = Binary<T, T, T, [](T a, T b) { return (a > b) ? a : b; }>();
  t["sad." + type] = Ternary<T, T, T, T, [](T a, T b, T c) { return R(c) + (a < b ? R(b) - R(a) : R(a) - R(b)); }>();
  if constexpr (std::is_signed_v<T>) {
    t["abs." + type] = Unary<T, T, [](T a) { return a < 0 ? R{0} - R(a) : R(a); }>();
    t["neg." + type] = Unary<T, T, [](T a) { return R{0} - R(a); }>();
  }
  if constexpr (sizeof(T) < 8) {
    using W = Wider<T>;
    t["mul.wide." + type] = Binary<W, T, T, [](T a, T b) { return W(a) * W(b); }>();
    t["mad.wide." + type] =
        Ternary<W, T, T, W, [](T a, T b, W c) { return Unsigned<W>(W(a) * W(b)) + Unsigned<W>(c); }>();
  }
}

// Carry chains. The condition code is one bit a lane, kept as the warp's last predicate.
enum class Carry { kOut, kIn, kInOut };

template <class T, Carry carry, class F>
void RunCarry(Warp& w, const Op& op, uint32_t lanes, F f) {
  auto d = w.R<T>(op.d);
  uint32_t& code = w.predicates[w.cluster->program->predicates - 1];
  uint32_t out = code;
  ForLanes(lanes, [&](int lane) {
    const unsigned __int128 in = carry != Carry::kOut && (code >> lane & 1);
    const auto wide = f(lane, in);
    d.Set(lane, static_cast<T>(wide));
    if (wide >> (8 * sizeof(T)) & 1) {
      out |= 1u << lane;
    } else {
      out &= ~(1u << lane);
    }
  });
  if (carry != Carry::kIn) code = out;
}

template <class T, Carry carry>
void AddCarry(Table& t, const std::string& name) {
  using U = unsigned __int128;
  constexpr char k = Width<T>();
  const bool in = carry != Carry::kOut;
  const std::string end = (carry == Carry::kIn ? "." : ".cc.") + name;
  t[(in ? "addc" : "add") + end] = {[](Warp& w, const Op& op, uint32_t lanes) {
                                      auto a = w.R<T>(op.a), b = w.R<T>(op.b);
                                      RunCarry<T, carry>(w, op, lanes,
                                                         [&](int l, U c) { return U(a[l]) + U(b[l]) + c; });
                                    },
                                    {k, k, k}};
  t[(in ? "subc" : "sub") + end] = {[](Warp& w, const Op& op, uint32_t lanes) {
                                      auto a = w.R<T>(op.a), b = w.R<T>(op.b);
                                      RunCarry<T, carry>(w, op, lanes,
                                                         [&](int l, U c) { return U(a[l]) - U(b[l]) - c; });
                                    },
                                    {k, k, k}};
  t[(in ? "madc.lo" : "mad.lo") + end] = {
      [](Warp& w, const Op& op, uint32_t lanes) {
        auto a = w.R<T>(op.a), b = w.R<T>(op.b), c = w.R<T>(op.c);
        RunCarry<T, carry>(w, op, lanes, [&](int l, U in) { return U(T(a[l] * b[l])) + U(c[l]) + in; });
      },
      {k, k, k, k}};
  t[(in ? "madc.hi" : "mad.hi") + end] = {
      [](Warp& w, const Op& op, uint32_t lanes) {
        auto a = w.R<T>(op.a), b = w.R<T>(op.b), c = w.R<T>(op.c);
        RunCarry<T, carry>(w, op, lanes, [&](int l, U in) { return U(High<T>(a[l], b[l])) + U(c[l]) + in; });
      },
      {k, k, k, k}};
}

template <class T, Carry carry>
void AddCarries(Table& t) {
  const std::string bits = std::to_string(8 * sizeof(T));
  for (const char* sign : {"u", "s"}) {  // the bits are the same; mad.hi of signed operands is left out
    AddCarry<T, carry>(t, sign + bits);
    if (*sign == 's') {
      for (const char* root : {"mad.hi", "madc.hi"}) {
        t.erase(root + std::string(".cc.s") + bits);
        if (std::string(root) == "madc.hi") t.erase(root + std::string(".s") + bits);
      }
    }
  }
}

template <class T>
T Saturate(int64_t wide) {
  return static_cast<T>(std::clamp<int64_t>(wide, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

// Two 16-bit halves of a 32-bit register.
template <class T, auto F>
Choice Halves() {
  return Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) {
    const uint32_t low = static_cast<uint16_t>(F(static_cast<T>(a), static_cast<T>(b)));
    const uint32_t high = static_cast<uint16_t>(F(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
    return low | high << 16;
  }>();
}

template <class A, class B>
int32_t Dot4(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; ++i) c += static_cast<uint32_t>(int32_t(A(a >> 8 * i)) * int32_t(B(b >> 8 * i)));
  return static_cast<int32_t>(c);
}

template <class A, class B>
void AddDot(Table& t, const std::string& types) {
  t["dp4a." + types] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, Dot4<A, B>>();
}

}  // namespace

void AddInteger(Table& t) {
  AddArithmetic<uint16_t>(t, "u16");
  AddArithmetic<int16_t>(t, "s16");
  AddArithmetic<uint32_t>(t, "u32");
  AddArithmetic<int32_t>(t, "s32");
  AddArithmetic<uint64_t>(t, "u64");
  AddArithmetic<int64_t>(t, "s64");
  AddCarries<uint32_t, Carry::kOut>(t);
  AddCarries<uint32_t, Carry::kIn>(t);
  AddCarries<uint32_t, Carry::kInOut>(t);
  AddCarries<uint64_t, Carry::kOut>(t);
  AddCarries<uint64_t, Carry::kIn>(t);
  AddCarries<uint64_t, Carry::kInOut>(t);
  t["add.sat.s32"] = Binary<int32_t, int32_t, int32_t, [](int64_t a, int64_t b) { return Saturate<int32_t>(a + b); }>();
  t["sub.sat.s32"] = Binary<int32_t, int32_t, int32_t, [](int64_t a, int64_t b) { return Saturate<int32_t>(a - b); }>();
  t["mul24.lo.u32"] =
      Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) { return (a & 0xffffff) * (b & 0xffffff); }>();
  t["min.u16x2"] = Halves<uint16_t, [](uint16_t a, uint16_t b) { return std::min(a, b); }>();
  t["max.u16x2"] = Halves<uint16_t, [](uint16_t a, uint16_t b) { return std::max(a, b); }>();
  t["min.s16x2"] = Halves<int16_t, [](int16_t a, int16_t b) { return std::min(a, b); }>();
  t["max.s16x2"] = Halves<int16_t, [](int16_t a, int16_t b) { return std::max(a, b); }>();
  t["add.u16x2"] = t["add.s16x2"] = Halves<uint16_t, [](uint16_t a, uint16_t b) { return a + b; }>();
  AddDot<uint8_t, uint8_t>(t, "u32.u32");
  AddDot<int8_t, int8_t>(t, "s32.s32");
  AddDot<uint8_t, int8_t>(t, "u32.s32");
  AddDot<int8_t, uint8_t>(t, "s32.u32");
}

}  // namespace fire::simulator
