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

// Tells whether a NaN was seen. Needs maxima from MaximumPass<kKeepNan = true>.
template <typename Logit>
__device__ __forceinline__ bool HoldsNan(const LaneMaxima& m) {
  return definition::IsNanBits(__float_as_uint(Largest<Logit>(m)));
}

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

// Tells every block every warp's maximum, whether a block saw a NaN, and the delegates.
template <typename Logit>
__device__ __forceinline__ void ShareMaxima(const LaneMaxima& maxima, bool has_nan, uint32_t delegates,
                                            const Team& team, Storage& storage) {
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const uint32_t lanes = blockDim.x * team.blocks;
  const uint32_t first_lane = team.rank * blockDim.x + threadIdx.x;
  const bool by_word = delegates > lanes;
  // Lanes of a delegate, a power of two: a division here would be a call.
  const uint32_t group_bits = by_word || delegates == 0 ? 0 : __clz(delegates) - __clz(lanes), group = 1u << group_bits;
  float of_group = Largest<Logit>(maxima), of_warp = of_group;
  for (uint32_t distance = 1; distance < 32; distance *= 2) {
    of_warp = ptx::Max(of_warp, __shfl_xor_sync(~0u, of_warp, distance));
    if (distance < group) of_group = of_warp;
  }
  if (lane < team.blocks) PushFloat(&storage.part_maximum[team.rank * warps + warp], lane, of_warp);
  if (threadIdx.x < team.blocks) ptx::Push(&storage.block_has_nan[team.rank], threadIdx.x, uint32_t{has_nan});
  if (delegates == 0) return;
#pragma unroll 1
  for (uint32_t block = lane & (group - 1); block < team.blocks; block += group) {
    if (!by_word) PushFloat(&storage.delegate[first_lane >> group_bits], block, of_group);
    if (by_word) {
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i)
        PushFloat(&storage.delegate[first_lane * 4 + i], block, Largest<Logit>(maxima.word[i]));
    }
  }
}

// Returns the largest logit of all parts, −0 as +0, once the team has met. By one warp.
__device__ __forceinline__ float SharedMaximum(const Team& team, const Storage& storage) {
  float all = -INFINITY;
#pragma unroll 1
  for (uint32_t i = threadIdx.x % 32; i < team.blocks * (blockDim.x / 32); i += 32)
    all = ptx::Max(all, storage.part_maximum[i]);
  for (int distance = 1; distance < 32; distance *= 2) all = ptx::Max(all, __shfl_xor_sync(~0u, all, distance));
  return definition::Sanitised(all);
}

__device__ __forceinline__ bool AnyBlockHasNan(const Team& team, const Storage& storage) {
  return __any_sync(~0u, threadIdx.x % 32 < team.blocks && storage.block_has_nan[threadIdx.x % 32] != 0);
}

}  // namespace fire::kernels
