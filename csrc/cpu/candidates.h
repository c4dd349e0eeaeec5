// The pivot: a logit that enough of a row reaches, found among the largest logits of its parts instead of in the row.
// The tokens that reach it are the candidates.
#pragma once

#include "cpu/search.h"

namespace fire::cpu::FIRE_ISA {

// Largest logits of disjoint parts of a row, whole groups of them. Whatever many of them reach, as many of the row do.
struct Delegates {
  const float* maxima;
  uint32_t count;
};

// One delegate a lane of `fold` neighbouring strips: fewer are found faster, more tell more.
template <typename T>
inline Delegates FoldStrips(const Row<T>& row, uint32_t fold, Workspace& workspace) {
  if (fold <= 1) return {workspace.lane_maxima, row.strips * kLanes};
  uint32_t groups = 0;
  for (uint32_t strip = 0; strip < row.strips; strip += fold, ++groups) {
    const uint32_t end = strip + fold < row.strips ? strip + fold : row.strips;
    Floats largest = Load(workspace.lane_maxima + strip * kLanes);
    for (uint32_t s = strip + 1; s < end; ++s) largest = Max(Load(workspace.lane_maxima + s * kLanes), largest);
    Store(workspace.folded_maxima + groups * kLanes, largest);
  }
  return {workspace.folded_maxima, groups * kLanes};
}

// At most count / kPivotSlack + 2 delegates more than `count` reach the pivot, where they differ enough.
inline constexpr uint32_t kPivotSlack = 8;

// A logit that at least `count` of the row's reach. −FLT_MAX where the delegates cannot tell. `differ`: whether they
// differ enough that not many more do.
template <typename T>
inline float PivotForCount(const Row<T>& row, float maximum, uint32_t count, Workspace& workspace, bool* differ) {
  // Eight delegates for each wanted: then about one token in twenty reaches the pivot in vain.
  const Delegates delegates = FoldStrips(row, row.strips / (count / 2 + 4), workspace);
  if (count > delegates.count - delegates.count / 4) return kLowestFinite;
  if (CountAtLeast(delegates.maxima, delegates.count, kLowestFinite) < count) return kLowestFinite;
  const uint64_t enough = count + count / kPivotSlack + 2;
  *differ = false;
  return BisectKeys(kLowestFinite, maximum, [&](float middle) {
    const uint64_t reached = CountAtLeast(delegates.maxima, delegates.count, middle);
    *differ |= reached >= count && reached <= enough;
    return reached < count ? -1 : (reached <= enough ? 1 : 0);
  });
}

// A logit above which the row's mass certainly reaches `target`, as the delegates' own does. −FLT_MAX where it does
// not.
template <typename T>
inline float PivotForMass(const Row<T>& row, float maximum, uint64_t target, const definition::WeightScale& scale,
                          const VectorScale& vector_scale, Workspace& workspace) {
  static_assert(kMaxStrips * kLanes <= kMaxCandidates);
  uint64_t* weights = workspace.candidate_weight;
  const uint32_t folds[] = {row.strips / 32, 1};
  for (const uint32_t fold : folds) {
    const Delegates delegates = FoldStrips(row, fold, workspace);
    for (uint32_t i = 0; i < delegates.count; i += kLanes)
      StoreWeights(weights + i, WeightsOf(Load(delegates.maxima + i), vector_scale));
    const auto reaches = [&](float least) {
      return MassAtLeast(delegates.maxima, weights, delegates.count, least) >= target;
    };
    float low = maximum + scale.floor, high = maximum;
    if (!(low >= kLowestFinite) || !reaches(low)) continue;
    // A thousandth of the range is near enough: about 2^0.05 in weight.
    for (int i = 0; i < 10; ++i) {
      const float middle = low + (high - low) * 0.5f;
      (reaches(middle) ? low : high) = middle;
    }
    return low;
  }
  return kLowestFinite;
}

}  // namespace fire::cpu::FIRE_ISA
