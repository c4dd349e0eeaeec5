// The passes over a row: everything that touches all of its logits, each once.
//
// The first pass keeps the largest logit of each strip and lane, which later passes use to skip strips that cannot
// matter.
#pragma once

#include "cpu/row.h"
#include "definition/kept_rule.h"

namespace fire::cpu::FIRE_ISA {

using definition::KeptRule;

// One read of the row: fills lane_maxima and returns the largest logit; NaN counts as −inf.
template <bool kDetectNan, typename T>
inline float FindMaxima(const Row<T>& row, Workspace& workspace, bool* has_nan) {
  Floats largest = Broadcast(kMasked);
  Mask nan = NoLane();
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    const uint32_t begin = strip * row.strip_size;
    Floats a = Broadcast(kMasked), b = a, c = a, d = a;
    if (begin + row.strip_size <= row.size) {
      const T* const end = row.logits + begin + row.strip_size;
      for (const T* p = row.logits + begin; p != end; p += 4 * kLanes) {
        Floats x, y, z, w;
        LoadUnordered(p, &x, &y);
        LoadUnordered(p + 2 * kLanes, &z, &w);
        if constexpr (kDetectNan) nan = Or(nan, Or(Or(IsNan(x), IsNan(y)), Or(IsNan(z), IsNan(w))));
        a = Max(x, a);
        b = Max(y, b);
        c = Max(z, c);
        d = Max(w, d);
      }
    } else {
      row.ForGroups(strip, [&](uint32_t, Floats x) {
        if constexpr (kDetectNan) nan = Or(nan, IsNan(x));
        a = Max(x, a);
      });
    }
    a = Max(Max(a, b), Max(c, d));
    Store(workspace.lane_maxima + strip * kLanes, a);
    largest = Max(a, largest);
  }
  if constexpr (kDetectNan) *has_nan = Bits(nan) != 0;
  return ReduceMax(largest);
}

// The lowest id whose logit equals `value`, which some logit does.
template <typename T>
inline uint32_t FirstEqual(const Row<T>& row, const Workspace& workspace, float value) {
  const Floats wanted = Broadcast(value);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (Bits(Equals(Load(workspace.lane_maxima + strip * kLanes), wanted)) == 0) continue;
    uint32_t first = row.size;
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      const uint32_t bits = Bits(Equals(x, wanted));
      if (bits != 0 && first == row.size) first = id + static_cast<uint32_t>(__builtin_ctz(bits));
    });
    return first;
  }
  return 0;
}

// The entry of the `nth` logit (from 1) that equals `value`, which so many do.
template <typename T>
inline uint64_t NthEqual(const Row<T>& row, const Workspace& workspace, float value, uint64_t nth) {
  const Floats wanted = Broadcast(value);
  uint64_t found = definition::LastOfKey(Key(value));
  for (uint32_t strip = 0; strip < row.strips && nth != 0; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), wanted)) == 0) continue;
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      for (uint32_t bits = Bits(Equals(x, wanted)); bits != 0 && nth != 0; bits &= bits - 1)
        if (--nth == 0) found = definition::Entry(Key(value), id + static_cast<uint32_t>(__builtin_ctz(bits)));
    });
  }
  return found;
}

// The least logit that a rule may keep.
inline float ThresholdOf(const KeptRule& rule) { return KeyToFloat(definition::KeyOf(rule.last)); }

// A rule's vector form, two comparisons a lane: the mask of kept lanes, and their weights with the others' zeroed.
struct RuleMasks {
  RuleMasks(const KeptRule& rule, const VectorScale& scale)
      : min_weight(rule.min_weight),
        last_tie(definition::IdOf(rule.last)),
        scale(scale),
        up_to_tie(Broadcast(ThresholdOf(rule))),
        beyond_tie(Broadcast(KeyToFloat(definition::KeyOf(rule.last) + 1))) {}

  // False where a strip certainly keeps nothing: of its first id and the maxima of its parts.
  bool MayKeep(uint32_t first_id, Floats maxima) const {
    return Bits(AtLeast(maxima, first_id > last_tie ? beyond_tie : up_to_tie)) != 0;
  }
  Mask ByLogit(uint32_t first_id, Floats x) const {
    if (first_id + (kLanes - 1) <= last_tie) return AtLeast(x, up_to_tie);
    if (first_id > last_tie) return AtLeast(x, beyond_tie);
    return Or(And(AtLeast(x, up_to_tie), FirstLanes(last_tie - first_id + 1)), AtLeast(x, beyond_tie));
  }
  Mask Kept(uint32_t first_id, Floats x) const {
    const Mask mask = ByLogit(first_id, x);
    return min_weight == 0 ? mask : And(mask, WeightAtLeast(WeightsOf(x, scale), min_weight));
  }
  Weights KeptWeights(uint32_t first_id, Floats x) const {
    const Weights w = KeepLanes(WeightsOf(x, scale), ByLogit(first_id, x));
    return min_weight == 0 ? w : ZeroBelow(w, min_weight);
  }

  uint64_t min_weight;
  uint32_t last_tie;  // of the logits equal to the threshold, those with ids up to this one
  const VectorScale& scale;
  Floats up_to_tie, beyond_tie;
};

// Calls visit(first id, sixteen logits, which of them the rule keeps as bits) where it keeps any, in id order.
template <typename T, typename Visit>
inline void ForKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale, const Workspace& workspace,
                    const Visit& visit) {
  const RuleMasks masks(rule, scale);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    if (!masks.MayKeep(strip * row.strip_size, Load(workspace.lane_maxima + strip * kLanes))) continue;
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      const uint32_t bits = Bits(masks.Kept(id, x));
      if (bits != 0) visit(id, x, bits);
    });
  }
}

// The mass of one strip, all its tokens.
template <typename T>
inline uint64_t MassOfStrip(const Row<T>& row, uint32_t strip, const VectorScale& scale) {
  constexpr int kGroups = 4;
  Mass mass;
  uint32_t i = strip * row.strip_size;
  const uint32_t end = row.StripEnd(strip);
  for (; i + kGroups * kLanes <= end; i += kGroups * kLanes) {
    const T* p = row.logits + i;
    const Floats x[kGroups] = {Load(p), Load(p + kLanes), Load(p + 2 * kLanes), Load(p + 3 * kLanes)};
    Weights w[kGroups];
    WeightsOf(x, scale, w);
    for (int group = 0; group < kGroups; ++group) Add(mass, w[group]);
  }
  for (; i < end; i += kLanes) Add(mass, WeightsOf(row.Group(i), scale));
  return Total(mass);
}

// The mass of each strip, and of the row: of every token.
template <typename T>
inline uint64_t MassOfRow(const Row<T>& row, const VectorScale& scale, Workspace& workspace) {
  uint64_t total = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip)
    total += workspace.strip_mass[strip] = MassOfStrip(row, strip, scale);
  return total;
}

// The same of the tokens that a rule keeps.
template <typename T>
inline uint64_t MassOfKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale, Workspace& workspace) {
  const RuleMasks masks(rule, scale);
  uint64_t total = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    Mass mass;
    if (masks.MayKeep(strip * row.strip_size, Load(workspace.lane_maxima + strip * kLanes)))
      row.ForGroups(strip, [&](uint32_t id, Floats x) { Add(mass, masks.KeptWeights(id, x)); });
    total += workspace.strip_mass[strip] = Total(mass);
  }
  return total;
}

template <typename T>
inline uint64_t CountKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale,
                          const Workspace& workspace) {
  const RuleMasks masks(rule, scale);
  Counts counts;
  for (uint32_t strip = 0; strip < row.strips; ++strip)
    if (masks.MayKeep(strip * row.strip_size, Load(workspace.lane_maxima + strip * kLanes)))
      row.ForGroups(strip, [&](uint32_t id, Floats x) { Count(counts, masks.Kept(id, x)); });
  return Total(counts);
}

// How many logits are at least `value`.
template <typename T>
inline uint64_t CountFrom(const Row<T>& row, float value, const Workspace& workspace) {
  const Floats least = Broadcast(value);
  Counts counts;
  for (uint32_t strip = 0; strip < row.strips; ++strip)
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) != 0)
      row.ForGroups(strip, [&](uint32_t, Floats x) { Count(counts, AtLeast(x, least)); });
  return Total(counts);
}

// How many logits are at least `value`, and the mass of all: what rank and ref_logprob need, in one read.
template <typename T>
inline uint64_t RankAndMass(const Row<T>& row, float value, const VectorScale& scale, uint64_t* mass_of_row) {
  const Floats least = Broadcast(value);
  Counts counts;
  *mass_of_row = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    *mass_of_row += MassOfStrip(row, strip, scale);
    row.ForGroups(strip, [&](uint32_t, Floats x) { Count(counts, AtLeast(x, least)); });  // still in the first cache
  }
  return Total(counts);
}

}  // namespace fire::cpu::FIRE_ISA
