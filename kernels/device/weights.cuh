// The weight of a logit, as fast as the machine allows with the bits of definition/weight.h.
//
// Three equalities make it cheap where the row's numbers are of ordinary size: a clamp to [0, 1] costs nothing on an
// FMA, and scaling by powers of two is exact, so d is found as −(m − x) · 2^-k clamped there; Horner's constants scaled
// by 2^S give p · 2^S; and a conversion that truncates is the contract's shift, once 2^n is added to the exponent.
// Where conversions to 64 bits are slow it is a shift, for two instructions more.
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

// √2 · 2^f · 2^kBits of a logit that is not NaN, and a float whose low bits are n.
struct PowerParts {
  float power, whole;
};

template <int kBits>
__device__ __forceinline__ PowerParts PartsOf(float logit, const FastScale& scale) {
  constexpr float kUp = static_cast<float>(1ull << kBits);
  constexpr float p0 = kUp * definition::kPolynomial[0], p1 = kUp * definition::kPolynomial[1];
  constexpr float p2 = kUp * definition::kPolynomial[2], p3 = kUp * definition::kPolynomial[3];
  constexpr float p4 = kUp * definition::kPolynomial[4], p5 = kUp * definition::kPolynomial[5];
  const float d = __saturatef(__fmaf_rn(logit, scale.shrink, scale.maximum));
  const float z = __fmaf_rn(d, scale.slope, definition::kRoundingShift);
  const float n = __fsub_rn(z, definition::kRoundingShift);
  const float f = __fmaf_rn(d, scale.slope, -n);
  float p = __fmaf_rn(f, p5, p4);
  p = __fmaf_rn(f, p, p3);
  p = __fmaf_rn(f, p, p2);
  p = __fmaf_rn(f, p, p1);
  p = __fmaf_rn(f, p, p0);
  return {p, z};
}

// What is truncated to the weight of a logit that is not NaN, which would weigh as much as the maximum.
__device__ __forceinline__ float FastPower(float logit, const FastScale& scale) {
  const PowerParts parts = PartsOf<44>(logit, scale);
  return __uint_as_float(__float_as_uint(parts.power) + (__float_as_uint(parts.whole) << 23));
}

// A multiprocessor of 8.6, 8.9 and 12.0 converts 2 floats a clock to 64 bits, others 16 ("Arithmetic Instructions" in
// the CUDA programming guide).
__device__ __forceinline__ uint64_t FastWeight(float logit, const FastScale& scale) {
#if __CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200
  const PowerParts parts = PartsOf<0>(logit, scale);
  const uint32_t mantissa = __float_as_uint(parts.power) - definition::kHalfBits;
  constexpr uint32_t kNoShift = definition::kRoundingShiftBits + 32 - (44 - 23);
  return ptx::ShiftRight(uint64_t{mantissa} << 32, kNoShift - __float_as_uint(parts.whole));
#else
  return __float2ull_rz(FastPower(logit, scale));
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
