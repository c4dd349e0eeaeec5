// Floating-point arithmetic, comparisons and conversions: PTX against plain C++.
#include <cfenv>

#include "tests/simulator/tests/instruction_check.h"

namespace fire::simulator {
namespace {

using f32 = float;
using f64 = double;
using i32 = int32_t;
using u32 = uint32_t;
using u16 = uint16_t;
using i64 = int64_t;
using u64 = uint64_t;

// The C++ expression in another rounding mode of the host.
template <class F>
auto Rounded(int mode, F f) {
  const int before = std::fegetround();
  std::fesetround(mode);
  volatile auto result = f();
  std::fesetround(before);
  return result;
}

f32 AddIn(int mode, f32 a, f32 b) {
  volatile f32 x = a, y = b;
  return Rounded(mode, [&] { return x + y; });
}
f32 MultiplyIn(int mode, f32 a, f32 b) {
  volatile f32 x = a, y = b;
  return Rounded(mode, [&] { return x * y; });
}
f32 FmaIn(int mode, f32 a, f32 b, f32 c) {
  volatile f32 x = a, y = b, z = c;
  return Rounded(mode, [&] { return std::fma(x, y, z); });
}

// PTX orders −0 below +0 and prefers a number to a NaN.
f32 Larger(f32 a, f32 b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a < b ? b : a;
}
f32 Smaller(f32 a, f32 b) { return -Larger(-a, -b); }
f32 LargerNan(f32 a, f32 b) { return std::isnan(a) || std::isnan(b) ? NAN : Larger(a, b); }

f32 Saturated(f32 x) { return x > 0 ? std::fmin(x, 1.0f) : 0.0f; }

template <class I, class F>
I ToInteger(F x) {
  if (std::isnan(x)) return sizeof(I) == 8 ? I(1) << (8 * sizeof(I) - 1) : I(0);
  if (x <= static_cast<F>(std::numeric_limits<I>::min())) return std::numeric_limits<I>::min();
  if (x >= std::ldexp(F(1), std::numeric_limits<I>::digits)) return std::numeric_limits<I>::max();
  return static_cast<I>(x);
}

// A value with `fraction` bits behind the leading one and exponents from `least` to `most`: the nearest, ties to even.
f64 NearestOf(f64 x, int fraction, int least, int most) {
  if (!std::isfinite(x) || x == 0) return x;
  const int exponent = std::max(std::ilogb(x), least);
  const f64 rounded = std::ldexp(std::nearbyint(std::ldexp(x, fraction - exponent)), exponent - fraction);
  return std::fabs(rounded) >= std::ldexp(1.0, most + 1) ? std::copysign(INFINITY, x) : rounded;
}
f64 NearestHalf(f64 x) { return NearestOf(x, 10, -14, 15); }
f64 NearestBrain(f64 x) { return NearestOf(x, 7, -126, 127); }

// Bits of a half from a value that is one.
u16 HalfBits(f64 x) {
  if (std::isnan(x)) return 0x7fff;
  const u16 sign = std::signbit(x) ? 0x8000 : 0;
  x = std::fabs(x);
  if (std::isinf(x)) return sign | 0x7c00;
  if (x < std::ldexp(1.0, -14)) return static_cast<u16>(sign | static_cast<u16>(std::ldexp(x, 24)));
  const int exponent = std::ilogb(x);
  return static_cast<u16>(sign | (exponent + 15) << 10 | (static_cast<u16>(std::ldexp(x, 10 - exponent)) & 0x3ff));
}
u16 BrainBits(f64 x) {
  if (std::isnan(x)) return 0x7fff;
  const auto single = static_cast<f32>(x);
  return static_cast<u16>(Bits(single) >> 16);
}
f32 OfBrain(u16 bits) {
  const u32 wide = u32{bits} << 16;
  f32 value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
f32 OfHalf(u16 bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  const f32 magnitude = exponent == 31
                            ? (fraction ? NAN : INFINITY)
                            : std::ldexp(f32(exponent ? 1024 + fraction : fraction), std::max(exponent, 1) - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// Sixteen-bit results are compared as the values they stand for, so that any NaN equals any other.
#define HALF_RESULT(Name, Text, r, A, a_, B, b_, Expected) \
  BINARY(Name, "{.reg .b16 h; " Text " cvt.f32.f16 %0, h;}", f32, r, A, a_, B, b_, Expected)

BINARY(Add, "add.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", a + b)
BINARY(Sub, "sub.rn.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", a - b)
BINARY(Mul, "mul.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", (a * b))
BINARY(AddZero, "add.rz.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", AddIn(FE_TOWARDZERO, a, b))
BINARY(AddDown, "add.rm.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", AddIn(FE_DOWNWARD, a, b))
BINARY(AddUp, "add.rp.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", AddIn(FE_UPWARD, a, b))
BINARY(MulZero, "mul.rz.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", MultiplyIn(FE_TOWARDZERO, a, b))
BINARY(MulUp, "mul.rp.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", MultiplyIn(FE_UPWARD, a, b))
BINARY(AddSat, "add.sat.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", Saturated(a + b))
TERNARY(Fma, "fma.rn.f32 %0, %1, %2, %3;", f32, "f", f32, "f", f32, "f", f32, "f", std::fma(a, b, c))
TERNARY(FmaZero, "fma.rz.f32 %0, %1, %2, %3;", f32, "f", f32, "f", f32, "f", f32, "f", FmaIn(FE_TOWARDZERO, a, b, c))
TERNARY(FmaDown, "fma.rm.f32 %0, %1, %2, %3;", f32, "f", f32, "f", f32, "f", f32, "f", FmaIn(FE_DOWNWARD, a, b, c))
TERNARY(FmaSat, "fma.rn.sat.f32 %0, %1, %2, %3;", f32, "f", f32, "f", f32, "f", f32, "f", Saturated(std::fma(a, b, c)))
BINARY(Div, "div.rn.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", a / b)
UNARY(Rcp, "rcp.rn.f32 %0, %1;", f32, "f", f32, "f", 1.0f / a)
UNARY(Sqrt, "sqrt.rn.f32 %0, %1;", f32, "f", f32, "f", std::sqrt(a))
UNARY(Exp2, "ex2.approx.f32 %0, %1;", f32, "f", f32, "f", std::exp2(f64(a)))
UNARY(Log2, "lg2.approx.f32 %0, %1;", f32, "f", f32, "f", std::log2(f64(a)))
UNARY(RcpApprox, "rcp.approx.f32 %0, %1;", f32, "f", f32, "f", 1.0 / f64(a))
UNARY(RsqrtApprox, "rsqrt.approx.f32 %0, %1;", f32, "f", f32, "f", 1.0 / std::sqrt(f64(a)))
UNARY(Neg, "neg.f32 %0, %1;", f32, "f", f32, "f", -a)
UNARY(Abs, "abs.f32 %0, %1;", f32, "f", f32, "f", std::fabs(a))
BINARY(CopySign, "copysign.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", std::copysign(b, a))
BINARY(Max, "max.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", Larger(a, b))
BINARY(Min, "min.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", Smaller(a, b))
BINARY(MaxNan, "max.NaN.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", LargerNan(a, b))
BINARY(MinNan, "min.NaN.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", -LargerNan(-a, -b))
BINARY(AddF64, "add.f64 %0, %1, %2;", f64, "d", f64, "d", f64, "d", a + b)
TERNARY(FmaF64, "fma.rn.f64 %0, %1, %2, %3;", f64, "d", f64, "d", f64, "d", f64, "d", std::fma(a, b, c))
BINARY(DivF64, "div.rn.f64 %0, %1, %2;", f64, "d", f64, "d", f64, "d", a / b)

BINARY(SetpEq, "{.reg .pred p; setp.eq.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f", a == b)
BINARY(SetpNe, "{.reg .pred p; setp.ne.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f",
       (a < b) || (a > b))
BINARY(SetpNeu, "{.reg .pred p; setp.neu.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f", a != b)
BINARY(SetpLt, "{.reg .pred p; setp.lt.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f", a < b)
BINARY(SetpGeu, "{.reg .pred p; setp.geu.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f", !(a < b))
BINARY(SetpGtu, "{.reg .pred p; setp.gtu.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f",
       !(a <= b))
BINARY(SetpNum, "{.reg .pred p; setp.num.f32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f", f32, "f",
       !std::isnan(a) && !std::isnan(b))
BINARY(SetGe, "set.ge.f32.f32 %0, %1, %2;", f32, "f", f32, "f", f32, "f", a >= b ? 1.0f : 0.0f)
BINARY(SetNan, "set.nan.u32.f32 %0, %1, %2;", u32, "r", f32, "f", f32, "f", std::isnan(a) || std::isnan(b) ? ~0u : 0u)
UNARY(TestpSubnormal, "{.reg .pred p; testp.subnormal.f32 p, %1; selp.u32 %0, 1, 0, p;}", u32, "r", f32, "f",
      std::fpclassify(a) == FP_SUBNORMAL)

UNARY(CvtF32S32, "cvt.rn.f32.s32 %0, %1;", f32, "f", i32, "r", a)
UNARY(CvtF32U32, "cvt.rn.f32.u32 %0, %1;", f32, "f", u32, "r", a)
UNARY(CvtF32U64, "cvt.rn.f32.u64 %0, %1;", f32, "f", u64, "l", a)
UNARY(CvtF32U64Zero, "cvt.rz.f32.u64 %0, %1;", f32, "f", u64, "l",
      Rounded(FE_TOWARDZERO, [x = static_cast<volatile u64&>(a)] { return static_cast<f32>(x); }))
UNARY(CvtF64S64, "cvt.rn.f64.s64 %0, %1;", f64, "d", i64, "l", a)
UNARY(CvtF64F32, "cvt.f64.f32 %0, %1;", f64, "d", f32, "f", a)
UNARY(CvtF32F64, "cvt.rn.f32.f64 %0, %1;", f32, "f", f64, "d", a)
UNARY(CvtS32Zero, "cvt.rzi.s32.f32 %0, %1;", i32, "r", f32, "f", ToInteger<i32>(std::trunc(a)))
UNARY(CvtS32Nearest, "cvt.rni.s32.f32 %0, %1;", i32, "r", f32, "f", ToInteger<i32>(std::nearbyint(a)))
UNARY(CvtU32Down, "cvt.rmi.u32.f32 %0, %1;", u32, "r", f32, "f", ToInteger<u32>(std::floor(a)))
UNARY(CvtU64Zero, "cvt.rzi.u64.f32 %0, %1;", u64, "l", f32, "f", ToInteger<u64>(std::trunc(a)))
UNARY(CvtS64Up, "cvt.rpi.s64.f64 %0, %1;", i64, "l", f64, "d", ToInteger<i64>(std::ceil(a)))
UNARY(CvtWhole, "cvt.rni.f32.f32 %0, %1;", f32, "f", f32, "f", std::nearbyint(a))
UNARY(CvtFloor, "cvt.rmi.f32.f32 %0, %1;", f32, "f", f32, "f", std::floor(a))
UNARY(CvtSat, "cvt.sat.f32.f32 %0, %1;", f32, "f", f32, "f", Saturated(a))
UNARY(CvtHalf, "{.reg .b16 h; cvt.rn.f16.f32 h, %1; cvt.f32.f16 %0, h;}", f32, "f", f32, "f", NearestHalf(a))
UNARY(CvtBrain, "{.reg .b16 h; cvt.rn.bf16.f32 h, %1; mov.b32 %0, {0, h};}", f32, "f", f32, "f", NearestBrain(a))
UNARY(HalfToFloat, "cvt.f32.f16 %0, %1;", f32, "f", u16, "h", OfHalf(a))
BINARY(CvtBrainPair, "cvt.rn.bf16x2.f32 %0, %1, %2;", u32, "r", f32, "f", f32, "f",
       u32{BrainBits(NearestBrain(a))} << 16 | BrainBits(NearestBrain(b)))
BINARY(CvtHalfPair, "cvt.rn.f16x2.f32 %0, %1, %2;", u32, "r", f32, "f", f32, "f",
       u32{HalfBits(NearestHalf(a))} << 16 | HalfBits(NearestHalf(b)))
HALF_RESULT(AddHalf, "add.f16 h, %1, %2;", "f", u16, "h", u16, "h", NearestHalf(f64(OfHalf(a)) + OfHalf(b)))
HALF_RESULT(MulHalf, "mul.f16 h, %1, %2;", "f", u16, "h", u16, "h", NearestHalf(f64(OfHalf(a)) * OfHalf(b)))
HALF_RESULT(MaxHalf, "max.f16 h, %1, %2;", "f", u16, "h", u16, "h", Larger(OfHalf(a), OfHalf(b)))
BINARY(MinBrain, "{.reg .b16 h; min.bf16 h, %1, %2; mov.b32 %0, {0, h};}", f32, "f", u16, "h", u16, "h",
       Smaller(OfBrain(a), OfBrain(b)))
BINARY(MaxNanBrainPair,
       "{.reg .b32 x, y; .reg .b16 h, l; mov.b32 x, {%1, %2}; mov.b32 y, {%2, %1}; "
       "max.NaN.bf16x2 x, x, y; mov.b32 {l, h}, x; mov.b32 %0, {0, h};}",
       f32, "f", u16, "h", u16, "h", LargerNan(OfBrain(a), OfBrain(b)))
TERNARY(FmaBrain, "{.reg .b16 h; fma.rn.bf16 h, %1, %2, %3; mov.b32 %0, {0, h};}", f32, "f", u16, "h", u16, "h", u16,
        "h", NearestBrain(static_cast<f64>(static_cast<long double>(OfBrain(a)) * OfBrain(b) + OfBrain(c))))

TEST(FloatInstructions, GiveWhatPlainCppGives) {
  for (const InstructionCheck check : InstructionChecks()) check();
}

}  // namespace
}  // namespace fire::simulator
