// A logit's weight: an integer close to √2 · 2^S · exp((x − m) / T). Integers add exactly in any order, so the
// mass of a set is the same however the row is split.
#pragma once

#include "definition/order.h"
#include "definition/phase.h"

namespace fire::definition {

inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kRoundingShift = 0x1.8p+23f;  // adding it rounds a float to an integer
inline constexpr uint32_t kRoundingShiftBits = 0x4B400000u;
inline constexpr uint32_t kHalfBits = 0x3F000000u;

// √2 · 2^f on [−1/2, 1/2], lowest power first: fitted so that rounding to float32 at each step costs little.
inline constexpr float kPolynomial[6] = {0x1.6a09eap+0f, 0x1.f5e45cp-1f, 0x1.5be09ap-2f,
                                         0x1.418814p-4f, 0x1.c05fb0p-7f, 0x1.ec320ap-10f};

// S: the largest scale at which `vocabulary` weights still add up below 2^62.5.
FIRE_RULE int WeightScaleBits(uint32_t vocabulary) {
  const int width = BitWidth(vocabulary - 1);
  return 44 - (width > 18 ? width - 18 : 0);
}

// Everything a weight depends on besides its logit.
struct WeightScale {
  float maximum;  // m, the row's largest logit; finite
  float slope;    // c = log2(e) / T; 0 at infinite temperature
  float floor;    // below it d = x − m is clamped, where the weight is 0 already
  int bits;       // S
};

// c, of a temperature that is not infinite.
FIRE_RULE float WeightSlope(float temperature) { return Divide(kLog2E, temperature); }

FIRE_RULE WeightScale MakeWeightScale(float maximum, float temperature, uint32_t vocabulary) {
  const int bits = WeightScaleBits(vocabulary);
  // At infinite temperature every finite logit weighs what the maximum does: slope 0, and any finite floor,
  // which keeps an overflowing x − m from meeting the zero slope.
  if (HeatOf(temperature) == Heat::kInfinite) return {maximum, 0.0f, -1.0f, bits};
  const float slope = WeightSlope(temperature);
  return {maximum, slope, Divide(-static_cast<float>(bits + 3), slope), bits};
}

// `logit` may be anything but +inf; −inf and NaN weigh 0.
FIRE_RULE uint64_t Weight(float logit, const WeightScale& scale) {
  const uint32_t bits = SanitisedBits(FloatBits(logit));
  if (bits == kNegativeInfinityBits) return 0;
  const float difference = BitsToFloat(bits) - scale.maximum;
  const float d = difference > scale.floor ? difference : scale.floor;
  const float z = Opaque(Fma(d, scale.slope, kRoundingShift));
  const float n = Opaque(z - kRoundingShift);
  const float f = Fma(d, scale.slope, -n);
  // Device code may use the constants' values, not the array.
  constexpr float p0 = kPolynomial[0], p1 = kPolynomial[1], p2 = kPolynomial[2];
  constexpr float p3 = kPolynomial[3], p4 = kPolynomial[4], p5 = kPolynomial[5];
  const float p = Fma(Fma(Fma(Fma(Fma(p5, f, p4), f, p3), f, p2), f, p1), f, p0);
  const uint64_t mantissa = FloatBits(p) - kHalfBits;
  return (mantissa << (scale.bits - 23)) >> (kRoundingShiftBits - FloatBits(z));
}

// The weight of the row's largest logit: d = x − m is 0 there, so it depends on the vocabulary alone.
FIRE_RULE uint64_t WeightOfMaximum(uint32_t vocabulary) {
  return Weight(0.0f, {0.0f, 0.0f, -1.0f, WeightScaleBits(vocabulary)});
}

}  // namespace fire::definition
