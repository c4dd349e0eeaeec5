// Rates of the instructions that the loops over a row lean on, whose rates NVIDIA does not publish for every chip, each
// beside one that is known (FFMA: 128 a clock and multiprocessor): the truncating conversion to 64 bits, its 32-bit
// kin, packed and three-input maxima, 64-bit shifts.
#include <cmath>
#include <cstring>

#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

constexpr int kThreads = 512;
constexpr int kBlocksAnSm = 4;  // all 2,048 threads
constexpr int kChains = 8;      // independent of each other, each a chain

// Each step's result depends on the one before. What must be added to keep a chain alive costs less than its subject.
struct FusedMultiplyAdd {
  static constexpr const char* kName = "FFMA";
  __host__ __device__ static uint32_t Step(uint32_t x) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(__fmaf_rn(__uint_as_float(x), 0.75f, 1.25f));
#else
    float value;
    std::memcpy(&value, &x, 4);
    value = std::fma(value, 0.75f, 1.25f);
    std::memcpy(&x, &value, 4);
    return x;
#endif
  }
};

struct TruncateToLong {
  static constexpr const char* kName = "F2I.U64.TRUNC";
  __host__ __device__ static uint32_t Step(uint32_t x) {
#ifdef __CUDA_ARCH__
    const unsigned long long whole = __float2ull_rz(__uint_as_float((x & 0x007FFFFFu) | 0x4B000000u));
#else
    const uint64_t whole = (x & 0x007FFFFFu) | 0x00800000u;
#endif
    return static_cast<uint32_t>(whole) + static_cast<uint32_t>(whole >> 32) + 1;
  }
};

struct TruncateToInt {
  static constexpr const char* kName = "F2I.TRUNC";
  __host__ __device__ static uint32_t Step(uint32_t x) {
#ifdef __CUDA_ARCH__
    return __float2uint_rz(__uint_as_float((x & 0x007FFFFFu) | 0x4B000000u)) + 1;
#else
    return ((x & 0x007FFFFFu) | 0x00800000u) + 1;
#endif
  }
};

struct ShiftLong {
  static constexpr const char* kName = "shift of 64 bits: two SHF, two LOP3";
  __host__ __device__ static uint32_t Step(uint32_t x) {
    const uint64_t wide = (uint64_t{x} << 32 | 0x9E3779B9u) >> (x & 31);
    return static_cast<uint32_t>(wide) ^ static_cast<uint32_t>(wide >> 32);
  }
};

__host__ __device__ uint32_t MaxOfHalves(uint32_t a, uint32_t b) {
#ifdef __CUDA_ARCH__
  uint32_t result;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
#else
  // Non-negative bfloat16 numbers are ordered as their bits.
  const uint32_t low = (a & 0xFFFFu) > (b & 0xFFFFu) ? a & 0xFFFFu : b & 0xFFFFu;
  const uint32_t high = a >> 16 > b >> 16 ? a >> 16 : b >> 16;
  return high << 16 | low;
#endif
}

struct PackedMaximum {
  static constexpr const char* kName = "VHMNMX.BF16_V2";  // two maxima of pairs
  __host__ __device__ static uint32_t Step(uint32_t x) { return MaxOfHalves(MaxOfHalves(x, 0x3F810155u), 0x3F800833u); }
};

template <typename Instruction>
__global__ void Chain(int iterations, uint32_t* out) {
  uint32_t value[kChains];
#pragma unroll
  for (int i = 0; i < kChains; ++i) value[i] = 0x3F800000u + threadIdx.x * kChains + i;
#pragma unroll 1
  for (int n = 0; n < iterations; ++n) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) value[i] = Instruction::Step(value[i]);
  }
  uint32_t all = 0;
#pragma unroll
  for (int i = 0; i < kChains; ++i) all = all * 31 + value[i];
  if (blockIdx.x == 0) out[threadIdx.x] = all;
}

template <typename Instruction>
void Measure(const Options& options, const Device& device) {
  const int blocks = options.rehearse ? 1 : kBlocksAnSm * device.multiprocessors;
  Memory<uint32_t> out(kThreads);
  int iterations = 0;
  const Spread time = NanosecondsPerIteration(options, 512, 4608, [&](int count, cudaStream_t stream) {
    iterations = count;
    Launch(blocks, kThreads, 0, stream)(Chain<Instruction>, count, out.get());
  });
  const std::vector<uint32_t> got = out.Read();
  for (uint32_t thread = 0; thread < kThreads; thread += 37) {
    uint32_t all = 0;
    for (uint32_t i = 0; i < kChains; ++i) {
      uint32_t value = 0x3F800000u + thread * kChains + i;
      for (int n = 0; n < iterations; ++n) value = Instruction::Step(value);
      all = all * 31 + value;
    }
    Expect(got[thread] == all, Instruction::kName);
  }
  Line("instructions")
      .With("instruction", Instruction::kName)
      .Print(options, "lanes/ns an SM", Rate(double{kBlocksAnSm} * kThreads * kChains, time));
}

}  // namespace

void InstructionRates(const Options& options) {
  const Device device = ThisDevice();
  Measure<FusedMultiplyAdd>(options, device);
  Measure<TruncateToLong>(options, device);
  Measure<TruncateToInt>(options, device);
  Measure<ShiftLong>(options, device);
  Measure<PackedMaximum>(options, device);
}

}  // namespace fire::micro
