// The pivot: a value that so many of the delegates reach, and so at least as many tokens of the row. All threads count
// the delegates by their distance from the maximum; one warp finds the bin in which there are enough.
#pragma once

#include "kernels/device/distance_bins.cuh"
#include "kernels/device/maxima.cuh"
#include "kernels/device/measure.cuh"
#include "kernels/device/settings.cuh"

namespace fire::kernels {

// Where no more than wanted / 4 + kPivotSlack delegates more than wanted reach the bin's end, that is the pivot; else
// it is sought further, by bisection.
inline constexpr uint32_t kPivotSlack = 8;

// The row's maximum and its least delegate that is not masked, as keys. All are masked where the least is ~0.
struct Extremes {
  uint32_t largest, least;
};

// Returns those of all parts, once the team has met, for all lanes of a warp, of which this is `lane`.
__device__ __forceinline__ Extremes SharedExtremes(uint32_t lane, const Team& team, const Storage& storage) {
  Extremes all = {.largest = definition::kMaskedKey, .least = ~0u};
  const auto* pairs = reinterpret_cast<const uint4*>(storage.part_extremes);
  const uint32_t count = team.blocks * (blockDim.x / 64);
  // All loads under way at once; the last pair again for lanes that have none.
#pragma unroll
  for (uint32_t i = lane; i < kMostBlocks * kMostWarps / 2; i += 32) {
    const uint4 of = pairs[min(i, count - 1)];
    all.largest = max(all.largest, max(of.y, of.w));
    all.least = min(all.least, min(of.x, of.z));
  }
  return {.largest = __reduce_max_sync(~0u, all.largest), .least = __reduce_min_sync(~0u, all.least)};
}

// So many delegates must reach the pivot for `wanted` tokens to do. Where that is not a small part of the delegates,
// far more tokens than wanted reach as many delegates; then those that `t` tokens are expected to reach, of a row in
// random order, D (1 − e^(−t/D)) and at most 2 t D / (2 D + t), with t so far above wanted that hardly a row falls
// short.
__device__ __forceinline__ uint32_t DelegatesWanted(uint32_t wanted, uint32_t delegates) {
  if (wanted <= delegates / 2) return wanted;
  const uint32_t tokens = wanted + wanted / 8 + 32;
  return min(wanted, 2 * tokens * delegates / (2 * delegates + tokens));
}

// By the warps in the middle: the first ones have the settings to work out, the last ones wait longest for logits.
__device__ __forceinline__ void ClearBinCounts(Storage& storage) {
  auto* four = reinterpret_cast<uint4*>(storage.bin_counts);
#pragma unroll 1
  for (uint32_t i = threadIdx.x ^ (blockDim.x / 2); i < kBins / 4; i += blockDim.x) four[i] = {0, 0, 0, 0};
}

// Counts the block's delegates into storage.bin_counts, which are empty. A barrier must follow.
__device__ __forceinline__ void CountDelegates(uint32_t delegates, const Extremes& extremes, Storage& storage) {
  const DistanceBins bins(definition::KeyToFloat(extremes.largest), definition::KeyToFloat(extremes.least));
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < delegates; i += blockDim.x) {
    const float x = storage.delegate[i];
    if (x > -INFINITY) atomicAdd(&storage.bin_counts[bins.Of(x)], 1u);
  }
}

// Finds a logit that `wanted` of the delegates reach, once they are counted. −FLT_MAX where none is to be had: every
// finite logit reaches it. By one warp.
template <typename Logit>
__device__ __forceinline__ float FindCountedPivot(uint32_t wanted, uint32_t delegates, const Extremes& extremes,
                                                  const Storage& storage) {
  const EnoughBin<uint32_t> at = FindEnough(storage.bin_counts, wanted);
  if (at.up_to < wanted) return -definition::kFloatMax;
  const DistanceBins bins(definition::KeyToFloat(extremes.largest), definition::KeyToFloat(extremes.least));
  float pivot = Logit::NotBelow(bins.LowerEdge(at.bin));
  const uint32_t most = wanted + wanted / 4 + kPivotSlack;
  if (at.up_to > most && pivot < bins.UpperEdge(at.bin)) {
    const auto* delegate = reinterpret_cast<const float4*>(storage.delegate);
    const uint32_t key = BisectKeys(definition::Key(pivot), extremes.largest, most, [&](uint32_t least) {
      const uint32_t reaching = CountReaching(delegate, delegates / 4, least);
      return reaching >= wanted ? reaching : 0;
    });
    pivot = Logit::NotBelow(definition::KeyToFloat(key));
  }
  return pivot;
}

// Rounds the pivot down to a word of logits.
template <typename Logit>
__device__ __forceinline__ uint32_t PivotWord(float pivot) {
  const uint32_t word = pivot == -definition::kFloatMax ? Logit::kLowestFinite : Logit::RoundDown(pivot);
  return Logit::Value(word, 0) == -INFINITY ? Logit::kLowestFinite : word;
}

// Meets the team, finds the pivot, and fills storage.state, pivot and fast_scale, for all threads of the team.
template <typename Logit>
__device__ __forceinline__ void FindPivot(uint32_t wanted, bool again, const Team& team, Storage& storage) {
  // What needs no maximum is found while the others come.
  const RowSettings& settings = storage.settings;
  const uint32_t lane = ptx::ThreadAnew() % 32;  // or what it leads to is kept in registers while the row is read
  const uint32_t delegates = settings.pivot_count == 0 ? 0 : again ? 4 * blockDim.x : settings.delegates;
  const uint32_t enough = again ? wanted : DelegatesWanted(wanted, delegates);
  const bool is_decided = settings.regime == Regime::kDecided;
  const bool is_bounded = settings.min_p_bounds_list & (settings.regime == Regime::kList);
  const float below = is_bounded ? settings.min_p_bounds.below : -INFINITY;
  team.Wait();  // maxima, delegates and resident parts are written; else the pivot comes from an older row's
  Extremes extremes = {.largest = 0, .least = 0};
  if (threadIdx.x < max(delegates, 64)) extremes = SharedExtremes(lane, team, storage);
  if (delegates != 0) {
    if (threadIdx.x < delegates) CountDelegates(delegates, extremes, storage);
    __syncthreads();  // the delegates are counted; else fewer tokens reach the pivot than are wanted
  }
  const float maximum = definition::KeyToFloat(extremes.largest);
  if (threadIdx.x < 32) {
    float pivot = is_decided | (maximum == INFINITY) ? maximum : -definition::kFloatMax;
    if ((delegates != 0) & (maximum < INFINITY) & (maximum > -INFINITY))
      pivot = FindCountedPivot<Logit>(enough, delegates, extremes, storage);
    pivot = fmaxf(pivot, __fadd_rd(maximum, below));
    if (threadIdx.x == 0) {
      storage.state.maximum = maximum, storage.state.is_listed = 0, storage.state.count = 0;
      storage.pivot = PivotWord<Logit>(pivot);
    }
  } else if (threadIdx.x < 64) {
    const bool has_nan = AnyBlockHasNan(team, storage);
    if (threadIdx.x == 32) {
      storage.state.has_nan = has_nan;
      storage.fast_scale = MakeFastScale(ScaleAt(maximum, settings));
    }
  }
  __syncthreads();  // two warps have written state and pivot; else the others filter by an older pivot
}

// Makes the largest of the blocks' own pivots that of all: as many tokens reach it.
template <typename Logit>
__device__ __forceinline__ void ShareOwnPivots(const Team& team, Storage& storage) {
  if (threadIdx.x < team.blocks) ptx::Push(&storage.block_pivot[team.rank], threadIdx.x, storage.pivot);
  team.Sync();  // every block's pivot is pushed; else blocks filter by different ones
  uint32_t pivot = storage.block_pivot[0];
#pragma unroll 1
  for (uint32_t block = 1; block < team.blocks; ++block) {
    const uint32_t other = storage.block_pivot[block];
    if (Logit::Value(other, 0) > Logit::Value(pivot, 0)) pivot = other;
  }
  if (threadIdx.x == 0) storage.pivot = pivot;
  __syncthreads();  // the pivot is the team's; else some threads filter by the block's
}

}  // namespace fire::kernels
