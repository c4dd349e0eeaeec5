// Finding the logit at which a running count or mass, from the largest logit down, reaches a target. No sorting:
// in the candidate list by bisection over keys; in a whole row as row_search.h does.
#pragma once

#include "cpu/candidate_list.h"

namespace fire::cpu::FIRE_ISA {

// The largest key t in [low, high] with reaches(logit of t) ≥ 0, which must hold at `low` and, once it fails, fail for
// all larger keys. reaches() > 0 stops the search early: good enough.
template <typename Reaches>
inline float BisectKeys(float low, float high, const Reaches& reaches) {
  uint32_t low_key = Key(low), high_key = Key(high);
  while (low_key < high_key) {
    const uint32_t middle = low_key + (high_key - low_key + 1) / 2;
    const int verdict = reaches(KeyToFloat(middle));
    if (verdict < 0) {
      high_key = middle - 1;
    } else {
      low_key = middle;
      if (verdict > 0) break;
    }
  }
  return KeyToFloat(low_key);
}

// The first number of [first, last] for which `holds`, which does at `last`, and once it does for all behind.
template <typename Holds>
inline uint32_t FirstWhere(uint32_t first, uint32_t last, const Holds& holds) {
  while (first < last) {
    const uint32_t middle = first + (last - first) / 2;
    if (holds(middle)) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  return first;
}

// Where the target is reached: at `threshold`, with `above` reached by larger logits and `each` by each equal one.
struct Threshold {
  float threshold;
  uint64_t above;
  uint64_t each;
};

// How many of the equal logits it takes: above < target ≤ above + (all of them) · each.
inline uint64_t TiesNeeded(const Threshold& found, uint64_t target) {
  return (target - found.above - 1) / found.each + 1;
}

// What is accumulated: tokens, or their mass. Either way only those of at least `min_weight` count.
enum class Measure { kCount, kMass };

// The threshold among the listed candidates of [low, high], `above` having been reached before them.
template <Measure measure>
inline Threshold ThresholdInList(float low, float high, uint32_t count, uint64_t above, uint64_t target,
                                 const definition::WeightScale& scale, Workspace& workspace) {
  const auto reached = [&](float threshold) {
    return above + (measure == Measure::kMass
                        ? MassAtLeast(workspace.candidate_logit, workspace.candidate_weight, count, threshold)
                        : CountAtLeast(workspace.candidate_logit, count, threshold));
  };
  const float threshold = BisectKeys(low, high, [&](float middle) { return reached(middle) < target ? -1 : 0; });
  return {threshold, reached(KeyToFloat(Key(threshold) + 1)),
          measure == Measure::kMass ? definition::Weight(threshold, scale) : 1};
}

}  // namespace fire::cpu::FIRE_ISA
