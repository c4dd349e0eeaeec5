// The thresholds of top-p and min-p, as exact integers: the float32 fraction is read through its bits, so the
// product with a 64-bit mass loses nothing. And where in logits min-p's threshold lies, nearly.
#pragma once

#include "definition/weight.h"

namespace fire::definition {

inline constexpr uint32_t kOneBits = 0x3F800000u;

// ceil(fraction · mass) for a fraction in (0, +inf]; what does not fit 64 bits is the largest 64-bit integer.
FIRE_RULE uint64_t CeilOfProduct(uint32_t fraction_bits, uint64_t mass) {
  constexpr uint32_t kLeastBits = kOneBits - (9u << 23);
  if (fraction_bits - kLeastBits < kOneBits - kLeastBits) {
    // From 2^-9 to 1, without branches: each half of the mass gives a product of 56 bits, and the upper one's loses
    // none.
    const uint32_t down = 150 - (fraction_bits >> 23), mantissa = (fraction_bits & 0x7FFFFFu) | 0x800000u;
    const uint64_t of_low = static_cast<uint64_t>(mantissa) * static_cast<uint32_t>(mass);
    const uint64_t of_high = static_cast<uint64_t>(mantissa) * static_cast<uint32_t>(mass >> 32);
    return (of_high << (32 - down)) + ((of_low + ((uint64_t{1} << down) - 1)) >> down);
  }
  if (mass == 0 || fraction_bits == 0) return 0;
  if (fraction_bits >= kInfinityBits) return ~uint64_t{0};
  const uint32_t exponent = fraction_bits >> 23;
  const uint64_t mantissa = exponent == 0 ? fraction_bits : (fraction_bits & 0x7FFFFFu) | 0x800000u;
  // fraction = mantissa · 2^power
  const int power = (exponent == 0 ? 1 : static_cast<int>(exponent)) - 150;
  const uint64_t low = mantissa * mass;
  const uint64_t high = MulHigh64(mantissa, mass);  // below 2^24
  if (power >= 0) {
    if (high != 0 || power >= 64 || (low >> (63 - power) >> 1) != 0) return ~uint64_t{0};
    return low << power;
  }
  const int shift = -power;
  if (shift >= 128) return 1;
  if (shift >= 64) {
    const int rest = shift - 64;
    const bool remainder = low != 0 || (rest != 0 && (high << (64 - rest)) != 0);
    return (high >> rest) + (remainder ? 1 : 0);
  }
  if ((high >> shift) != 0) return ~uint64_t{0};
  const bool remainder = (low << (64 - shift)) != 0;
  const uint64_t quotient = (high << (64 - shift)) | (low >> shift);
  return quotient + (remainder && quotient != ~uint64_t{0} ? 1 : 0);
}

// NaN and 1 or more: off.
FIRE_RULE bool TopPIsOn(float top_p) {
  const uint32_t bits = FloatBits(top_p);
  return !IsNanBits(bits) && ((bits & kSignBit) != 0 || bits < kOneBits);
}

// The mass the nucleus must reach: at least 1, which the first token of the order has, so it is never empty.
FIRE_RULE uint64_t TopPTarget(float top_p, uint64_t mass) {
  const uint32_t bits = FloatBits(top_p);
  const uint64_t target = (bits & kSignBit) != 0 ? 0 : CeilOfProduct(bits, mass);
  return target == 0 ? 1 : target;
}

// NaN, 0 and less: off.
FIRE_RULE bool MinPIsOn(float min_p) {
  const uint32_t bits = FloatBits(min_p);
  return bits != 0 && bits <= kInfinityBits;
}

// The least weight that min-p keeps; 0 keeps all.
FIRE_RULE uint64_t MinPThreshold(float min_p, uint64_t weight_of_maximum) {
  return MinPIsOn(min_p) ? CeilOfProduct(FloatBits(min_p), weight_of_maximum) : 0;
}

// log2 of a weight, its truncation to an integer apart, differs from c · (x − m) by less: rounding x − m errs by
// 2^-24 of up to 47.
inline constexpr float kLog2WeightError = 0x1p-18f;
// Far above that error and above those of log2f and of the divisions below.
inline constexpr float kMinPMargin = 1024 * kLog2WeightError;

// Added to the row's maximum: a smaller logit than maximum + below fails min-p, a larger one than maximum + above
// passes. Between them a logit does not tell, and its exact weight must. Both −inf where min-p is off or where every
// finite logit weighs the same, and of rows that are decided.
struct MinPBounds {
  float below, above;
};

// `min_weight`: MinPThreshold of `weight_of_maximum`.
FIRE_RULE MinPBounds MinPBoundsOf(const Phase& phase, uint64_t min_weight, uint64_t weight_of_maximum) {
  if (min_weight == 0 || min_weight > weight_of_maximum || phase.heat != Heat::kFinite)
    return {BitsToFloat(kNegativeInfinityBits), BitsToFloat(kNegativeInfinityBits)};
  const float slope = WeightSlope(phase.temperature);
  const float distance = log2f(static_cast<float>(min_weight) / static_cast<float>(weight_of_maximum));
  return {Divide(distance - kMinPMargin, slope), Divide(distance + kMinPMargin, slope)};
}

}  // namespace fire::definition
