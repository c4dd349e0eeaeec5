// The status bits of a row, but for its slot's.
#pragma once

#include "definition/phase.h"
#include "fire/status.h"

namespace fire::definition {

// The bits that no logit is needed for.
FIRE_RULE int32_t StatusOfPhase(const Phase& phase) {
  return (phase.hot ? kStatusHot : 0) | (phase.heat == Heat::kGreedy ? kStatusGreedy : 0);
}

// The bits that the logits decide. `maximum`: the largest one, NaN read as −inf.
FIRE_RULE int32_t StatusOfLogits(float maximum, bool has_nan, bool decided) {
  const uint32_t bits = FloatBits(maximum);
  return (has_nan ? kStatusNan : 0) | (bits == kNegativeInfinityBits ? kStatusNoFiniteLogit : 0) |
         (bits == kInfinityBits ? kStatusInfinity : 0) | (decided ? kStatusDecided : 0);
}

FIRE_RULE int32_t StatusOf(const Phase& phase, float maximum, bool has_nan, bool decided) {
  return StatusOfPhase(phase) | StatusOfLogits(maximum, has_nan, decided);
}

}  // namespace fire::definition
