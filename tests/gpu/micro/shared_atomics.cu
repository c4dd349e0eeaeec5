// How fast a multiprocessor adds in its shared memory: with and without the old value, to one address, to one bank, to
// all banks, to random bins; and a 64-bit sum as atomicAdd makes it and as two 32-bit adds with the carry by hand.
#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

constexpr int kThreads = 512;
constexpr uint32_t kBins = 2048;

enum class Where { kOneAddress, kOneBank, kAllBanks, kRandom };
enum class Add { kWord, kWordWithOld, kPairWithCarry, kLong };

template <Where where>
__device__ __forceinline__ uint32_t BinOf(uint32_t i) {
  if (where == Where::kOneAddress) return 0;
  if (where == Where::kOneBank) return threadIdx.x % 32 * 32;
  if (where == Where::kAllBanks) return threadIdx.x;
  return (threadIdx.x * 0x9E3779B1u + i * 0x85EBCA77u) >> 21;  // 11 bits: kBins
}

template <Add add, Where where>
__global__ void AddInShared(int iterations, unsigned long long* total) {
  __shared__ uint32_t low[kBins];
  __shared__ uint32_t high[kBins];
  __shared__ unsigned long long wide[add == Add::kLong ? kBins : 1];
  for (uint32_t bin = threadIdx.x; bin < kBins; bin += kThreads) {
    low[bin] = high[bin] = 0;
    if (add == Add::kLong) wide[bin] = 0;
  }
  __syncthreads();
  uint32_t old_values = 0;
#pragma unroll 4
  for (uint32_t i = 0; i < static_cast<uint32_t>(iterations); ++i) {
    const uint32_t bin = BinOf<where>(i);
    const uint32_t value = 0x40000001u + i;
    if constexpr (add == Add::kWord) {
      atomicAdd(&low[bin], value);
    } else if constexpr (add == Add::kWordWithOld) {
      old_values ^= atomicAdd(&low[bin], value);
    } else if constexpr (add == Add::kPairWithCarry) {
      const uint32_t old = atomicAdd(&low[bin], value);
      const uint32_t carry = old + value < old ? 1 : 0;
      atomicAdd(&high[bin], 1 + carry);
    } else {
      atomicAdd(&wide[bin], (1ull << 32) + value);
    }
  }
  __syncthreads();
  unsigned long long sum = 0;
  for (uint32_t bin = threadIdx.x; bin < kBins; bin += kThreads) {
    sum += add == Add::kLong ? wide[bin] : (static_cast<unsigned long long>(high[bin]) << 32) + low[bin];
  }
  // Never true: it keeps the old values wanted.
  if (old_values == 1 && iterations < 0) sum = 0;
  atomicAdd(total + blockIdx.x, sum);
}

template <Add add, Where where>
void Measure(const Options& options, const char* how, const char* place) {
  const int blocks = options.rehearse ? 2 : 2 * ThisDevice().multiprocessors;
  Memory<unsigned long long> total(static_cast<size_t>(blocks));
  uint64_t iterations = 0;
  const Spread time = NanosecondsPerIteration(options, 256, 2304, [&](int count, cudaStream_t stream) {
    iterations = static_cast<uint64_t>(count);
    Check(cudaMemsetAsync(total.get(), 0, blocks * sizeof(unsigned long long), stream), "cudaMemsetAsync");
    Launch(blocks, kThreads, 0, stream)(AddInShared<add, where>, count, total.get());
  });
  const uint64_t sum = kThreads * (iterations * 0x40000001u + iterations * (iterations - 1) / 2);
  const uint64_t ones = (kThreads * iterations) << 32;
  for (const uint64_t got : total.Read()) {
    // Bins of 32 bits alone lose what overflows.
    const bool wide = add == Add::kPairWithCarry || add == Add::kLong;
    Expect(wide ? got == sum + ones : (got & 0xFFFFFFFFu) == (sum & 0xFFFFFFFFu), how);
  }
  // Two blocks share a multiprocessor.
  Line("shared-atomics")
      .With("add", how)
      .With("place", place)
      .Print(options, "adds/ns an SM", Rate(2 * kThreads, time));
}

template <Where where>
void MeasureAll(const Options& options, const char* place) {
  Measure<Add::kWord, where>(options, "32-bit", place);
  Measure<Add::kWordWithOld, where>(options, "32-bit, old value used", place);
  Measure<Add::kPairWithCarry, where>(options, "two 32-bit with carry", place);
  Measure<Add::kLong, where>(options, "64-bit atomicAdd", place);
}

}  // namespace

void SharedAtomics(const Options& options) {
  MeasureAll<Where::kOneAddress>(options, "one address");
  MeasureAll<Where::kOneBank>(options, "one bank");
  MeasureAll<Where::kAllBanks>(options, "all banks");
  MeasureAll<Where::kRandom>(options, "random bins");
}

}  // namespace fire::micro
