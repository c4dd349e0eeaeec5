// The draw and the log-probabilities, from exact masses.
#pragma once

#include "definition/bits.h"
#include "definition/phase.h"

namespace fire::definition {

// The point in [0, mass) that a draw's 64 random bits choose; the token is the one whose share covers it.
FIRE_RULE uint64_t DrawPoint(uint64_t random_bits, uint64_t mass) { return MulHigh64(random_bits, mass); }

// ln(part / whole) for 0 < part ≤ whole, within about 2e-7 of max(1, |value|): near 1 by the exact complement.
FIRE_RULE float LogRatio(uint64_t part, uint64_t whole) {
  if (part == whole) return 0.0f;  // log1p would make it −0
  if (part > whole / 2) return log1pf(-(static_cast<float>(whole - part) / static_cast<float>(whole)));
  return logf(static_cast<float>(part) / static_cast<float>(whole));
}

// ln of softmax(x / T) at `logit`, from the mass of the set it is normalised over; finite for every finite logit.
FIRE_RULE float LogSoftmax(float logit, float maximum, float temperature, uint64_t weight_of_maximum, uint64_t mass) {
  const float half = 0.5f * logit - 0.5f * maximum;  // x − m itself may overflow where (x − m) / T does not
  const float scaled = HeatOf(temperature) == Heat::kInfinite ? 0.0f : 2.0f * Divide(half, temperature);
  const float value = scaled + LogRatio(weight_of_maximum, mass);
  return value > -kFloatMax ? value : -kFloatMax;
}

// x / T as `process_logits` reports it: finite wherever the logit is.
FIRE_RULE float ScaledLogit(float logit, float temperature) {
  const float value = HeatOf(temperature) == Heat::kInfinite ? 0.0f : Divide(logit, temperature);
  return value > kFloatMax ? kFloatMax : (value < -kFloatMax ? -kFloatMax : value);
}

// ∂ log_prob / ∂ x at one kept token: (1[it is the token asked for] − weight / M) / T. The complement is exact.
FIRE_RULE float LogProbSlope(uint64_t weight, uint64_t mass, bool is_token, float temperature) {
  if (HeatOf(temperature) == Heat::kInfinite) return 0.0f;
  const float share = is_token ? static_cast<float>(mass - weight) : -static_cast<float>(weight);
  return Divide(Divide(share, static_cast<float>(mass)), temperature);
}

}  // namespace fire::definition
