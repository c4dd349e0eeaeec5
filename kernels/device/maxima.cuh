// The largest logit of a row and its delegates, the largest logits of disjoint parts, told to all blocks of the team.
#pragma once

#include "kernels/device/passes.cuh"
#include "kernels/device/team.cuh"

namespace fire::kernels {

template <typename Logit>
__device__ __forceinline__ float Largest(uint32_t word) {
  return Logit::kPerWord == 1 ? Logit::Value(word, 0) : ptx::Max(Logit::Value(word, 0), Logit::Value(word, 1));
}

template <typename Logit>
__device__ __forceinline__ float Largest(const LaneMaxima& m) {
  return ptx::Max(ptx::Max(Largest<Logit>(m.word[0]), Largest<Logit>(m.word[1])),
                  ptx::Max(Largest<Logit>(m.word[2]), Largest<Logit>(m.word[3])));
}

// Tells of the largest of maxima from MaximumPass<kKeepNan = true> whether a NaN was seen.
__device__ __forceinline__ bool IsNan(float largest) { return definition::IsNanBits(__float_as_uint(largest)); }

// Reads the maxima of a run that holds a NaN, which they pass over.
template <typename Logit>
__device__ __forceinline__ LaneMaxima MaximaWithoutNan(const RowPart<Logit>& part, Run run) {
  LaneMaxima maxima = NoMaxima<Logit>();
  MaximumPass<false, false>(part, run, &maxima);
  return maxima;
}

__device__ __forceinline__ void PushFloat(float* shared, uint32_t rank, float value) {
  ptx::Push(reinterpret_cast<uint32_t*>(shared), rank, __float_as_uint(value));
}

__device__ __forceinline__ uint32_t UnlessMasked(uint32_t key) { return key > definition::kMaskedKey ? key : ~0u; }

// Tells every block every warp's maximum and least delegate, whether a block saw a NaN, and the delegates. Where
// `are_own` these are the words of each block's lanes, and stay in it. 2^group_bits lanes make a delegate.
template <typename Logit>
__device__ __forceinline__ void ShareMaxima(const LaneMaxima& maxima, float largest, bool has_nan, uint32_t delegates,
                                            uint32_t group_bits, bool are_own, const Team& team, Storage& storage) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const uint32_t lanes = are_own ? blockDim.x : blockDim.x * team.blocks;
  const uint32_t first_lane = (are_own ? 0 : team.rank * blockDim.x) + threadIdx.x;
  const bool by_word = delegates > lanes;
  const uint32_t group = 1u << group_bits;
  // Of each half of the warp by one instruction, which serves groups of 16 lanes and of all.
  uint32_t key = definition::Key(largest);
  const uint32_t of_lower = __reduce_max_sync(~0u, lane < 16 ? key : 0u);
  const uint32_t of_upper = __reduce_max_sync(~0u, lane < 16 ? 0u : key);
  const uint32_t of_warp = max(of_lower, of_upper);
  if (group_bits >= 4) {
    key = group_bits == 5 ? of_warp : lane < 16 ? of_lower : of_upper;
  } else {
#pragma unroll 1
    for (uint32_t distance = 1; distance < group; distance *= 2) key = max(key, __shfl_xor_sync(~0u, key, distance));
  }
  const float of_group = definition::KeyToFloat(key);
  uint32_t least = UnlessMasked(key);
  if (by_word) {
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) least = min(least, UnlessMasked(definition::Key(Largest<Logit>(maxima.word[i]))));
  }
  least = __reduce_min_sync(~0u, least);
  if (lane < team.blocks)
    ptx::Push(&storage.part_extremes[team.rank * warps + warp], lane, uint64_t{of_warp} << 32 | least);
  if (threadIdx.x < team.blocks) ptx::Push(&storage.block_has_nan[team.rank], threadIdx.x, uint32_t{has_nan});
  if (delegates == 0) return;
#pragma unroll 1
  for (uint32_t block = are_own ? team.rank : lane & (group - 1); block < (are_own ? team.rank + 1 : team.blocks);
       block += group) {
    if (!by_word) PushFloat(&storage.delegate[first_lane >> group_bits], block, of_group);
    if (by_word) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i)
        PushFloat(&storage.delegate[first_lane * 4 + i], block, Largest<Logit>(maxima.word[i]));
    }
  }
}

__device__ __forceinline__ bool AnyBlockHasNan(const Team& team, const Storage& storage) {
  return __any_sync(~0u, threadIdx.x % 32 < team.blocks && storage.block_has_nan[threadIdx.x % 32] != 0);
}

}  // namespace fire::kernels
