// Histograms over distances from a largest value: of delegates, of a list's candidates, of a searched row's tokens.
#pragma once

#include "kernels/device/search.cuh"

namespace fire::kernels {

inline constexpr float kMostSpread = 32;  // of a model's logits that matter

// Values by their distance from the largest, in kBins bins of equal width down to the least, the first and the last of
// half of it. Larger values have no larger bins: subtracting, multiplying and rounding are monotonic.
class DistanceBins {
 public:
  __device__ __forceinline__ DistanceBins(float largest, float least) : largest_(largest), least_(least) {
    to_bins_ = __frcp_rn(largest - least);
  }

  // What is above the largest is in the first bin, what is below the least in the last. All are in the first where they
  // are equal, or further apart than floats go: there the product is no number.
  __device__ __forceinline__ uint32_t Of(float x) const {
    constexpr float kRounds = 0x1p23f;  // adding it rounds to an integer, which the lowest bits then hold
    const float share = __saturatef((largest_ - x) * to_bins_);
    return __float_as_uint(__fmaf_rn(share, kBins - 1, kRounds)) - __float_as_uint(kRounds);
  }
  // At most as large as what is in the bin, and as large as what is in larger ones. A hundredth of a bin is far more
  // than rounding takes.
  __device__ __forceinline__ float LowerEdge(uint32_t bin) const { return Edge(bin, 0.51f); }
  __device__ __forceinline__ float UpperEdgeOfNext(uint32_t bin) const { return Edge(bin, 0.49f); }
  __device__ __forceinline__ float UpperEdge(uint32_t bin) const { return bin == 0 ? largest_ : Edge(bin - 1, 0.49f); }

 private:
  __device__ __forceinline__ float Edge(uint32_t bin, float end) const {
    if (bin == kBins - 1) return least_;
    constexpr float kWidth = 1.0f / (kBins - 1);
    return fmaxf(least_, __fsub_rd(largest_, (static_cast<float>(bin) + end) * ((largest_ - least_) * kWidth)));
  }

  float largest_, least_, to_bins_;
};

// The first bin up to whose end there is enough, and how much that is; all, less than enough, at the last bin.
template <typename Number>
struct EnoughBin {
  uint32_t bin;
  Number up_to;
};

// Finds it among counts, by one warp, which all others wait for: once a lane knows what is before its bins, it has what
// it needs in registers.
__device__ __forceinline__ EnoughBin<uint32_t> FindEnough(const uint32_t* bins, uint32_t wanted) {
  static_assert(kBins == 32 * 16);
  const uint32_t lane = ptx::ThreadAnew() % 32, shift = lane / 2 % 4;
  const auto* vectors = reinterpret_cast<const uint4*>(bins) + lane * 4;
  // A lane's four vectors from a different one on than its neighbours': eight lanes are served at once, by all banks.
  uint4 v[4];
  uint32_t sum[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) v[i] = vectors[(i + shift) % 4];
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    uint32_t pair = v[i].x + v[i].y;
    ptx::Keep(&pair);  // or one chain of sixteen sums is made of all
    sum[i] = pair + (v[i].z + v[i].w);
    ptx::Keep(&sum[i]);
  }
  uint32_t own = sum[0] + sum[1];
  ptx::Keep(&own);
  own += sum[2] + sum[3];
  // In their order, and up to each.
  const bool by_one = shift % 2 != 0, by_two = shift / 2 != 0;
  const uint32_t a = by_one ? sum[3] : sum[0], b = by_one ? sum[0] : sum[1];
  const uint32_t c = by_one ? sum[1] : sum[2], d = by_one ? sum[2] : sum[3];
  const uint32_t first = by_two ? c : a, second = first + (by_two ? d : b), third = second + (by_two ? a : c);
  const uint32_t running = WarpRunning(own);
  // Running sums never fall, so those that have too little are the first.
  const uint32_t owner = min(static_cast<uint32_t>(__popc(__ballot_sync(~0u, running < wanted))), 31u);
  const uint32_t before = running - own, missing = wanted - before;
  const uint32_t vector = (first < missing) + (second < missing) + (third < missing);
  const uint32_t at = (vector - shift) % 4;
  const uint4 low = at % 2 != 0 ? v[1] : v[0], high = at % 2 != 0 ? v[3] : v[2], of = at / 2 != 0 ? high : low;
  const uint32_t to_x = of.x + (vector == 0 ? 0 : vector == 1 ? first : vector == 2 ? second : third);
  const uint32_t to_y = to_x + of.y, to_z = to_y + of.z, to_w = to_z + of.w;
  const uint32_t element = (to_x < missing) + (to_y < missing) + (to_z < missing);
  const uint32_t up_to = before + (element == 0 ? to_x : element == 1 ? to_y : element == 2 ? to_z : to_w);
  return {.bin = __shfl_sync(~0u, lane * 16 + vector * 4 + element, owner), .up_to = __shfl_sync(~0u, up_to, owner)};
}

// Finds it among masses, by one warp.
__device__ __forceinline__ EnoughBin<uint64_t> FindEnough(const uint64_t* bins, uint64_t wanted) {
  constexpr uint32_t kOfLane = kBins / 32, kVectors = kOfLane / 2;
  const uint32_t lane = ptx::ThreadAnew() % 32;
  const auto* vectors = reinterpret_cast<const ulonglong2*>(bins) + lane * kVectors;
  uint64_t sum = 0;
#pragma unroll
  for (uint32_t i = 0; i < kVectors; ++i) {
    const ulonglong2 v = vectors[(i + lane) % kVectors];
    sum += v.x + v.y;
  }
  const uint64_t running = WarpRunning(sum);
  const uint32_t owner = min(static_cast<uint32_t>(__popc(__ballot_sync(~0u, running < wanted))), 31u);
  const uint64_t before = __shfl_sync(~0u, running - sum, owner);
  const uint64_t up_to = before + WarpRunning<kOfLane>(lane < kOfLane ? bins[owner * kOfLane + lane] : 0);
  const uint32_t at = min(static_cast<uint32_t>(__popc(__ballot_sync(~0u, up_to < wanted))), kOfLane - 1);
  return {.bin = owner * kOfLane + at, .up_to = __shfl_sync(~0u, up_to, at)};
}

}  // namespace fire::kernels
