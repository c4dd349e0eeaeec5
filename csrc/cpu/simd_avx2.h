// Sixteen lanes in two AVX2 registers (with FMA and F16C). The functions are those of simd_baseline.h, which
// documents them.
#pragma once

#include <immintrin.h>

#include "cpu/simd_types.h"
#include "definition/weight.h"

namespace fire::cpu::FIRE_ISA {

struct Floats {
  __m256 a, b;  // lanes 0–7, 8–15
};
struct Mask {
  __m256 a, b;
};

inline Floats Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline __m256 LoadHalf(const BFloat16* p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
}
inline __m256 LoadHalf(const Float16* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Floats Load(const BFloat16* p) { return {LoadHalf(p), LoadHalf(p + 8)}; }
inline Floats Load(const Float16* p) { return {LoadHalf(p), LoadHalf(p + 8)}; }
template <typename T>
inline void LoadUnordered(const T* p, Floats* x, Floats* y) {
  *x = Load(p);
  *y = Load(p + 16);
}
// Neighbours share a 32-bit lane: the low one is shifted up, the high one stands where it must.
inline void LoadUnordered(const BFloat16* p, Floats* x, Floats* y) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16));
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
  *x = {_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16))};
  *y = {_mm256_castsi256_ps(_mm256_and_si256(a, high)), _mm256_castsi256_ps(_mm256_and_si256(b, high))};
}
inline void Store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline void StoreRounded(float* p, Floats x) { Store(p, x); }
inline __m256i RoundedToBFloat16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 half =
      _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_srli_epi32(_mm256_castps_si256(half), 16);
}
inline void StoreRounded(BFloat16* p, Floats x) {
  const __m256i packed = _mm256_packus_epi32(RoundedToBFloat16(x.a), RoundedToBFloat16(x.b));  // quarters 0 2 1 3
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
inline void StoreRounded(Float16* p, Floats x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
inline Floats Broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

inline Floats Max(Floats x, Floats other) { return {_mm256_max_ps(x.a, other.a), _mm256_max_ps(x.b, other.b)}; }
inline Floats Min(Floats x, Floats other) { return {_mm256_min_ps(x.a, other.a), _mm256_min_ps(x.b, other.b)}; }
inline float ReduceMax(Floats x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}
inline Floats Add(Floats x, Floats y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Floats Subtract(Floats x, Floats y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Floats Multiply(Floats x, Floats y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Floats Divide(Floats x, Floats y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }

inline Mask AtLeast(Floats x, Floats y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_GE_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_GE_OQ)};
}
inline Mask Equals(Floats x, Floats y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)};
}
inline Mask IsNan(Floats x) { return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)}; }
inline Mask And(Mask x, Mask y) { return {_mm256_and_ps(x.a, y.a), _mm256_and_ps(x.b, y.b)}; }
inline Mask Or(Mask x, Mask y) { return {_mm256_or_ps(x.a, y.a), _mm256_or_ps(x.b, y.b)}; }
inline Mask NoLane() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Mask FirstLanes(uint32_t count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int n = static_cast<int>(count);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes)),
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lanes))};
}
inline uint32_t Bits(Mask mask) {
  return static_cast<uint32_t>(_mm256_movemask_ps(mask.a)) | static_cast<uint32_t>(_mm256_movemask_ps(mask.b)) << 8;
}
inline Floats Select(Mask mask, Floats yes, Floats no) {
  return {_mm256_blendv_ps(no.a, yes.a, mask.a), _mm256_blendv_ps(no.b, yes.b, mask.b)};
}

inline void StoreTruncated(uint32_t* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_cvttps_epi32(x.a));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), _mm256_cvttps_epi32(x.b));
}

// A lane's mask is −1: subtracting masks counts, in 32-bit lanes that a row of 2^21 cannot overflow.
struct Counts {
  __m256i lanes = _mm256_setzero_si256();
};
inline void Count(Counts& counts, Mask mask) {
  counts.lanes = _mm256_sub_epi32(counts.lanes, _mm256_castps_si256(mask.a));
  counts.lanes = _mm256_sub_epi32(counts.lanes, _mm256_castps_si256(mask.b));
}
inline uint64_t Total(const Counts& counts) {
  alignas(32) uint32_t lane[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lane), counts.lanes);
  uint64_t total = 0;
  for (uint32_t n : lane) total += n;
  return total;
}

struct VectorScale {
  explicit VectorScale(const definition::WeightScale& scale)
      : uniform(scale.slope == 0.0f),
        maximum(_mm256_set1_ps(scale.maximum)),
        slope(_mm256_set1_ps(uniform ? 1.0f : scale.slope)),
        shift(_mm256_set1_epi32(static_cast<int>(definition::kRoundingShiftBits) + 32 - (scale.bits - 23))) {}
  bool uniform;
  __m256 maximum, slope;
  __m256i shift;
};

// Lanes of even and of odd index apart, as 32-bit halves of 64-bit lanes split without shuffles.
struct WeightsOfEight {
  __m256i even, odd;
};
struct Weights {
  WeightsOfEight a, b;
};

inline WeightsOfEight WeightsOf(__m256 x, const VectorScale& scale) {
  if (scale.uniform) {
    const __m256 none = _mm256_set1_ps(-__builtin_inff());
    x = _mm256_blendv_ps(none, scale.maximum, _mm256_cmp_ps(x, none, _CMP_GT_OQ));
  }
  const __m256 rounding = _mm256_set1_ps(definition::kRoundingShift);
  // No clamp is needed: where the definition's would act, and for NaN and −inf, the shift below is 64 or more,
  // which leaves 0.
  const __m256 d = _mm256_sub_ps(x, scale.maximum);
  const __m256 z = _mm256_fmadd_ps(d, scale.slope, rounding);
  const __m256 f = _mm256_fmsub_ps(d, scale.slope, _mm256_sub_ps(z, rounding));
  __m256 p = _mm256_set1_ps(definition::kPolynomial[5]);
  for (int power = 4; power >= 0; --power) p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(definition::kPolynomial[power]));
  const __m256i mantissa =
      _mm256_sub_epi32(_mm256_castps_si256(p), _mm256_set1_epi32(static_cast<int>(definition::kHalfBits)));
  const __m256i shift = _mm256_sub_epi32(scale.shift, _mm256_castps_si256(z));
  const __m256i zero = _mm256_setzero_si256();
  // Each mantissa starts 32 bits up, so one right shift does both of the definition's.
  return {_mm256_srlv_epi64(_mm256_slli_epi64(mantissa, 32), _mm256_blend_epi32(shift, zero, 0xAA)),
          _mm256_srlv_epi64(_mm256_blend_epi32(zero, mantissa, 0xAA), _mm256_srli_epi64(shift, 32))};
}

inline Weights WeightsOf(Floats x, const VectorScale& scale) { return {WeightsOf(x.a, scale), WeightsOf(x.b, scale)}; }

template <int kGroups>
inline void WeightsOf(const Floats (&x)[kGroups], const VectorScale& scale, Weights (&out)[kGroups]) {
  for (int i = 0; i < kGroups; ++i) out[i] = WeightsOf(x[i], scale);
}

struct FloatScale {
  explicit FloatScale(const definition::WeightScale& scale)
      : maximum(_mm256_set1_ps(scale.maximum)),
        slope(_mm256_set1_ps(scale.slope)),
        least(_mm256_set1_ps(definition::kRoundingShift - static_cast<float>(scale.bits + 3))) {
    // Scaled by 2^S, Horner's sum is the weight before its power of two; both scalings are exact.
    const float power = definition::BitsToFloat(static_cast<uint32_t>(127 + scale.bits) << 23);
    for (int i = 0; i < 6; ++i) polynomial[i] = _mm256_set1_ps(definition::kPolynomial[i] * power);
  }
  __m256 maximum, slope;
  __m256 least;  // no z below has a weight, and n is small enough from here on to be added to an exponent
  __m256 polynomial[6];
};

inline __m256 FloatWeightsOf(__m256 x, const FloatScale& scale) {
  const __m256 rounding = _mm256_set1_ps(definition::kRoundingShift);
  const __m256 d = _mm256_sub_ps(x, scale.maximum);
  const __m256 z = _mm256_fmadd_ps(d, scale.slope, rounding);
  const __m256 f = _mm256_fmsub_ps(d, scale.slope, _mm256_sub_ps(z, rounding));
  __m256 p = scale.polynomial[5];
  for (int power = 4; power >= 0; --power) p = _mm256_fmadd_ps(p, f, scale.polynomial[power]);
  // The low bits of z are n: added to the exponent they scale by 2^n, and truncation is the definition's shift.
  const __m256 weight =
      _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(z), 23)));
  // False for NaN: so NaN, like −inf, weighs 0.
  const __m256 weighs = _mm256_cmp_ps(z, scale.least, _CMP_GE_OQ);
  return _mm256_and_ps(_mm256_round_ps(weight, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC), weighs);
}

inline Floats FloatWeightsOf(Floats x, const FloatScale& scale) {
  return {FloatWeightsOf(x.a, scale), FloatWeightsOf(x.b, scale)};
}

// Weights and thresholds that can be reached are below 2^46, so signed comparison serves.
inline __m256i AtLeast64(__m256i w, __m256i least) {
  return _mm256_cmpgt_epi64(w, _mm256_sub_epi64(least, _mm256_set1_epi64x(1)));
}

inline WeightsOfEight ZeroBelow(WeightsOfEight w, uint64_t least) {
  const __m256i bound = _mm256_set1_epi64x(static_cast<int64_t>(least));
  return {_mm256_and_si256(w.even, AtLeast64(w.even, bound)), _mm256_and_si256(w.odd, AtLeast64(w.odd, bound))};
}
inline Weights ZeroBelow(Weights w, uint64_t least) { return {ZeroBelow(w.a, least), ZeroBelow(w.b, least)}; }

inline __m256 WeightAtLeast(WeightsOfEight w, uint64_t least) {
  const __m256i bound = _mm256_set1_epi64x(static_cast<int64_t>(least));
  return _mm256_castsi256_ps(_mm256_blend_epi32(AtLeast64(w.even, bound), AtLeast64(w.odd, bound), 0xAA));
}
inline Mask WeightAtLeast(Weights w, uint64_t least) { return {WeightAtLeast(w.a, least), WeightAtLeast(w.b, least)}; }

inline void StoreWeights(uint64_t* p, WeightsOfEight w) {
  const __m256i first = _mm256_unpacklo_epi64(w.even, w.odd);   // lanes 0 1 4 5
  const __m256i second = _mm256_unpackhi_epi64(w.even, w.odd);  // lanes 2 3 6 7
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute2x128_si256(first, second, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 4), _mm256_permute2x128_si256(first, second, 0x31));
}
inline void StoreWeights(uint64_t* p, Weights w) {
  StoreWeights(p, w.a);
  StoreWeights(p + 8, w.b);
}

inline WeightsOfEight LoadWeightsOfEight(const uint64_t* p) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 4));
  const __m256i first = _mm256_permute2x128_si256(low, high, 0x20);   // lanes 0 1 4 5
  const __m256i second = _mm256_permute2x128_si256(low, high, 0x31);  // lanes 2 3 6 7
  return {_mm256_unpacklo_epi64(first, second), _mm256_unpackhi_epi64(first, second)};
}
inline Weights LoadWeights(const uint64_t* p) { return {LoadWeightsOfEight(p), LoadWeightsOfEight(p + 8)}; }

inline WeightsOfEight KeepLanes(WeightsOfEight w, __m256 mask) {
  const __m256i lanes = _mm256_castps_si256(mask);
  return {_mm256_and_si256(w.even, _mm256_shuffle_epi32(lanes, 0xA0)),
          _mm256_and_si256(w.odd, _mm256_shuffle_epi32(lanes, 0xF5))};
}
inline Weights KeepLanes(Weights w, Mask mask) { return {KeepLanes(w.a, mask.a), KeepLanes(w.b, mask.b)}; }

struct Mass {
  __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
};
inline void Add(Mass& mass, Weights w) {
  mass.even = _mm256_add_epi64(mass.even, _mm256_add_epi64(w.a.even, w.b.even));
  mass.odd = _mm256_add_epi64(mass.odd, _mm256_add_epi64(w.a.odd, w.b.odd));
}
inline uint64_t Total(const Mass& mass) {
  alignas(32) uint64_t lane[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lane), _mm256_add_epi64(mass.even, mass.odd));
  return lane[0] + lane[1] + lane[2] + lane[3];
}

inline uint32_t Compress(float* logit, uint32_t* id, Floats x, uint32_t first_id, Mask mask) {
  alignas(32) float lanes[16];
  Store(lanes, x);
  uint32_t count = 0;
  for (uint32_t bits = Bits(mask); bits != 0; bits &= bits - 1) {
    const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
    logit[count] = lanes[lane];
    id[count++] = first_id + lane;
  }
  return count;
}

}  // namespace fire::cpu::FIRE_ISA
