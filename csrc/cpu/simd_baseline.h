// Sixteen lanes as an array, for any processor: the plain meaning of every function the row passes are built from.
// simd_avx2.h and simd_avx512.h have the same functions with the same results, bit for bit.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/simd_types.h"
#include "definition/weight.h"

namespace fire::cpu::FIRE_ISA {

struct Floats {
  float lane[16];
};
struct Mask {
  uint32_t bits;
};

template <typename Function>
inline Floats ForLanes(const Function& function) {
  Floats out;
  for (int i = 0; i < 16; ++i) out.lane[i] = function(i);
  return out;
}
template <typename Function>
inline Mask MaskOfLanes(const Function& function) {
  uint32_t bits = 0;
  for (int i = 0; i < 16; ++i) bits |= static_cast<uint32_t>(function(i)) << i;
  return {bits};
}

// Sixteen logits as float32, from any address.
inline Floats Load(const float* p) {
  Floats out;
  memcpy(out.lane, p, sizeof out.lane);
  return out;
}
inline Floats Load(const BFloat16* p) {
  uint16_t half[16];
  memcpy(half, p, sizeof half);
  return ForLanes([&half](int i) { return definition::BitsToFloat(definition::BFloat16ToFloatBits(half[i])); });
}
inline Floats Load(const Float16* p) {
  uint16_t half[16];
  memcpy(half, p, sizeof half);
  return ForLanes([&half](int i) { return definition::BitsToFloat(definition::Float16ToFloatBits(half[i])); });
}

// Thirty-two logits in two groups, in whatever order of lanes is cheapest: for passes that ask for the largest only.
template <typename T>
inline void LoadUnordered(const T* p, Floats* x, Floats* y) {
  *x = Load(p);
  *y = Load(p + 16);
}
inline void Store(float* p, Floats x) { memcpy(p, x.lane, sizeof x.lane); }

// Rounds each lane to nearest, even where two are.
inline void StoreRounded(float* p, Floats x) { Store(p, x); }
inline void StoreRounded(BFloat16* p, Floats x) {
  for (int i = 0; i < 16; ++i) p[i].bits = definition::FloatToBFloat16(x.lane[i]);
}
inline void StoreRounded(Float16* p, Floats x) {
  for (int i = 0; i < 16; ++i) p[i].bits = definition::FloatToFloat16(x.lane[i]);
}
inline Floats Broadcast(float x) {
  return ForLanes([x](int) { return x; });
}

// A NaN in `x` gives `other`.
inline Floats Max(Floats x, Floats other) {
  return ForLanes([&](int i) { return x.lane[i] > other.lane[i] ? x.lane[i] : other.lane[i]; });
}
inline Floats Min(Floats x, Floats other) {
  return ForLanes([&](int i) { return x.lane[i] < other.lane[i] ? x.lane[i] : other.lane[i]; });
}
inline float ReduceMax(Floats x) {
  float largest = x.lane[0];
  for (float value : x.lane) largest = value > largest ? value : largest;
  return largest;
}
inline Floats Add(Floats x, Floats y) {
  return ForLanes([&](int i) { return x.lane[i] + y.lane[i]; });
}
inline Floats Subtract(Floats x, Floats y) {
  return ForLanes([&](int i) { return x.lane[i] - y.lane[i]; });
}
inline Floats Multiply(Floats x, Floats y) {
  return ForLanes([&](int i) { return x.lane[i] * y.lane[i]; });
}
inline Floats Divide(Floats x, Floats y) {
  return ForLanes([&](int i) { return x.lane[i] / y.lane[i]; });
}

// Comparisons with NaN are false. −0 equals +0, as in the order of tokens.
inline Mask AtLeast(Floats x, Floats y) {
  return MaskOfLanes([&](int i) { return x.lane[i] >= y.lane[i]; });
}
inline Mask Equals(Floats x, Floats y) {
  return MaskOfLanes([&](int i) { return x.lane[i] == y.lane[i]; });
}
inline Mask IsNan(Floats x) {
  return MaskOfLanes([&](int i) { return x.lane[i] != x.lane[i]; });
}
inline Mask And(Mask x, Mask y) { return {x.bits & y.bits}; }
inline Mask Or(Mask x, Mask y) { return {x.bits | y.bits}; }
inline Mask NoLane() { return {0}; }
inline Mask FirstLanes(uint32_t count) { return {(1u << count) - 1}; }  // count ≤ 16
inline uint32_t Bits(Mask mask) { return mask.bits; }
inline Floats Select(Mask mask, Floats yes, Floats no) {
  return ForLanes([&](int i) { return (mask.bits >> i) & 1 ? yes.lane[i] : no.lane[i]; });
}

// Truncation to integers; lanes are in [0, 2^31).
inline void StoreTruncated(uint32_t* p, Floats x) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint32_t>(static_cast<int32_t>(x.lane[i]));
}

struct Counts {
  uint64_t total = 0;
};
inline void Count(Counts& counts, Mask mask) { counts.total += static_cast<uint64_t>(__builtin_popcount(mask.bits)); }
inline uint64_t Total(const Counts& counts) { return counts.total; }

// What the sixteen weights of definition/weight.h depend on, ready for use.
struct VectorScale {
  explicit VectorScale(const definition::WeightScale& scale) : scale(scale) {}
  definition::WeightScale scale;
};

struct Weights {
  uint64_t lane[16];
};

// −inf and NaN weigh 0; no lane may exceed the scale's maximum.
inline Weights WeightsOf(Floats x, const VectorScale& scale) {
  Weights out;
  for (int i = 0; i < 16; ++i) out.lane[i] = definition::Weight(x.lane[i], scale.scale);
  return out;
}

// The same of several groups, which the wider sets work on in parallel.
template <int kGroups>
inline void WeightsOf(const Floats (&x)[kGroups], const VectorScale& scale, Weights (&out)[kGroups]) {
  for (int i = 0; i < kGroups; ++i) out[i] = WeightsOf(x[i], scale);
}

// Weights as floats, which hold any weight. Of a scale whose slope is not 0.
using FloatScale = VectorScale;
inline Floats FloatWeightsOf(Floats x, const FloatScale& scale) {
  return ForLanes([&](int i) { return static_cast<float>(definition::Weight(x.lane[i], scale.scale)); });
}

inline Weights ZeroBelow(Weights w, uint64_t least) {
  for (uint64_t& weight : w.lane) weight = weight >= least ? weight : 0;
  return w;
}
inline Mask WeightAtLeast(Weights w, uint64_t least) {
  return MaskOfLanes([&](int i) { return w.lane[i] >= least; });
}
inline void StoreWeights(uint64_t* p, Weights w) { memcpy(p, w.lane, sizeof w.lane); }
inline Weights LoadWeights(const uint64_t* p) {
  Weights out;
  memcpy(out.lane, p, sizeof out.lane);
  return out;
}
inline Weights KeepLanes(Weights w, Mask mask) {
  for (int i = 0; i < 16; ++i) w.lane[i] = (mask.bits >> i) & 1 ? w.lane[i] : 0;
  return w;
}

struct Mass {
  uint64_t total = 0;
};
inline void Add(Mass& mass, Weights w) {
  for (uint64_t weight : w.lane) mass.total += weight;
}
inline uint64_t Total(const Mass& mass) { return mass.total; }

// Appends the lanes of `mask` and their ids; may write sixteen entries. Returns how many count.
inline uint32_t Compress(float* logit, uint32_t* id, Floats x, uint32_t first_id, Mask mask) {
  uint32_t count = 0;
  for (uint32_t bits = mask.bits; bits != 0; bits &= bits - 1) {
    const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
    logit[count] = x.lane[lane];
    id[count++] = first_id + lane;
  }
  return count;
}

}  // namespace fire::cpu::FIRE_ISA
