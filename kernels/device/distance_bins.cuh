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

// By one warp.
template <typename Number>
__device__ __forceinline__ EnoughBin<Number> FindEnough(const Number* bins, Number wanted) {
  struct alignas(16) Vector {
    Number of[16 / sizeof(Number)];
  };
  constexpr uint32_t kOfLane = kBins / 32, kVectors = kOfLane * sizeof(Number) / 16;
  const uint32_t lane = ptx::ThreadAnew() % 32;
  const auto* vectors = reinterpret_cast<const Vector*>(bins) + lane * kVectors;
  Number sum = 0;
  // Eight lanes, which are served at once, read from different banks.
#pragma unroll
  for (uint32_t i = 0; i < kVectors; ++i) {
    const Vector v = vectors[(i + lane / (8 / kVectors)) % kVectors];
    // In pairs, which do not wait for each other.
    if constexpr (sizeof(Number) == 4) {
      sum += (v.of[0] + v.of[1]) + (v.of[2] + v.of[3]);
    } else {
      sum += v.of[0] + v.of[1];
    }
  }
  const Number running = WarpRunning(sum);
  // Running sums never fall, so those that have too little are the first.
  const uint32_t owner = min(static_cast<uint32_t>(__popc(__ballot_sync(~0u, running < wanted))), 31u);
  const Number before = __shfl_sync(~0u, running - sum, owner);
  const Number up_to = before + WarpRunning<kOfLane>(lane < kOfLane ? bins[owner * kOfLane + lane] : Number{0});
  const uint32_t at = min(static_cast<uint32_t>(__popc(__ballot_sync(~0u, up_to < wanted))), kOfLane - 1);
  return {.bin = owner * kOfLane + at, .up_to = __shfl_sync(~0u, up_to, at)};
}

}  // namespace fire::kernels
