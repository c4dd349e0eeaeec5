// Finding the logit at which a running count or mass over a whole row reaches a target: by histograms, each of the
// range that the last one left, until what is left fits the candidate list or is one value. A row of few values, or of
// a narrow range, is first cut to what it holds: a histogram adds to one bin there again and again, each time waiting
// for the last, and tells nothing.
#pragma once

#include "cpu/search.h"

namespace fire::cpu::FIRE_ISA {

// Where in a row to search, and what counts.
struct SearchRange {
  float low, high;      // the threshold is looked for in [low, high]; no logit of the row is above `high`
  uint64_t min_weight;  // a token that weighs less does not count
};

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
inline void FillHistogram(const Row<T>& row, const Bins& bins, const SearchRange& range, const VectorScale& scale,
                          Workspace& workspace) {
  memset(workspace.histogram, 0, sizeof workspace.histogram);
  const Floats least = Broadcast(range.low), most = Broadcast(range.high);
  const uint64_t min_weight = range.min_weight;
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

// The logits of a range: how many, and between which.
struct Found {
  uint64_t count;
  float low, high;
};

template <typename T>
inline Found FindRange(const Row<T>& row, const SearchRange& range, const VectorScale& scale,
                       const Workspace& workspace) {
  const Floats least = Broadcast(range.low), most = Broadcast(range.high), zero = Broadcast(0.0f);
  Floats below = Subtract(zero, most), largest = least;  // `below`: the smallest one's negative
  Counts counts;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) == 0) continue;
    row.ForGroups(strip, [&](uint32_t, Floats x) {
      Mask inside = And(AtLeast(x, least), AtLeast(most, x));
      if (range.min_weight != 0) inside = And(inside, WeightAtLeast(WeightsOf(x, scale), range.min_weight));
      Count(counts, inside);
      below = Max(Subtract(zero, Select(inside, x, most)), below);
      largest = Max(Select(inside, x, least), largest);
    });
  }
  return {Total(counts), -ReduceMax(below), ReduceMax(largest)};
}

// How many of the row's logits equal each of two values.
template <typename T>
inline void CountEnds(const Row<T>& row, float low, float high, const Workspace& workspace, uint64_t* at_low,
                      uint64_t* at_high) {
  const Floats least = Broadcast(low), most = Broadcast(high);
  Counts lows, highs;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) == 0) continue;
    row.ForGroups(strip, [&](uint32_t, Floats x) {
      Count(lows, Equals(x, least));
      Count(highs, Equals(x, most));
    });
  }
  *at_low = Total(lows);
  *at_high = Total(highs);
}

// True where half of the parts' maxima within the range lie close to the least of them.
template <typename T>
inline bool IsCrowded(const Row<T>& row, const SearchRange& range, const Workspace& workspace) {
  const float* const maxima = workspace.lane_maxima;
  const uint32_t count = row.strips * kLanes;
  const Floats zero = Broadcast(0.0f), least = Broadcast(range.low);
  Floats below = Broadcast(-range.high);
  for (uint32_t i = 0; i < count; i += kLanes) {
    const Floats x = Load(maxima + i);
    below = Max(Subtract(zero, Select(AtLeast(x, least), x, Broadcast(range.high))), below);
  }
  const float smallest = -ReduceMax(below);
  const float close = smallest + (range.high - range.low) * 0x1p-8f;
  const uint64_t inside = CountAtLeast(maxima, count, range.low);
  const uint64_t beyond = CountAtLeast(maxima, count, KeyToFloat(Key(close) + 1));
  return beyond <= inside / 2;
}

template <Measure measure, typename T>
class RowSearch {
 public:
  RowSearch(const Row<T>& row, const SearchRange& range, uint64_t target, const definition::WeightScale& scale,
            const VectorScale& vector_scale, Workspace& workspace)
      : row_(row), range_(range), target_(target), scale_(scale), vector_scale_(vector_scale), workspace_(workspace) {
    // What lies below the scale's floor weighs nothing.
    if (measure == Measure::kMass && scale.slope != 0.0f && range.high + scale.floor > range_.low)
      range_.low = range.high + scale.floor;
  }

  // False where even all tokens together do not reach the target.
  bool Find(Threshold* found) {
    found_ = found;
    if (measure == Measure::kCount || IsCrowded(row_, range_, workspace_)) {
      const Verdict verdict = CutToWhatIsThere();
      if (verdict != Verdict::kGoOn) return verdict == Verdict::kFound;
      const Verdict of_ends = CutEnds();
      if (of_ends != Verdict::kGoOn) return of_ends == Verdict::kFound;
    }
    for (bool first = true;; first = false) {
      if (!CutToBin(first)) return false;
      if (ListRange()) return true;
      const Verdict verdict = CutToWhatIsThere();
      if (verdict != Verdict::kGoOn) return verdict == Verdict::kFound;
    }
  }

 private:
  enum class Verdict { kFound, kMissed, kGoOn };

  uint64_t MeasureOf(float logit) const { return measure == Measure::kMass ? definition::Weight(logit, scale_) : 1; }

  // Settles the search at one value of which there are `count`, if it is not above them.
  Verdict Settle(float logit, uint64_t count) const {
    const uint64_t each = MeasureOf(logit);
    if (above_ + count * each < target_) return Verdict::kMissed;
    *found_ = {logit, above_, each};
    return Verdict::kFound;
  }

  // Cuts the range to the logits that it holds.
  Verdict CutToWhatIsThere() {
    const Found inside = FindRange(row_, range_, vector_scale_, workspace_);
    if (inside.count == 0) return Verdict::kMissed;
    count_ = inside.count;
    range_.low = inside.low;
    range_.high = inside.high;
    return Key(range_.low) == Key(range_.high) ? Settle(range_.high, count_) : Verdict::kGoOn;
  }

  // Settles the search at either end of the range, where so many equal it.
  Verdict CutEnds() {
    uint64_t at_low, at_high;
    CountEnds(row_, range_.low, range_.high, workspace_, &at_low, &at_high);
    if (Settle(range_.high, at_high) == Verdict::kFound) return Verdict::kFound;
    const bool has_two_values = at_low + at_high == count_;
    if (measure == Measure::kMass && !has_two_values) return Verdict::kGoOn;
    const uint64_t more = has_two_values ? at_high * MeasureOf(range_.high) : count_ - at_low;
    if (above_ + more >= target_) return Verdict::kGoOn;
    above_ += more;
    return Settle(range_.low, at_low);
  }

  // Cuts the range to the bin of its histogram in which the target is reached. False where it is not.
  bool CutToBin(bool first) {
    const Bins bins(range_.low, range_.high, first && measure == Measure::kMass);
    FillHistogram<measure>(row_, bins, range_, vector_scale_, workspace_);
    uint32_t bin = kBins;
    uint64_t in_bin = 0;
    while (bin > 0) {
      --bin;
      in_bin = workspace_.histogram[0][bin] + workspace_.histogram[1][bin];
      if (above_ + in_bin >= target_) break;
      above_ += in_bin;
      in_bin = 0;
    }
    if (above_ + in_bin < target_) return false;
    range_.high = KeyToFloat(bins.FirstKeyOf(bin + 1) - 1);
    range_.low = KeyToFloat(bins.FirstKeyOf(bin));
    return true;
  }

  // Finds the threshold, which lies in the range, among the range's tokens if they fit the candidate list.
  bool ListRange() {
    const uint32_t count = Collect(row_, range_.low, range_.high, range_.min_weight, vector_scale_, workspace_);
    if (count > kMaxCandidates) return false;
    FinishList(count, vector_scale_, workspace_);
    *found_ = ThresholdInList<measure>(range_.low, range_.high, count, above_, target_, scale_, workspace_);
    return true;
  }

  const Row<T>& row_;
  SearchRange range_;
  uint64_t target_;
  const definition::WeightScale& scale_;
  const VectorScale& vector_scale_;
  Workspace& workspace_;
  Threshold* found_ = nullptr;
  uint64_t above_ = 0;  // reached above the range
  uint64_t count_ = 0;  // of the range's logits, where CutToWhatIsThere() found it
};

// The threshold of the whole row, whose part in `range` is searched. False where all of that does not reach the target.
template <Measure measure, typename T>
inline bool ThresholdInRow(const Row<T>& row, const SearchRange& range, uint64_t target,
                           const definition::WeightScale& scale, const VectorScale& vector_scale, Workspace& workspace,
                           Threshold* found) {
  return RowSearch<measure, T>(row, range, target, scale, vector_scale, workspace).Find(found);
}

}  // namespace fire::cpu::FIRE_ISA
