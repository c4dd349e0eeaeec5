// The loops over a whole row: its maximum, the candidates that reach a pivot, its weights. Here the time goes; the
// gates of tests/gates count their machine instructions.
#pragma once

#include "kernels/device/row_part.cuh"
#include "kernels/device/weights.cuh"

namespace fire::kernels {

// The largest logits that a lane has seen, by word of the vector: disjoint parts of the row.
struct LaneMaxima {
  uint32_t word[4];
};

template <typename Logit>
__device__ __forceinline__ LaneMaxima NoMaxima() {
  return {{Logit::kMaskedWord, Logit::kMaskedWord, Logit::kMaskedWord, Logit::kMaskedWord}};
}

// Adds the vectors of `run` of this warp to the maxima, from global memory. With kKeepNan a NaN wins and stays;
// without, it is passed over. A resident part is copied on the way.
template <bool kKeepNan, bool kResident, typename Logit>
__device__ __forceinline__ void MaximumPass(const RowPart<Logit>& part, Run run, LaneMaxima* maxima) {
  LaneMaxima m = *maxima;
  part.template ForVectors<false, kResident>(run.begin, run.end, [&](const auto& v, uint32_t index, uint32_t count) {
    Vector* copy = kResident ? &part.Resident(index) : nullptr;
#pragma unroll
    for (uint32_t u = 0; u < sizeof(v) / sizeof(Vector); ++u) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        m.word[i] = kKeepNan ? Logit::Max(m.word[i], v[u].word[i]) : Logit::MaxNumber(m.word[i], v[u].word[i]);
      if (kResident && u < count) copy[32 * u] = v[u];
    }
  });
  *maxima = m;
}

// Appends those of a group of vectors, 32 apart from `index` on, that hold a logit of at least `pivot`, or a NaN. One
// test serves all of them, and one count, which goes on beyond kVectorCapacity: false then.
template <typename Logit, int kCount>
__device__ __forceinline__ bool AppendVectors(const Vector (&v)[kCount], uint32_t index, uint32_t pivot,
                                              Storage& storage) {
  uint32_t each[kCount], all;
#pragma unroll
  for (int u = 0; u < kCount; ++u) {
    each[u] = Logit::Max(Logit::Max(v[u].word[0], v[u].word[1]), Logit::Max(v[u].word[2], v[u].word[3]));
    all = u == 0 ? each[0] : Logit::Max(all, each[u]);
  }
  if (__builtin_expect(Logit::AnyAtLeastOrNan(all, pivot), 0)) {
    uint32_t holds[kCount], count = 0;
#pragma unroll
    for (int u = 0; u < kCount; ++u) {
      holds[u] = kCount == 1 || Logit::AnyAtLeastOrNan(each[u], pivot);
      count += holds[u];
    }
    uint32_t at = atomicAdd(&storage.vector_count, count);
    if (at + count > kVectorCapacity) return false;  // nor is any other used then
#pragma unroll
    for (int u = 0; u < kCount; ++u) {
      if (holds[u] != 0) storage.vector[at] = index + 32 * u;
      at += holds[u];
    }
  }
  return true;
}

// Sums the weights of a group of vectors. Without kNan they must hold none.
template <bool kNan, typename Logit, int kCount>
__device__ __forceinline__ uint64_t WeightOfVectors(const Vector (&v)[kCount], const FastScale& scale) {
  uint64_t mass = 0;
#pragma unroll
  for (int u = 0; u < kCount; ++u) {
    float x[Logit::kPerVector];
#pragma unroll
    for (uint32_t i = 0; i < Logit::kPerVector; ++i) {
      const uint32_t word = v[u].word[i / Logit::kPerWord];
      x[i] = Logit::Value(kNan ? Logit::MaxNumber(word, Logit::kMaskedWord) : word, i % Logit::kPerWord);
    }
#pragma unroll
    for (uint32_t i = 0; i < Logit::kPerVector; i += 2) mass += FastWeights(x[i], x[i + 1], scale);
  }
  return mass;
}

// Appends the vectors of `run` that hold a candidate, as far as there is room for them: a row of equals, which all do,
// is not read to its end.
template <bool kFromShared, typename Logit>
__device__ __forceinline__ void AppendPass(const RowPart<Logit>& part, Run run, uint32_t pivot, Storage& storage) {
  part.template ForVectors<kFromShared>(run.begin, run.end, [&](const auto& v, uint32_t index, uint32_t) {
    return AppendVectors<Logit>(v, index, pivot, storage);
  });
}

// Sums the lane's share of the mass of the vectors of `run`. Without kNan the row must hold none.
template <bool kNan, bool kFromShared, typename Logit>
__device__ __forceinline__ uint64_t FastMassPass(const RowPart<Logit>& part, Run run, const FastScale& scale) {
  uint64_t mass = 0;
  part.template ForVectors<kFromShared>(
      run.begin, run.end, [&](const auto& v, uint32_t, uint32_t) { mass += WeightOfVectors<kNan, Logit>(v, scale); });
  return mass;
}

// Does what both do, in one reading of a row without NaN.
template <bool kFromShared, typename Logit>
__device__ __forceinline__ uint64_t AppendAndMassPass(const RowPart<Logit>& part, Run run, uint32_t pivot,
                                                      const FastScale& scale, Storage& storage) {
  uint64_t mass = 0;
  part.template ForVectors<kFromShared>(run.begin, run.end, [&](const auto& v, uint32_t index, uint32_t) {
    AppendVectors<Logit>(v, index, pivot, storage);
    mass += WeightOfVectors<false, Logit>(v, scale);
  });
  return mass;
}

// Does the same for any row and scale.
template <bool kFromShared, typename Logit>
__device__ __forceinline__ uint64_t MassPass(const RowPart<Logit>& part, const WeightScale& scale, bool has_nan) {
  const FastScale fast = MakeFastScale(scale);
  if (fast.is_exact && has_nan) return FastMassPass<true, kFromShared>(part, part.OwnRun(), fast);
  if (fast.is_exact) return FastMassPass<false, kFromShared>(part, part.OwnRun(), fast);
  uint64_t mass = 0;
  part.template ForElements<kFromShared>(part.IdsOf(part.OwnRun()), threadIdx.x % 32, 32,
                                         [&](float x, uint32_t) { mass += definition::Weight(x, scale); });
  return mass;
}

// Writes what the logits of `run` get of a gradient, a vector of the row as one of `out` where kVectors.
template <bool kVectors, typename Logit>
__device__ __forceinline__ void SlopePass(const RowPart<Logit>& part, Run run, const FastSlope& slope,
                                          typename Logit::Element* out) {
  part.template ForVectors<false>(run.begin, run.end, [&](const auto& v, uint32_t index, uint32_t count) {
    constexpr uint32_t kCount = sizeof(v) / sizeof(Vector);
#pragma unroll
    for (uint32_t u = 0; u < kCount; ++u) {
      Vector slopes;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t word = Logit::MaxNumber(v[u].word[i], Logit::kMaskedWord);
        float each[Logit::kPerWord];
#pragma unroll
        for (uint32_t half = 0; half < Logit::kPerWord; ++half) each[half] = SlopeOf(Logit::Value(word, half), slope);
        slopes.word[i] = Logit::WordOf(each);
      }
      const uint32_t at = index + 32 * u;
      if (kVectors && kCount > 1) {
        *reinterpret_cast<Vector*>(out + part.IdOfFirst(at)) = slopes;
      } else if (u < count) {
        part.ForElementsOf(slopes, at, [&](float x, uint32_t id) { out[id] = Logit::FromFloat(x); });
      }
    }
  });
}

}  // namespace fire::kernels
