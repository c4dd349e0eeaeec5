// The trainer's half of the support: the log-probability of a token over the set that it was drawn from, which came
// from a rollout, and over the whole row; and the slope of either. docs/semantics.md, "The support", says what they
// are.
//
// A set's weights are below its own maximum: its tokens may lie far below the row's.
#pragma once

#include "definition/draw.h"
#include "definition/status.h"
#include "definition/weight.h"

namespace fire::definition {

inline constexpr int32_t kBeforeSupport = -2;  // the id before a support's first place

// Whether `id` may stand behind `previous`. A support whose every place passes is one: ids in ascending order, then −1.
FIRE_RULE bool MayFollow(int32_t previous, int32_t id, uint32_t vocabulary) {
  if (id == kNoToken) return true;
  return id >= 0 && static_cast<uint32_t>(id) < vocabulary && previous != kNoToken && id > previous;
}

// Finite and no less than 2^-64. One above 2^120 is infinite, as elsewhere.
FIRE_RULE bool IsSupportTemperature(float temperature) {
  const uint32_t bits = FloatBits(temperature);
  return bits >= kSmallestTemperatureBits && bits < kInfinityBits;
}

// What the log-probability over a set depends on, besides a logit: SupportMasses holds it of both sets.
struct SetMass {
  uint64_t mass;  // M; 0 where the maximum is infinite
  float maximum;  // m, the largest logit of the set, NaN read as −inf
};

FIRE_RULE bool IsFiniteLogit(float logit) { return (FloatBits(logit) & ~kSignBit) < kInfinityBits; }

// Whether the token's log-probability over the set has a slope: where it is finite, and depends on logits at all.
// `holds_token`: whether the token is of the set.
FIRE_RULE bool HasSlope(const SetMass& set, bool holds_token, float logit, float temperature) {
  return holds_token && IsFiniteLogit(logit) && IsFiniteLogit(set.maximum) && set.mass != 0 &&
         HeatOf(temperature) == Heat::kFinite;
}

// `logit`: the token's, where the set holds it.
FIRE_RULE float LogProbOver(const SetMass& set, bool holds_token, float logit, float temperature, uint32_t vocabulary) {
  if (!holds_token) return BitsToFloat(kNegativeInfinityBits);
  const float sanitised = Sanitised(logit);
  if (FloatBits(sanitised) == kInfinityBits) return 0.0f;
  if (FloatBits(sanitised) == kNegativeInfinityBits || FloatBits(set.maximum) == kInfinityBits)
    return BitsToFloat(kNegativeInfinityBits);
  return LogSoftmax(sanitised, set.maximum, temperature, WeightOfMaximum(vocabulary), set.mass);
}

// ∂ LogProbOver / ∂ logit, of a set and token that HasSlope. `scale` is MakeWeightScale's of the set's maximum. A logit
// above that, where masses of another row come back, counts as the maximum.
FIRE_RULE float SlopeOver(const SetMass& set, const WeightScale& scale, float logit, bool is_token, float temperature) {
  const float x = Key(logit) > Key(set.maximum) ? set.maximum : logit;
  return LogProbSlope(Weight(x, scale), set.mass, is_token, temperature);
}

// The bits of the whole row; a row refused on a device has kStatusRefused instead.
FIRE_RULE int32_t SupportStatus(float full_maximum, bool has_nan) {
  return StatusOfLogits(full_maximum, has_nan, /*decided=*/false);
}

}  // namespace fire::definition
