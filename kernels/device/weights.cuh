// The weight of a logit, as fast as the machine allows with the bits of definition/weight.h.
//
// Three equalities make it cheap where the row's numbers are of ordinary size: a clamp to [0, 1] costs nothing on an
// FMA, and scaling by powers of two is exact, so d is found as −(m − x) · 2^-k clamped there; Horner's constants scaled
// by 2^S give p · 2^S; and a conversion that truncates is the contract's shift, once 2^n is added to the exponent.
// Where conversions to 64 bits are slow it is a shift, for two instructions more. Where an instruction takes two floats
// the polynomial is evaluated for two logits at once.
#pragma once

#include "definition/weight.h"
#include "kernels/device/ptx.cuh"
#include "kernels/storage.h"

namespace fire::kernels {

using definition::WeightScale;

__device__ __forceinline__ FastScale MakeFastScale(const WeightScale& scale) {
  FastScale fast = {};
  const float size = fabsf(scale.maximum);
  fast.is_exact = scale.bits == 44 && scale.slope >= 0x1p-120f && scale.slope <= 0x1p65f && size <= 0x1p60f;
  if (!fast.is_exact) return fast;
  const int k = 6 + 127 - static_cast<int>(definition::FloatBits(scale.slope) >> 23);
  const float down = definition::BitsToFloat(static_cast<uint32_t>(127 - k) << 23);
  const float up = definition::BitsToFloat(static_cast<uint32_t>(127 + k) << 23);
  fast.shrink = -down;
  fast.maximum = scale.maximum * down;
  fast.slope = -(scale.slope * up);
  return fast;
}

// What the polynomial is evaluated for: one float, or two by the same instructions.
struct OneFloat {
  using Value = float;
  static __device__ __forceinline__ Value Both(float x) { return x; }
  static __device__ __forceinline__ Value Fma(Value a, Value b, Value c) { return __fmaf_rn(a, b, c); }
  static __device__ __forceinline__ Value Minus(Value a, Value b) { return __fsub_rn(a, b); }
};

struct TwoFloats {
  using Value = uint64_t;
  static __device__ __forceinline__ Value Both(float x) { return ptx::FloatPair(x, x); }
  static __device__ __forceinline__ Value Fma(Value a, Value b, Value c) { return ptx::FmaPair(a, b, c); }
  static __device__ __forceinline__ Value Minus(Value a, Value b) { return ptx::SubPair(a, b); }
};

// −(m − x) · 2^-k, clamped, of a logit that is not NaN, which would weigh as much as the maximum.
__device__ __forceinline__ float DistanceOf(float logit, const FastScale& scale) {
  return __saturatef(__fmaf_rn(logit, scale.shrink, scale.maximum));
}

// √2 · 2^f · 2^kBits, and a float whose low bits are n.
template <typename Floats>
struct PowerParts {
  typename Floats::Value power, whole;
};

template <int kBits, typename Floats>
__device__ __forceinline__ PowerParts<Floats> PartsOf(typename Floats::Value d, const FastScale& scale) {
  constexpr float kUp = static_cast<float>(1ull << kBits);
  constexpr float p0 = kUp * definition::kPolynomial[0], p1 = kUp * definition::kPolynomial[1];
  constexpr float p2 = kUp * definition::kPolynomial[2], p3 = kUp * definition::kPolynomial[3];
  constexpr float p4 = kUp * definition::kPolynomial[4], p5 = kUp * definition::kPolynomial[5];
  const auto slope = Floats::Both(scale.slope), shift = Floats::Both(definition::kRoundingShift);
  const auto z = Floats::Fma(d, slope, shift);
  const auto f = Floats::Fma(d, slope, Floats::Minus(shift, z));
  auto p = Floats::Fma(f, Floats::Both(p5), Floats::Both(p4));
  p = Floats::Fma(f, p, Floats::Both(p3));
  p = Floats::Fma(f, p, Floats::Both(p2));
  p = Floats::Fma(f, p, Floats::Both(p1));
  p = Floats::Fma(f, p, Floats::Both(p0));
  return {p, z};
}

// power · 2^n.
__device__ __forceinline__ float PowerOf(float power, float whole) {
  return __uint_as_float(__float_as_uint(power) + (__float_as_uint(whole) << 23));
}

// What is truncated to the weight of a logit.
__device__ __forceinline__ float FastPower(float logit, const FastScale& scale) {
  const PowerParts<OneFloat> parts = PartsOf<44, OneFloat>(DistanceOf(logit, scale), scale);
  return PowerOf(parts.power, parts.whole);
}

__device__ __forceinline__ uint64_t Truncated(float power) { return __float2ull_rz(power); }

// A multiprocessor of 8.6, 8.9 and 12.0 converts 2 floats a clock to 64 bits, others 16 ("Arithmetic Instructions" in
// the CUDA programming guide).
#if __CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200
inline constexpr bool kShiftsWeights = true;
#else
inline constexpr bool kShiftsWeights = false;
#endif

__device__ __forceinline__ uint64_t Shifted(const PowerParts<OneFloat>& parts) {
  const uint32_t mantissa = __float_as_uint(parts.power) - definition::kHalfBits;
  constexpr uint32_t kNoShift = definition::kRoundingShiftBits + 32 - (44 - 23);
  return ptx::ShiftRight(uint64_t{mantissa} << 32, kNoShift - __float_as_uint(parts.whole));
}

__device__ __forceinline__ uint64_t FastWeight(float logit, const FastScale& scale) {
  if constexpr (kShiftsWeights) {
    return Shifted(PartsOf<0, OneFloat>(DistanceOf(logit, scale), scale));
  } else {
    return Truncated(FastPower(logit, scale));
  }
}

// The same where FastPower reaches `least`; else 0.
__device__ __forceinline__ uint64_t FastWeightFrom(float logit, float least, const FastScale& scale) {
  if constexpr (kShiftsWeights) {
    const PowerParts<OneFloat> parts = PartsOf<0, OneFloat>(DistanceOf(logit, scale), scale);
    return PowerOf(parts.power, parts.whole) >= least * 0x1p-44f ? Shifted(parts) : 0;
  } else {
    const float power = FastPower(logit, scale);
    return Truncated(power >= least ? power : 0);
  }
}

// The weights of two logits, added up. Machine code for 10.0 and 10.3 has instructions for two floats; elsewhere each
// becomes two.
__device__ __forceinline__ uint64_t FastWeights(float a, float b, const FastScale& scale) {
#if __CUDA_ARCH__ / 100 == 10
  const uint64_t distances = ptx::FloatPair(DistanceOf(a, scale), DistanceOf(b, scale));
  const PowerParts<TwoFloats> parts = PartsOf<44, TwoFloats>(distances, scale);
  const float2 power = ptx::FloatsOf(parts.power), whole = ptx::FloatsOf(parts.whole);
  return Truncated(PowerOf(power.x, whole.x)) + Truncated(PowerOf(power.y, whole.y));
#else
  return FastWeight(a, scale) + FastWeight(b, scale);
#endif
}

// A divisor that all quotients of a row share.
struct Divisor {
  float value, reciprocal;
};

__device__ __forceinline__ Divisor MakeDivisor(float value) { return {value, __frcp_rn(value)}; }

// a / by, to the nearest: what is left of a quotient divided again, twice. Holds by Markstein's theorem where the
// divisor's mantissa is not all ones and nothing underflows.
__device__ __forceinline__ float Quotient(float a, const Divisor& by) {
  float q = __fmul_rn(a, by.reciprocal);
#pragma unroll
  for (int i = 0; i < 2; ++i) q = __fmaf_rn(__fmaf_rn(-q, by.value, a), by.reciprocal, q);
  return q;
}

// definition::SlopeOver of a row's logits that are not the token, times a gradient, as fast as the machine allows with
// the same bits.
struct FastSlope {
  FastScale scale;
  Divisor mass, temperature;
  float grad;
  bool is_exact;  // else the row takes definition::SlopeOver
};

__device__ __forceinline__ FastSlope MakeFastSlope(const WeightScale& scale, uint64_t mass, float temperature,
                                                   float grad) {
  constexpr uint32_t kMantissa = 0x7FFFFFu;
  const FastSlope slope = {.scale = MakeFastScale(scale),
                           .mass = MakeDivisor(static_cast<float>(mass)),
                           .temperature = MakeDivisor(temperature),
                           .grad = grad,
                           .is_exact = false};
  FastSlope out = slope;
  out.is_exact = slope.scale.is_exact && temperature >= 0x1p-64f && temperature <= 0x1p40f &&
                 (~__float_as_uint(slope.mass.value) & kMantissa) != 0 &&
                 (~__float_as_uint(temperature) & kMantissa) != 0;
  return out;
}

// A weight is a float: up to 2^24 it is an integer below that, beyond it has 24 bits.
__device__ __forceinline__ float SlopeOf(float logit, const FastSlope& slope) {
  const float share = Quotient(truncf(FastPower(logit, slope.scale)), slope.mass);
  return -Quotient(share, slope.temperature) * slope.grad;
}

}  // namespace fire::kernels
