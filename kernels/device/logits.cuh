// The three logit types, as the kernels read them: 16-byte vectors of four words, each word one float32 or two 16-bit
// floats. Maxima and comparisons work on whole words.
#pragma once

#include "definition/order.h"
#include "kernels/device/ptx.cuh"
#include "kernels/storage.h"

namespace fire::kernels {

struct Float32Logits {
  using Element = uint32_t;
  static constexpr uint32_t kPerWord = 1, kPerVector = 4;
  static constexpr uint32_t kMaskedWord = definition::kNegativeInfinityBits;  // all −inf
  static constexpr uint32_t kLowestFinite = 0xFF7FFFFFu;

  static __device__ __forceinline__ uint32_t MaxNumber(uint32_t a, uint32_t b) {
    return __float_as_uint(ptx::MaxNumber(__uint_as_float(a), __uint_as_float(b)));
  }
  static __device__ __forceinline__ uint32_t Max(uint32_t a, uint32_t b) {
    return __float_as_uint(ptx::Max(__uint_as_float(a), __uint_as_float(b)));
  }
  static __device__ __forceinline__ bool AnyAtLeastOrNan(uint32_t a, uint32_t b) {
    return !(__uint_as_float(a) < __uint_as_float(b));
  }
  static __device__ __forceinline__ float Value(uint32_t word, uint32_t) { return __uint_as_float(word); }
  static __device__ __forceinline__ uint32_t RoundDown(float x) { return __float_as_uint(x); }
  // The least logit of the type that is at least x, which is finite; a logit reaches the one if it does the other.
  static __device__ __forceinline__ float NotBelow(float x) { return x; }
  static __device__ __forceinline__ Element FromFloat(float x) { return __float_as_uint(x); }
  static __device__ __forceinline__ uint32_t WordOf(const float* x) { return __float_as_uint(x[0]); }
};

struct BFloat16Logits {
  using Element = uint16_t;
  static constexpr uint32_t kPerWord = 2, kPerVector = 8;
  static constexpr uint32_t kMaskedWord = 0xFF80FF80u;
  static constexpr uint32_t kLowestFinite = 0xFF7FFF7Fu;

  static __device__ __forceinline__ uint32_t MaxNumber(uint32_t a, uint32_t b) {
    return ptx::MaxNumberBFloat16x2(a, b);
  }
  static __device__ __forceinline__ uint32_t Max(uint32_t a, uint32_t b) { return ptx::MaxBFloat16x2(a, b); }
  static __device__ __forceinline__ bool AnyAtLeastOrNan(uint32_t a, uint32_t b) {
#if __CUDA_ARCH__ >= 900
    return ptx::AnyAtLeastOrNanBFloat16x2(a, b);
#else
    return !(Value(a, 0) < Value(b, 0)) || !(Value(a, 1) < Value(b, 1));
#endif
  }
  static __device__ __forceinline__ float Value(uint32_t word, uint32_t half) {
    return __uint_as_float(half ? word & 0xFFFF0000u : word << 16);
  }
  // The largest one not above x, in both halves; x must be finite.
  static __device__ __forceinline__ uint32_t RoundDown(float x) {
    const uint32_t bits = __float_as_uint(x);
    const uint32_t upper = (bits >> 16) + ((bits & definition::kSignBit) && (bits & 0xFFFFu) ? 1 : 0);
    return upper | (upper << 16);
  }
  static __device__ __forceinline__ float NotBelow(float x) { return -Value(RoundDown(-x), 0); }
  static __device__ __forceinline__ Element FromFloat(float x) { return definition::FloatToBFloat16(x); }
  static __device__ __forceinline__ uint32_t WordOf(const float* x) { return ptx::FloatsToBFloat16x2(x[0], x[1]); }
};

struct Float16Logits {
  using Element = uint16_t;
  static constexpr uint32_t kPerWord = 2, kPerVector = 8;
  static constexpr uint32_t kMaskedWord = 0xFC00FC00u;
  static constexpr uint32_t kLowestFinite = 0xFBFFFBFFu;

  static __device__ __forceinline__ uint32_t MaxNumber(uint32_t a, uint32_t b) { return ptx::MaxNumberFloat16x2(a, b); }
  static __device__ __forceinline__ uint32_t Max(uint32_t a, uint32_t b) { return ptx::MaxFloat16x2(a, b); }
  static __device__ __forceinline__ bool AnyAtLeastOrNan(uint32_t a, uint32_t b) {
    return ptx::AnyAtLeastOrNanFloat16x2(a, b);
  }
  static __device__ __forceinline__ float Value(uint32_t word, uint32_t half) {
    return ptx::Float16ToFloat(half ? word >> 16 : word & 0xFFFFu);
  }
  static __device__ __forceinline__ uint32_t RoundDown(float x) {
    const uint32_t half = ptx::FloatToFloat16Down(x);
    return half | (half << 16);
  }
  static __device__ __forceinline__ float NotBelow(float x) { return -Value(RoundDown(-x), 0); }
  static __device__ __forceinline__ Element FromFloat(float x) { return definition::FloatToFloat16(x); }
  static __device__ __forceinline__ uint32_t WordOf(const float* x) { return ptx::FloatsToFloat16x2(x[0], x[1]); }
};

}  // namespace fire::kernels
