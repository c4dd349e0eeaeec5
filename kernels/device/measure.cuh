// What a token counts for: as lists ask for it, an entry at a time, and as the loops over a row do, in registers.
#pragma once

#include "definition/filter.h"
#include "kernels/device/row_part.cuh"
#include "kernels/device/search.cuh"
#include "kernels/device/weights.cuh"

namespace fire::kernels {

__device__ __forceinline__ uint64_t WeightOfKey(uint32_t key, const WeightScale& scale) {
  return definition::Weight(definition::KeyToFloat(key), scale);
}

// The scale of the row's temperature, of a maximum, and once that is known.
__device__ __forceinline__ WeightScale ScaleAt(float maximum, const RowSettings& settings) {
  return {.maximum = maximum, .slope = settings.slope, .floor = settings.floor, .bits = settings.weight_bits};
}
__device__ __forceinline__ WeightScale ScaleOf(const Storage& storage) {
  return ScaleAt(storage.state.maximum, storage.settings);
}

// The same as WeightOfKey, as fast as the row allows, once storage.fast_scale is there.
__device__ __forceinline__ uint64_t WeightInRow(uint32_t key, const Storage& storage) {
  if (storage.fast_scale.is_exact) return FastWeight(definition::KeyToFloat(key), storage.fast_scale);
  return WeightOfKey(key, ScaleOf(storage));
}

// What a token counts for: 1 or its weight where the rule keeps it, else 0.
struct TokenMeasure {
  const KeptRule& rule;  // kept in shared memory: as members its words would take registers, and a thread has 64
  bool counts;
  uint32_t only_key;  // 0: any

  __device__ __forceinline__ bool Weighs() const { return !counts || rule.min_weight != 0; }

  __device__ __forceinline__ bool Keeps(uint32_t key, uint32_t id, uint64_t* weight) const {
    if (Entry(key, id) < rule.last) return false;
    *weight = WeightInRow(key, SharedStorage());
    return *weight >= rule.min_weight;
  }
  __device__ __forceinline__ uint64_t operator()(uint32_t key, uint32_t id) const {
    if (only_key != 0 && key != only_key) return 0;
    if (!Weighs()) return Entry(key, id) >= rule.last;
    uint64_t weight;
    if (!Keeps(key, id, &weight)) return 0;
    return counts ? 1 : weight;
  }
  // The same by the definition's weight alone, which is slower: for what no fast loop goes through.
  __device__ __forceinline__ uint64_t Exactly(uint32_t key, uint32_t id) const {
    return (only_key != 0 && key != only_key) || Entry(key, id) < rule.last ? 0 : OfKey(key);
  }
  // What a token of this key measures that is not beyond the rule's last.
  __device__ __forceinline__ uint64_t OfKey(uint32_t key) const {
    if (!Weighs()) return 1;
    const uint64_t weight = WeightOfKey(key, ScaleOf(SharedStorage()));
    return weight < rule.min_weight ? 0 : counts ? 1 : weight;
  }
};

// Tells all blocks of `team` a number of this warp's part of the row, in an array of all parts'.
__device__ __forceinline__ void PushOfPart(uint64_t number, uint64_t* of_parts, const Team& team) {
  const uint32_t thread = ptx::ThreadAnew(), part = team.rank * (blockDim.x / 32) + thread / 32;
  if (thread % 32 < team.blocks) ptx::Push(&of_parts[part], thread % 32, number);
}
// Tells them what it weighs, or measures: part_mass[which].
__device__ __forceinline__ void PushPartMass(uint64_t sum, uint32_t which, const Team& team, Storage& storage) {
  PushOfPart(sum, storage.part_mass[which], team);
}

// Sums the mass of the whole row, at its temperature (0) or the reference's (1), where it has been found; for all lanes
// of a warp.
__device__ __forceinline__ uint64_t RowMass(uint32_t which, const Storage& storage) {
  uint64_t sum = 0;
  const auto* pairs = reinterpret_cast<const ulonglong2*>(storage.part_mass[which]);
  uint32_t threads = blockDim.x;
  ptx::Keep(&threads);  // or what it comes to takes a register from the kernel's first instruction on
  const uint32_t count = storage.part.blocks * (threads / 64);
  // All loads under way at once; the last pair again for lanes that have none.
#pragma unroll
  for (uint32_t i = ptx::ThreadAnew() % 32; i < kMostBlocks * kMostWarps / 2; i += 32) {
    const ulonglong2 of = pairs[min(i, count - 1)];
    sum += i < count ? of.x + of.y : 0;
  }
  return ReduceWarp(sum, Add());
}

// The same in floats and in registers, for loops over a row whose scale is exact, or that weigh nothing. Whatever the
// measure's only key: `last` is the least logit that counts, and the loop looks for no larger ones.
struct RowMeasure {
  FastScale scale;
  float last;
  uint32_t last_id;  // of the tokens with the least
  float min_power;   // FastPower of what min-p keeps

  __device__ __forceinline__ explicit RowMeasure(const TokenMeasure& measure)
      : scale(SharedStorage().fast_scale), last_id(IdOf(measure.rule.last)) {
    uint32_t last_key = KeyOf(measure.rule.last);
    // A rule may be of any bits; no NaN and no −inf reaches its last.
    const uint32_t least = max(measure.only_key, definition::kMaskedKey + 1);
    if (last_key < least) last_key = least, last_id = ~0u;
    last = definition::KeyToFloat(last_key);
    // A power is a float: it reaches a weight if it reaches the float above.
    min_power = __ull2float_ru(measure.rule.min_weight);
  }

  __device__ __forceinline__ bool Keeps(float x, uint32_t id) const { return x >= last && (x > last || id <= last_id); }
  // The power of its weight, truncated no weight yet; 0 where it fails min-p. Asks for an exact scale.
  __device__ __forceinline__ float Power(float x) const {
    const float power = FastPower(x, scale);
    return power >= min_power ? power : 0;
  }
  // Its weight, likewise, or 1.
  __device__ __forceinline__ uint64_t Amount(float x, bool counts) const {
    const uint64_t weight = FastWeightFrom(x, min_power, scale);
    return counts ? weight != 0 : weight;
  }
};

}  // namespace fire::kernels
