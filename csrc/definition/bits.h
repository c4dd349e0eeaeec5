// Bit-level helpers every rule is written with. The definition looks at floats through their bits, so that
// compiler flags which relax float comparisons (-ffast-math) and flushed subnormals cannot change a token.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

// What every function of the definition is declared with. Internal linkage: the CPU backend compiles these headers
// once per instruction set, and the linker must not merge an AVX-512 copy into code that runs without it.
#if defined(__CUDACC__)
#define FIRE_RULE __host__ __device__ static inline
#define FIRE_MEMBER __host__ __device__ inline  // of a class template, which takes its linkage from its arguments
#else
#define FIRE_RULE static inline
#define FIRE_MEMBER inline
#endif

namespace fire::definition {

inline constexpr uint32_t kInfinityBits = 0x7F800000u;
inline constexpr uint32_t kNegativeInfinityBits = 0xFF800000u;
inline constexpr uint32_t kSignBit = 0x80000000u;
inline constexpr float kFloatMax = 0x1.fffffep+127f;

FIRE_RULE uint32_t FloatBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

FIRE_RULE float BitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

FIRE_RULE bool IsNanBits(uint32_t bits) { return (bits & ~kSignBit) > kInfinityBits; }

// Under -ffast-math the compiler may reassociate; hiding a value from it keeps the IEEE operation.
FIRE_RULE float Opaque(float value) {
#if defined(__FAST_MATH__) && !defined(__CUDA_ARCH__)
  asm volatile("" : "+m"(value));
#endif
  return value;
}

FIRE_RULE float Fma(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#elif defined(__clang__) && defined(__x86_64__) && !defined(__FMA__)
  // Without the instruction, -ffast-math makes clang take fmaf for a product and a sum; not if it is any function.
  float (*fused)(float, float, float) = fmaf;
  asm("" : "+r"(fused));
  return fused(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

FIRE_RULE float Divide(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return Opaque(Opaque(a) / Opaque(b));
#endif
}

FIRE_RULE uint32_t MulHigh32(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
  return __umulhi(a, b);
#else
  return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
#endif
}

FIRE_RULE uint64_t MulHigh64(uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH__)
  return __umul64hi(a, b);
#else
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#endif
}

// min(floor((high · 2^64 + low) / divisor), 2^64 − 1), one bit of the quotient a step. For a divisor below 2^62, and
// high below it, or equal to it with a low below 2^63: no step leaves 64 bits then.
FIRE_RULE uint64_t DivideWide(uint64_t high, uint64_t low, uint64_t divisor) {
  for (int bit = 0; bit < 64; ++bit) {
    high = high << 1 | low >> 63;
    low <<= 1;
    if (high >= divisor) {
      high -= divisor;
      low |= 1;
    }
  }
  return low;
}

// Bits needed to write `value`: 0 for 0.
FIRE_RULE int BitWidth(uint32_t value) {
  int width = 0;
  for (; value != 0; value >>= 1) ++width;
  return width;
}

// bfloat16 is the upper half of a float32.
FIRE_RULE uint32_t BFloat16ToFloatBits(uint16_t half) { return static_cast<uint32_t>(half) << 16; }

// IEEE binary16 to binary32, exact; a NaN stays a NaN.
FIRE_RULE uint32_t Float16ToFloatBits(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1Fu;
  uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0x1F) return sign | kInfinityBits | (mantissa << 13);
  if (exponent != 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa == 0) return sign;
  uint32_t shift = 0;
  while ((mantissa & 0x400u) == 0) {
    mantissa <<= 1;
    ++shift;
  }
  return sign | ((113 - shift) << 23) | ((mantissa & 0x3FFu) << 13);
}

// binary32 to bfloat16, round to nearest even.
FIRE_RULE uint16_t FloatToBFloat16(float value) {
  const uint32_t bits = FloatBits(value);
  if (IsNanBits(bits)) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1)) >> 16);
}

// binary32 to binary16, round to nearest even.
FIRE_RULE uint16_t FloatToFloat16(float value) {
  const uint32_t bits = FloatBits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & ~kSignBit;
  if (magnitude > kInfinityBits) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65520 and more round to infinity
  const uint32_t exponent = magnitude >> 23;
  if (exponent >= 113) {
    const uint32_t rebased = magnitude - (112u << 23);
    return static_cast<uint16_t>(sign | ((rebased + 0xFFFu + ((rebased >> 13) & 1)) >> 13));
  }
  if (exponent < 102) return static_cast<uint16_t>(sign);
  const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
  const uint32_t shift = 126 - exponent;  // 14 … 24
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1), half = 1u << (shift - 1);
  return static_cast<uint16_t>(sign | (kept + (rest > half || (rest == half && (kept & 1)) ? 1 : 0)));
}

}  // namespace fire::definition
