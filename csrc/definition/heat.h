// What `heat_logits_` does to a hot row whose temperature and filters another program applies afterwards.
#pragma once

#include "definition/design.h"
#include "definition/filter.h"
#include "definition/phase.h"

namespace fire::definition {

// True: the row is rescaled, and what the engine computes next is exactly the hot distribution. False: the
// engine's later filters would cut differently, so the row becomes one-hot on the token that `sample` draws.
FIRE_RULE bool HandsOver(const Record& record, uint32_t vocabulary) {
  if (HeatOf(record.temperature) != Heat::kFinite || HeatOf(record.hot_temperature) != Heat::kFinite) return false;
  if (OrderOf(record) == Order::kJoint) return false;
  if (DesignOf(record) > Design::kIid) return false;  // the engine draws with numbers of its own
  if (FloatBits(record.hot_top_p) != FloatBits(record.top_p)) return false;
  if (FloatBits(record.hot_min_p) != FloatBits(record.min_p)) return false;
  if (EffectiveTopK(record.hot_top_k, vocabulary) > EffectiveTopK(record.top_k, vocabulary)) return false;
  const uint32_t exponent = FloatBits(Divide(record.temperature, record.hot_temperature)) >> 23;
  return exponent != 0 && exponent != 0xFF;
}

// What is left of the phase of a row that is handed over: top-k. The engine applies the temperature and the rest.
FIRE_RULE Phase HandOverPhase(Phase phase) {
  phase.top_p = 1.0f;
  phase.min_p = 0.0f;
  return phase;
}

// x · (T / T_hot), finite wherever the logit is.
FIRE_RULE float HeatedLogit(float logit, float ratio) {
  const float value = logit * ratio;
  return value > kFloatMax ? kFloatMax : (value < -kFloatMax ? -kFloatMax : value);
}

}  // namespace fire::definition
