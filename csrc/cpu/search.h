// Finding the logit at which a running count or mass, from the largest logit down, reaches a target. No sorting:
// in the candidate list by bisection over keys; in a whole row by histograms that narrow to a list.
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

// Cuts the logits of [low, high] into kBins of equal width, or, where floats do not divide evenly, of equal key ranges.
class Bins {
 public:
  Bins(float low, float high, bool by_value) : low_(low), low_key_(Key(low)), high_key_(Key(high)) {
    scale_ = static_cast<float>(kBins) / (high - low);
    by_value_ = by_value && scale_ > 0x1p-100f && scale_ < 0x1p+100f;
    while (((high_key_ - low_key_) >> shift_) >= kBins) ++shift_;
  }

  uint32_t Of(float logit) const {
    if (!by_value_) return (Key(logit) - low_key_) >> shift_;
    const float bin = (logit - low_) * scale_;
    return bin < static_cast<float>(kBins - 1) ? static_cast<uint32_t>(bin) : kBins - 1;
  }

  // The bins of sixteen logits, all in [low, high] or in lanes that do not matter.
  void Store(uint32_t* out, Floats x, Mask inside) const {
    if (by_value_) {
      const Floats bin = Min(Multiply(Subtract(x, Broadcast(low_)), Broadcast(scale_)), Broadcast(kBins - 1));
      StoreTruncated(out, Select(inside, bin, Broadcast(kBins)));
      return;
    }
    alignas(64) float lanes[kLanes];
    FIRE_ISA::Store(lanes, x);
    const uint32_t bits = Bits(inside);
    for (uint32_t i = 0; i < kLanes; ++i) out[i] = (bits >> i) & 1 ? Of(lanes[i]) : kBins;
  }

  // The smallest key of a bin or a higher one, one beyond the largest where there is none. The bin is monotone in the
  // logit, so bisection finds it.
  uint32_t FirstKeyOf(uint32_t bin) const {
    return FirstWhere(low_key_, high_key_ + 1, [&](uint32_t key) { return Of(KeyToFloat(key)) >= bin; });
  }

 private:
  float low_, scale_;
  uint32_t low_key_, high_key_;
  int shift_ = 0;
  bool by_value_;
};

template <Measure measure, typename T>
inline void FillHistogram(const Row<T>& row, const Bins& bins, float low, float high, uint64_t min_weight,
                          const VectorScale& scale, Workspace& workspace) {
  memset(workspace.histogram, 0, sizeof workspace.histogram);
  const Floats least = Broadcast(low), most = Broadcast(high);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) == 0) continue;
    row.ForGroups(strip, [&](uint32_t, Floats x) {
      Mask inside = And(AtLeast(x, least), AtLeast(most, x));
      if (Bits(inside) == 0) return;
      alignas(64) uint32_t bin[kLanes];
      alignas(64) uint64_t weight[kLanes];
      if (measure == Measure::kMass || min_weight != 0) {
        const Weights w = WeightsOf(x, scale);
        if (min_weight != 0) inside = And(inside, WeightAtLeast(w, min_weight));
        StoreWeights(weight, w);
      }
      bins.Store(bin, x, inside);
      for (uint32_t i = 0; i < kLanes; ++i)
        workspace.histogram[i & 1][bin[i]] += measure == Measure::kMass ? weight[i] : 1;
    });
  }
}

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

// The threshold of the whole row. False where even all tokens together do not reach the target.
template <Measure measure, typename T>
inline bool ThresholdInRow(const Row<T>& row, float maximum, uint64_t target, uint64_t min_weight,
                           const definition::WeightScale& scale, const VectorScale& vector_scale, Workspace& workspace,
                           Threshold* found) {
  float low = kLowestFinite, high = maximum;
  if (measure == Measure::kMass && scale.slope != 0.0f && maximum + scale.floor > low) low = maximum + scale.floor;
  uint64_t above = 0;
  for (bool first = true; Key(low) < Key(high); first = false) {
    const Bins bins(low, high, first && measure == Measure::kMass);
    FillHistogram<measure>(row, bins, low, high, min_weight, vector_scale, workspace);
    uint32_t bin = kBins;
    uint64_t in_bin = 0;
    while (bin > 0) {
      --bin;
      in_bin = workspace.histogram[0][bin] + workspace.histogram[1][bin];
      if (above + in_bin >= target) break;
      above += in_bin;
      in_bin = 0;
    }
    if (above + in_bin < target) return false;
    high = KeyToFloat(bins.FirstKeyOf(bin + 1) - 1);
    low = KeyToFloat(bins.FirstKeyOf(bin));
    const uint32_t count = Collect(row, low, high, min_weight, vector_scale, workspace);
    if (count > kMaxCandidates) continue;
    FinishList(count, vector_scale, workspace);
    *found = ThresholdInList<measure>(low, high, count, above, target, scale, workspace);
    return true;
  }
  *found = {low, above, measure == Measure::kMass ? definition::Weight(low, scale) : 1};
  return true;
}

}  // namespace fire::cpu::FIRE_ISA
