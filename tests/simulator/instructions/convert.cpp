// cvt between every pair of types.
#include <algorithm>
#include <utility>

#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/rounding.h"

namespace fire::simulator {
namespace {

// Rows hold narrow integers extended by their own sign, so that a wider register reads the value.
template <class D>
using Stored = std::conditional_t<sizeof(D) >= 4, D, std::conditional_t<std::is_signed_v<D>, int32_t, uint32_t>>;

template <class D, class S>
void AddIntegers(Table& t, const std::string& d, const std::string& s) {
  t["cvt." + d + "." + s] = Unary<Stored<D>, S, [](S a) { return Stored<D>(static_cast<D>(a)); }>();
  t["cvt.sat." + d + "." + s] = Unary<Stored<D>, S, [](S a) {
    using L = std::numeric_limits<D>;
    if (std::cmp_less(a, L::min())) return Stored<D>(L::min());
    if (std::cmp_greater(a, L::max())) return Stored<D>(L::max());
    return Stored<D>(static_cast<D>(a));
  }>();
}

template <class F>
F ToWhole(F a, Rounding rounding) {
  switch (rounding) {
    case Rounding::kNearest:
      return std::nearbyint(a);  // the host rounds to nearest even
    case Rounding::kZero:
      return std::trunc(a);
    case Rounding::kDown:
      return std::floor(a);
    default:
      return std::ceil(a);
  }
}

// Out of range gives the nearest integer of the type; a NaN gives 0, or only the top bit where 64 bits are involved.
template <class D, class F>
D ToInteger(F a, Rounding rounding, bool wide) {
  using L = std::numeric_limits<D>;
  if (a != a) return wide ? static_cast<D>(uint64_t{1} << (8 * sizeof(D) - 1)) : D{0};
  const F whole = ToWhole(a, rounding);
  if (whole <= static_cast<F>(L::min())) return L::min();
  if (whole >= std::ldexp(F{1}, L::digits)) return L::max();
  return static_cast<D>(whole);
}

struct HalfBits {
  uint16_t bits;
};
struct BrainBits {
  uint16_t bits;
};
float Value(float a) { return a; }
double Value(double a) { return a; }
float Value(HalfBits a) { return static_cast<float>(Decode<Half>(a.bits)); }
float Value(BrainBits a) { return static_cast<float>(Decode<Brain>(a.bits)); }

template <class D, class F, Rounding rounding>
void AddFloatToInteger(Table& t, const std::string& modifier, const std::string& d, const std::string& s) {
  constexpr bool wide = sizeof(D) == 8 || sizeof(F) == 8;
  const Choice choice = Unary<Stored<D>, F, [](F a) { return Stored<D>(ToInteger<D>(Value(a), rounding, wide)); }>();
  t["cvt" + modifier + "." + d + "." + s] = t["cvt" + modifier + ".sat." + d + "." + s] = choice;
}

template <class D, class F>
void AddFloatToInteger(Table& t, const std::string& d, const std::string& s) {
  AddFloatToInteger<D, F, Rounding::kNearest>(t, ".rni", d, s);
  AddFloatToInteger<D, F, Rounding::kZero>(t, ".rzi", d, s);
  AddFloatToInteger<D, F, Rounding::kDown>(t, ".rmi", d, s);
  AddFloatToInteger<D, F, Rounding::kUp>(t, ".rpi", d, s);
}

// The integer as a double rounded to odd.
template <class S>
double IntegerToOdd(S a) {
  if constexpr (sizeof(S) < 8) {
    return static_cast<double>(a);
  } else {
    const bool negative = a < S{0};
    const uint64_t magnitude = negative ? uint64_t{0} - static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
    const int drop = std::max(0, 64 - std::countl_zero(magnitude) - 53);
    uint64_t kept = magnitude >> drop;
    if (kept << drop != magnitude) kept |= 1;
    const double value = std::ldexp(static_cast<double>(kept), drop);
    return negative ? -value : value;
  }
}

template <class S, Rounding rounding>
void AddIntegerToFloat(Table& t, const std::string& modifier, const std::string& s) {
  t["cvt" + modifier + ".f32." + s] = Unary<float, S, [](S a) { return RoundToFloat(IntegerToOdd(a), rounding); }>();
  t["cvt" + modifier + ".f16." + s] = Unary<uint16_t, S, [](S a) { return Encode<Half>(IntegerToOdd(a), rounding); }>();
  t["cvt" + modifier + ".bf16." + s] =
      Unary<uint16_t, S, [](S a) { return Encode<Brain>(IntegerToOdd(a), rounding); }>();
}

template <class S>
void AddFromInteger(Table& t, const std::string& s) {
  AddIntegers<uint8_t, S>(t, "u8", s);
  AddIntegers<int8_t, S>(t, "s8", s);
  AddIntegers<uint16_t, S>(t, "u16", s);
  AddIntegers<int16_t, S>(t, "s16", s);
  AddIntegers<uint32_t, S>(t, "u32", s);
  AddIntegers<int32_t, S>(t, "s32", s);
  AddIntegers<uint64_t, S>(t, "u64", s);
  AddIntegers<int64_t, S>(t, "s64", s);
  AddIntegerToFloat<S, Rounding::kNearest>(t, ".rn", s);
  AddIntegerToFloat<S, Rounding::kZero>(t, ".rz", s);
  AddIntegerToFloat<S, Rounding::kDown>(t, ".rm", s);
  AddIntegerToFloat<S, Rounding::kUp>(t, ".rp", s);
  t["cvt.rn.f64." + s] = Unary<double, S, [](S a) { return static_cast<double>(a); }>();
}

template <class F>
void AddToInteger(Table& t, const std::string& s) {
  AddFloatToInteger<uint8_t, F>(t, "u8", s);
  AddFloatToInteger<int8_t, F>(t, "s8", s);
  AddFloatToInteger<uint16_t, F>(t, "u16", s);
  AddFloatToInteger<int16_t, F>(t, "s16", s);
  AddFloatToInteger<uint32_t, F>(t, "u32", s);
  AddFloatToInteger<int32_t, F>(t, "s32", s);
  AddFloatToInteger<uint64_t, F>(t, "u64", s);
  AddFloatToInteger<int64_t, F>(t, "s64", s);
}

template <class Format, Rounding rounding>
void AddNarrow(Table& t, const std::string& modifier, const std::string& type) {
  t["cvt" + modifier + "." + type + ".f32"] =
      Unary<uint16_t, float, [](float a) { return Encode<Format>(a, rounding); }>();
  t["cvt" + modifier + "." + type + "x2.f32"] = Binary<uint32_t, float, float, [](float a, float b) {
    return uint32_t{Encode<Format>(a, rounding)} << 16 | Encode<Format>(b, rounding);
  }>();
  t["cvt" + modifier + ".relu." + type + ".f32"] = Unary<uint16_t, float, [](float a) {
    const uint16_t x = Encode<Format>(a, rounding);
    return static_cast<uint16_t>(x & 0x8000 ? 0 : x);
  }>();
}

template <Rounding rounding>
void AddFloatToFloat(Table& t, const std::string& modifier) {
  t["cvt" + modifier + ".f32.f64"] = Unary<float, double, [](double a) { return RoundToFloat(a, rounding); }>();
  AddNarrow<Half, rounding>(t, modifier, "f16");
  AddNarrow<Brain, rounding>(t, modifier, "bf16");
  t["cvt" + modifier + "i.f32.f32"] = Unary<float, float, [](float a) { return Canonical(ToWhole(a, rounding)); }>();
  t["cvt" + modifier + "i.f64.f64"] = Unary<double, double, [](double a) { return Canonical(ToWhole(a, rounding)); }>();
}

}  // namespace

void AddConvert(Table& t) {
  AddFromInteger<uint8_t>(t, "u8");
  AddFromInteger<int8_t>(t, "s8");
  AddFromInteger<uint16_t>(t, "u16");
  AddFromInteger<int16_t>(t, "s16");
  AddFromInteger<uint32_t>(t, "u32");
  AddFromInteger<int32_t>(t, "s32");
  AddFromInteger<uint64_t>(t, "u64");
  AddFromInteger<int64_t>(t, "s64");
  AddToInteger<float>(t, "f32");
  AddToInteger<double>(t, "f64");
  AddToInteger<HalfBits>(t, "f16");
  AddToInteger<BrainBits>(t, "bf16");
  AddFloatToFloat<Rounding::kNearest>(t, ".rn");
  AddFloatToFloat<Rounding::kZero>(t, ".rz");
  AddFloatToFloat<Rounding::kDown>(t, ".rm");
  AddFloatToFloat<Rounding::kUp>(t, ".rp");
  t["cvt.f32.f16"] = Unary<float, HalfBits, [](HalfBits a) { return Canonical(Value(a)); }>();
  t["cvt.f32.bf16"] = Unary<float, BrainBits, [](BrainBits a) { return Canonical(Value(a)); }>();
  t["cvt.f64.f32"] = Unary<double, float, [](float a) { return Canonical(static_cast<double>(a)); }>();
  t["cvt.f64.f16"] = Unary<double, HalfBits, [](HalfBits a) { return Canonical(Decode<Half>(a.bits)); }>();
  t["cvt.sat.f32.f32"] = Unary<float, float, [](float a) { return std::fmin(std::fmax(a, 0.0f), 1.0f) + 0.0f; }>();
}

}  // namespace fire::simulator
