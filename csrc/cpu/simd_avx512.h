// Sixteen lanes in one AVX-512 register (F, BW, VL, DQ). The functions are those of simd_baseline.h, which
// documents them.
#pragma once

#include <immintrin.h>

#include "cpu/simd_types.h"
#include "definition/weight.h"

namespace fire::cpu::FIRE_ISA {

using Floats = __m512;
using Mask = __mmask16;

inline Floats Load(const float* p) { return _mm512_loadu_ps(p); }
inline Floats Load(const BFloat16* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
inline Floats Load(const Float16* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// Loads of 32 bytes also for 16-bit logits: of a row that is not aligned, every one of 64 bytes would cross a cache
// line.
template <typename T>
inline void LoadUnordered(const T* p, Floats* x, Floats* y) {
  *x = Load(p);
  *y = Load(p + 16);
}
inline void Store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
inline void StoreRounded(float* p, Floats x) { Store(p, x); }
inline void StoreRounded(BFloat16* p, Floats x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i half = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), rounded, quiet);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(half, 16)));
}
inline void StoreRounded(Float16* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline Floats Broadcast(float x) { return _mm512_set1_ps(x); }

inline Floats Max(Floats x, Floats other) { return _mm512_max_ps(x, other); }
inline Floats Min(Floats x, Floats other) { return _mm512_min_ps(x, other); }
inline float ReduceMax(Floats x) { return _mm512_reduce_max_ps(x); }
inline Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats Subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
inline Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats Divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }

inline Mask AtLeast(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline Mask Equals(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
inline Mask IsNan(Floats a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
inline Mask And(Mask a, Mask b) { return static_cast<Mask>(a & b); }
inline Mask Or(Mask a, Mask b) { return static_cast<Mask>(a | b); }
inline Mask NoLane() { return 0; }
inline Mask FirstLanes(uint32_t count) { return static_cast<Mask>((1u << count) - 1); }
inline uint32_t Bits(Mask mask) { return mask; }
inline Floats Select(Mask mask, Floats yes, Floats no) { return _mm512_mask_blend_ps(mask, no, yes); }

inline void StoreTruncated(uint32_t* p, Floats x) { _mm512_storeu_si512(p, _mm512_cvttps_epi32(x)); }

struct Counts {
  uint64_t total = 0;
};
inline void Count(Counts& counts, Mask mask) { counts.total += static_cast<uint64_t>(__builtin_popcount(mask)); }
inline uint64_t Total(const Counts& counts) { return counts.total; }

struct VectorScale {
  explicit VectorScale(const definition::WeightScale& scale)
      : uniform(scale.slope == 0.0f),
        maximum(Broadcast(scale.maximum)),
        slope(Broadcast(uniform ? 1.0f : scale.slope)),
        floor(Broadcast(uniform ? -static_cast<float>(scale.bits + 3) : scale.floor)) {
    // Scaled by 2^S, Horner's sum is the weight before its power of two; both scalings are exact.
    const float power = definition::BitsToFloat(static_cast<uint32_t>(127 + scale.bits) << 23);
    for (int i = 0; i < 6; ++i) polynomial[i] = Broadcast(definition::kPolynomial[i] * power);
  }
  bool uniform;
  Floats maximum, slope, floor;
  Floats polynomial[6];
};

struct Weights {
  __m512i low, high;  // lanes 0–7, 8–15
};

// Several groups step by step: each step's operations are independent, which hides their latency. Truncated, the
// results are the weights.
template <int kGroups>
inline void UntruncatedWeightsOf(const Floats (&x)[kGroups], const VectorScale& scale, Floats (&out)[kGroups]) {
  const __m512 shift = _mm512_set1_ps(definition::kRoundingShift);
  const __m512 none = _mm512_set1_ps(-__builtin_inff());
  __m512 d[kGroups], z[kGroups], f[kGroups], p[kGroups];
  for (int i = 0; i < kGroups; ++i) {
    d[i] = x[i];
    if (scale.uniform) d[i] = _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x[i], none, _CMP_GT_OQ), none, scale.maximum);
    // maxps returns its second operand for NaN: so NaN, like −inf, falls to the floor, where the weight is 0.
    d[i] = _mm512_max_ps(_mm512_sub_ps(d[i], scale.maximum), scale.floor);
  }
  for (int i = 0; i < kGroups; ++i) z[i] = _mm512_fmadd_ps(d[i], scale.slope, shift);
  for (int i = 0; i < kGroups; ++i) f[i] = _mm512_fmsub_ps(d[i], scale.slope, _mm512_sub_ps(z[i], shift));
  for (int i = 0; i < kGroups; ++i) p[i] = _mm512_fmadd_ps(scale.polynomial[5], f[i], scale.polynomial[4]);
  for (int power = 3; power >= 0; --power)
    for (int i = 0; i < kGroups; ++i) p[i] = _mm512_fmadd_ps(p[i], f[i], scale.polynomial[power]);
  // The low bits of z are n: added to the exponent they scale by 2^n, and truncation is the definition's shift.
  for (int i = 0; i < kGroups; ++i)
    out[i] = _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(p[i]), _mm512_slli_epi32(_mm512_castps_si512(z[i]), 23)));
}

template <int kGroups>
inline void WeightsOf(const Floats (&x)[kGroups], const VectorScale& scale, Weights (&out)[kGroups]) {
  Floats weight[kGroups];
  UntruncatedWeightsOf(x, scale, weight);
  for (int i = 0; i < kGroups; ++i)
    out[i] = {_mm512_cvttps_epu64(_mm512_castps512_ps256(weight[i])),
              _mm512_cvttps_epu64(_mm512_extractf32x8_ps(weight[i], 1))};
}

inline Weights WeightsOf(Floats x, const VectorScale& scale) {
  const Floats group[1] = {x};
  Weights out[1];
  WeightsOf(group, scale, out);
  return out[0];
}

using FloatScale = VectorScale;
inline Floats FloatWeightsOf(Floats x, const FloatScale& scale) {
  const Floats group[1] = {x};
  Floats out[1];
  UntruncatedWeightsOf(group, scale, out);
  return _mm512_roundscale_ps(out[0], _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

inline Weights ZeroBelow(Weights w, uint64_t least) {
  const __m512i bound = _mm512_set1_epi64(static_cast<int64_t>(least));
  return {_mm512_maskz_mov_epi64(_mm512_cmpge_epu64_mask(w.low, bound), w.low),
          _mm512_maskz_mov_epi64(_mm512_cmpge_epu64_mask(w.high, bound), w.high)};
}

inline Mask WeightAtLeast(Weights w, uint64_t least) {
  const __m512i bound = _mm512_set1_epi64(static_cast<int64_t>(least));
  return static_cast<Mask>(_mm512_cmpge_epu64_mask(w.low, bound) | (_mm512_cmpge_epu64_mask(w.high, bound) << 8));
}

inline void StoreWeights(uint64_t* p, Weights w) {
  _mm512_storeu_si512(p, w.low);
  _mm512_storeu_si512(p + 8, w.high);
}

inline Weights LoadWeights(const uint64_t* p) { return {_mm512_loadu_si512(p), _mm512_loadu_si512(p + 8)}; }

inline Weights KeepLanes(Weights w, Mask mask) {
  return {_mm512_maskz_mov_epi64(static_cast<__mmask8>(mask), w.low),
          _mm512_maskz_mov_epi64(static_cast<__mmask8>(mask >> 8), w.high)};
}

struct Mass {
  __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();
};
inline void Add(Mass& mass, Weights w) {
  mass.low = _mm512_add_epi64(mass.low, w.low);
  mass.high = _mm512_add_epi64(mass.high, w.high);
}
inline uint64_t Total(const Mass& mass) {
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(mass.low, mass.high)));
}

inline uint32_t Compress(float* logit, uint32_t* id, Floats x, uint32_t first_id, Mask mask) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  _mm512_storeu_ps(logit, _mm512_maskz_compress_ps(mask, x));
  _mm512_storeu_si512(
      id, _mm512_maskz_compress_epi32(mask, _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first_id)), lanes)));
  return static_cast<uint32_t>(__builtin_popcount(mask));
}

}  // namespace fire::cpu::FIRE_ISA
