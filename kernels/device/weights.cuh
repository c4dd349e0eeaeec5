// The weight of a logit, as fast as the machine allows with the bits of definition/weight.h.
//
// Three equalities make it cheap where the row's numbers are of ordinary size: a clamp to [0, 1] costs nothing on an
// FMA, and scaling by powers of two is exact, so d is found as −(m − x) · 2^-k clamped there; Horner's constants scaled
// by 2^S give p · 2^S; and a conversion that truncates is the contract's shift, once 2^n is added to the exponent.
#pragma once

#include "definition/weight.h"
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

// Weighs a logit that is not NaN, which would weigh as much as the maximum.
__device__ __forceinline__ uint64_t FastWeight(float logit, const FastScale& scale) {
  constexpr float kUp = static_cast<float>(1ull << 44);
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
  return __float2ull_rz(__uint_as_float(__float_as_uint(p) + (__float_as_uint(z) << 23)));
}

}  // namespace fire::kernels
