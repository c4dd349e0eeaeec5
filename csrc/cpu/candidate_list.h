// The candidate list: tokens picked out of a row, by ascending id, in the workspace.
#pragma once

#include "cpu/passes.h"

namespace fire::cpu::FIRE_ISA {

// Appends every token with a logit in [low, high] and at least `min_weight` to the candidate list, by ascending id.
// Returns how many, or more than kMaxCandidates where they do not fit.
template <typename T>
inline uint32_t Collect(const Row<T>& row, float low, float high, uint64_t min_weight, const VectorScale& scale,
                        Workspace& workspace) {
  constexpr uint32_t kGroupsAtOnce = 64;
  const Floats least = Broadcast(low), most = Broadcast(high);
  uint32_t count = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) == 0) continue;
    const uint32_t strip_end = row.StripEnd(strip);
    for (uint32_t begin = strip * row.strip_size; begin < strip_end; begin += kGroupsAtOnce * kLanes) {
      // First which groups have a hit, without branches: where they fall is past predicting.
      const uint32_t end = begin + kGroupsAtOnce * kLanes < strip_end ? begin + kGroupsAtOnce * kLanes : strip_end;
      uint64_t hits = 0;
      uint32_t group = 0, id = begin;
      for (; id + kLanes <= end; id += kLanes, ++group)
        hits |= static_cast<uint64_t>(Bits(AtLeast(Load(row.logits + id), least)) != 0) << group;
      if (id < end) hits |= uint64_t{1} << group;
      for (; hits != 0; hits &= hits - 1) {
        const uint32_t first = begin + static_cast<uint32_t>(__builtin_ctzll(hits)) * kLanes;
        const Floats x = row.Group(first);
        Mask mask = And(AtLeast(x, least), AtLeast(most, x));
        if (min_weight != 0) mask = And(mask, WeightAtLeast(WeightsOf(x, scale), min_weight));
        if (static_cast<uint32_t>(__builtin_popcount(Bits(mask))) > kMaxCandidates - count) return kMaxCandidates + 1;
        count += Compress(workspace.candidate_logit + count, workspace.candidate_id + count, x, first, mask);
      }
    }
  }
  return count;
}

// Fills in the list's weights, and pads it to whole groups with tokens that weigh nothing.
inline void FinishList(uint32_t count, const VectorScale& scale, Workspace& workspace) {
  Store(workspace.candidate_logit + count, Broadcast(kMasked));
  for (uint32_t i = 0; i < count; i += kLanes)
    StoreWeights(workspace.candidate_weight + i, WeightsOf(Load(workspace.candidate_logit + i), scale));
}

inline uint64_t CountAtLeast(const float* logits, uint32_t count, float threshold) {
  const Floats least = Broadcast(threshold);
  Counts counts;
  for (uint32_t i = 0; i < count; i += kLanes) Count(counts, AtLeast(Load(logits + i), least));
  return Total(counts);
}

inline uint64_t MassAtLeast(const float* logits, const uint64_t* weights, uint32_t count, float threshold) {
  const Floats least = Broadcast(threshold);
  Mass mass;
  for (uint32_t i = 0; i < count; i += kLanes)
    Add(mass, KeepLanes(LoadWeights(weights + i), AtLeast(Load(logits + i), least)));
  return Total(mass);
}

}  // namespace fire::cpu::FIRE_ISA
