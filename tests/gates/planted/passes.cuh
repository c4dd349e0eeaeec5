// The hot passes with mistakes that the gates must find, one at a time; none is found in what Mistake::kNone makes.
#pragma once

#include <cmath>
#include <cstdint>

enum class Mistake { kNone, kWords, kSlots, kWaits, kDivides, kBranches, kSlowPath, kIntegers, kConverts };

inline constexpr int kPlantedGroup = 4;  // vectors of a lane

struct PlantedRow {
  const float4* vectors;
  uint32_t count;
  float parameter;
};

struct PlantedList {
  uint32_t count;
  float4 vector[64];
};

template <Mistake kMistake>
__device__ __forceinline__ void LoadGroup(const PlantedRow& row, uint32_t index, float4 (&v)[kPlantedGroup]) {
#pragma unroll
  for (int u = 0; u < kPlantedGroup; ++u) {
    const float4* from = row.vectors + index + 32 * u;
    if (kMistake == Mistake::kWords) {
      const float* words = reinterpret_cast<const float*>(from);
      v[u] = {__ldg(words), __ldg(words + 37), __ldg(words + 74), __ldg(words + 111)};
    } else {
      v[u] = __ldg(kMistake == Mistake::kWaits && u > 0 ? from + (v[u - 1].x > 0.0f) : from);
    }
  }
}

template <Mistake kMistake>
__device__ __forceinline__ float MaximumPass(const PlantedRow& row) {
  float maximum = -INFINITY;
#pragma unroll 1
  for (uint32_t index = threadIdx.x; index < row.count; index += 32 * kPlantedGroup) {
    float4 v[kPlantedGroup];
    LoadGroup<kMistake>(row, index, v);
#pragma unroll
    for (int u = 0; u < kPlantedGroup; ++u) {
      if (kMistake == Mistake::kSlots)
        v[u].x = fmaf(v[u].y, v[u].z, fmaf(v[u].z, v[u].w, fmaf(v[u].x, v[u].y, v[u].z)));
      if (kMistake == Mistake::kDivides) v[u].x = v[u].x / row.parameter;
      maximum = fmaxf(maximum, fmaxf(fmaxf(v[u].x, v[u].y), fmaxf(v[u].z, v[u].w)));
    }
  }
  return maximum;
}

template <Mistake kMistake>
__device__ __forceinline__ void AppendPass(const PlantedRow& row, PlantedList& list) {
#pragma unroll 1
  for (uint32_t index = threadIdx.x; index < row.count; index += 32 * kPlantedGroup) {
    float4 v[kPlantedGroup];
    LoadGroup<kMistake>(row, index, v);
    float each[kPlantedGroup], all = -INFINITY;
#pragma unroll
    for (int u = 0; u < kPlantedGroup; ++u) {
      each[u] = fmaxf(fmaxf(v[u].x, v[u].y), fmaxf(v[u].z, v[u].w));
      all = fmaxf(all, each[u]);
    }
    if (kMistake != Mistake::kBranches && !(all >= row.parameter)) continue;
#pragma unroll
    for (int u = 0; u < kPlantedGroup; ++u) {
      if (!(each[u] >= row.parameter)) continue;
      uint32_t step = 1;
      if (kMistake == Mistake::kSlowPath) {
        step = __float_as_uint(v[u].x);
#pragma unroll
        for (int i = 0; i < 32; ++i) step = (step ^ (step >> 7)) * 0x9E3779B9u;
      }
      const uint32_t at = atomicAdd(&list.count, step);
      if (at < 64) list.vector[at] = v[u];
    }
  }
}

template <bool kNan, Mistake kMistake>
__device__ __forceinline__ uint64_t FastMassPass(const PlantedRow& row) {
  uint64_t mass = 0;
#pragma unroll 1
  for (uint32_t index = threadIdx.x; index < row.count; index += 32 * kPlantedGroup) {
    float4 v[kPlantedGroup];
    LoadGroup<kMistake>(row, index, v);
#pragma unroll
    for (int u = 0; u < kPlantedGroup; ++u)
      for (float x : {v[u].x, v[u].y, v[u].z, v[u].w}) {
        uint32_t weight = __float_as_uint(x);
        if (kMistake == Mistake::kIntegers) weight = ((weight >> 3) ^ (weight & 0x55555555u)) >> (weight >> 29);
        mass += kMistake == Mistake::kConverts ? __float2ull_rz(x) : weight;
      }
  }
  return mass;
}
