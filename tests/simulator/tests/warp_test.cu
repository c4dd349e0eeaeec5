// Lanes of a warp: divergence, shuffles, votes, matches, reductions, with all lanes and with some.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

constexpr uint32_t kMasks[] = {0xffffffff, 0x0000ffff, 0x55555555, 0x80000001, 0x00000400, 0xfffffffe, 0x0ff0f00f};

// Sixteen results a lane, from one warp.
using Lanes = std::array<std::array<uint32_t, 16>, 32>;
using Results = uint32_t (*)[16];

template <class Kernel, class... Arguments>
Lanes RunWarp(Kernel kernel, Arguments... arguments) {
  uint32_t* device = nullptr;
  Lanes lanes = {};
  EXPECT_EQ(cudaMalloc(&device, sizeof lanes), cudaSuccess);
  EXPECT_EQ(cudaMemset(device, 0, sizeof lanes), cudaSuccess);
  kernel<<<1, 32>>>(reinterpret_cast<Results>(device), arguments...);
  EXPECT_EQ(cudaMemcpy(&lanes, device, sizeof lanes, cudaMemcpyDeviceToHost), cudaSuccess);
  cudaFree(device);
  return lanes;
}

void ForEverySeed(void (*check)()) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    Behaviour behaviour = GetBehaviour();
    behaviour.launch.seed = seed;
    SetBehaviour(behaviour);
    check();
  }
}

// ---- divergence ----
__noinline__ __host__ __device__ uint32_t Collatz(uint32_t n) {
  uint32_t steps = 0;
  while (n > 1) {
    n = n & 1 ? 3 * n + 1 : n / 2;
    ++steps;
    if (steps == 40) return 1000;
  }
  return steps;
}

// Calls another function, twice, from a loop.
__noinline__ __host__ __device__ uint32_t Longest(uint32_t from, uint32_t to) {
  uint32_t longest = 0;
  for (uint32_t n = from; n < to; ++n) longest = Collatz(n) < longest ? longest : Collatz(n + 1);
  return longest;
}

__host__ __device__ uint32_t Wander(uint32_t lane) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < lane; ++i) {
    if (i % 3 == 1) continue;
    for (uint32_t j = i; j < 20; j += 1 + lane % 4) {
      if (j * i > 100) break;
      switch ((i + j) % 5) {
        case 0:
          sum += i;
          break;
        case 1:
          sum ^= j << 3;
          break;
        case 2:
          sum = sum * 3 + 1;
          [[fallthrough]];
        case 3:
          sum -= lane;
          break;
        default:
          if (lane & 1) sum += 7;
      }
    }
    if (sum % 11 == 4) goto out;
  }
  sum += 1u << 20;
out:
  return sum;
}

__host__ __device__ uint32_t SortedMedian(uint32_t lane) {  // a local array with computed indices
  uint32_t values[9];
  for (uint32_t i = 0; i < 9; ++i) values[(i * 4) % 9] = (lane * 2654435761u + i * 40503u) >> 7;
  for (int i = 1; i < 9; ++i) {
    for (int j = i; j > 0 && values[j - 1] > values[j]; --j) {
      const uint32_t swap = values[j];
      values[j] = values[j - 1];
      values[j - 1] = swap;
    }
  }
  return values[4];
}

__global__ void Diverge(Results out) {
  const uint32_t lane = threadIdx.x;
  out[lane][0] = Collatz(lane);
  out[lane][1] = Wander(lane);
  out[lane][2] = SortedMedian(lane);
  out[lane][3] = Longest(lane, 2 * lane % 23);
  if (lane % 5 == 2) return;
  out[lane][4] = lane;
}

TEST(WarpDivergence, GivesEachLaneWhatItWouldComputeAlone) {
  ForEverySeed([] {
    const Lanes lanes = RunWarp(Diverge);
    for (uint32_t lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(lanes[lane][0], Collatz(lane));
      EXPECT_EQ(lanes[lane][1], Wander(lane));
      EXPECT_EQ(lanes[lane][2], SortedMedian(lane));
      EXPECT_EQ(lanes[lane][3], Longest(lane, 2 * lane % 23));
      EXPECT_EQ(lanes[lane][4], lane % 5 == 2 ? 0 : lane);
    }
  });
}

// ---- shuffles ----
__global__ void Shuffle(Results out, uint32_t mask, uint32_t amount, int width) {
  const uint32_t lane = threadIdx.x;
  if (!(mask >> lane & 1)) return;
  const uint32_t value = 1000 + lane * lane;
  out[lane][0] = __shfl_sync(mask, value, amount, width);
  out[lane][1] = __shfl_up_sync(mask, value, amount, width);
  out[lane][2] = __shfl_down_sync(mask, value, amount, width);
  out[lane][3] = __shfl_xor_sync(mask, value, amount, width);
  uint32_t clamp = (32 - width) << 8 | 31, moved, valid;
  asm volatile("{.reg .pred p; shfl.sync.down.b32 %0|p, %2, %3, %4, %5; selp.u32 %1, 1, 0, p;}"
               : "=r"(moved), "=r"(valid)
               : "r"(value), "r"(amount), "r"(clamp), "r"(mask));
  out[lane][4] = valid;
  out[lane][5] = moved;
}

TEST(WarpShuffles, MoveValuesWithinTheirWidth) {
  for (const int width : {32, 16, 4, 1}) {
    for (const uint32_t amount : {0u, 1u, 3u, 17u, 31u}) {
      const Lanes lanes = RunWarp(Shuffle, 0xffffffffu, amount, width);
      for (int lane = 0; lane < 32; ++lane) {
        const int n = static_cast<int>(amount), first = lane / width * width;
        const auto of = [&](int from, bool inside) {
          const int source = inside ? from : lane;
          return static_cast<uint32_t>(1000 + source * source);
        };
        EXPECT_EQ(lanes[lane][0], of(first + n % width, true)) << lane << " " << n << " " << width;
        EXPECT_EQ(lanes[lane][1], of(lane - n, lane - n >= first)) << lane << " " << n << " " << width;
        EXPECT_EQ(lanes[lane][2], of(lane + n, lane + n < first + width)) << lane << " " << n << " " << width;
        EXPECT_EQ(lanes[lane][3], of(lane ^ n, (lane ^ n) < first + width)) << lane << " " << n << " " << width;
        EXPECT_EQ(lanes[lane][5], lanes[lane][2]);
        EXPECT_EQ(lanes[lane][4], lane + n < first + width) << lane << " " << n << " " << width;
      }
    }
  }
}

TEST(WarpShuffles, WorkForSomeOfTheLanes) {
  const Lanes lanes = RunWarp(Shuffle, 0x0000ffffu, 3, 16);
  for (int lane = 0; lane < 16; ++lane) EXPECT_EQ(lanes[lane][0], 1009u);
  EXPECT_EQ(lanes[5][1], 1004u);
}

// ---- votes, matches, reductions ----
__global__ void Vote(Results out, uint32_t mask) {
  const uint32_t lane = threadIdx.x;
  if (!(mask >> lane & 1)) return;
  const uint32_t value = lane * 7 % 5;
  const int odd = static_cast<int>(value) - 2;
  int same;
  out[lane][0] = __ballot_sync(mask, value == 3);
  out[lane][1] = __any_sync(mask, value == 3);
  out[lane][2] = __all_sync(mask, value < 4);
  out[lane][3] = __match_any_sync(mask, value);
  out[lane][4] = __match_all_sync(mask, value, &same);
  out[lane][5] = same;
  out[lane][6] = __reduce_add_sync(mask, value);
  out[lane][7] = static_cast<uint32_t>(__reduce_min_sync(mask, odd));
  out[lane][8] = __reduce_max_sync(mask, value);
  out[lane][9] = __reduce_or_sync(mask, 1u << value);
  out[lane][10] = __reduce_and_sync(mask, ~(1u << value));
  out[lane][11] = __reduce_xor_sync(mask, value);
  out[lane][12] = static_cast<uint32_t>(__reduce_max_sync(mask, odd));
  uint32_t uniform;
  asm volatile("{.reg .pred p, q; setp.eq.u32 p, %1, 3; vote.sync.uni.pred q, p, %2; selp.u32 %0, 1, 0, q;}"
               : "=r"(uniform)
               : "r"(value), "r"(mask));
  out[lane][13] = uniform;
  out[lane][14] = __activemask();
  out[lane][15] = __match_any_sync(mask, static_cast<unsigned long long>(value) << 40);
}

TEST(WarpVotes, SeeTheLanesOfTheirMask) {
  for (const uint32_t mask : kMasks) {
    const Lanes lanes = RunWarp(Vote, mask);
    uint32_t is_three = 0, sum = 0, ors = 0, ands = ~0u, xors = 0, most = 0;
    int least_signed = 100, most_signed = -100;
    uint32_t of_value[5] = {};
    for (uint32_t lane = 0; lane < 32; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const uint32_t value = lane * 7 % 5;
      is_three |= (value == 3 ? 1u : 0u) << lane;
      of_value[value] |= 1u << lane;
      sum += value;
      ors |= 1u << value;
      ands &= ~(1u << value);
      xors ^= value;
      most = std::max(most, value);
      least_signed = std::min(least_signed, static_cast<int>(value) - 2);
      most_signed = std::max(most_signed, static_cast<int>(value) - 2);
    }
    for (uint32_t lane = 0; lane < 32; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const uint32_t mine = of_value[lane * 7 % 5];
      const std::array<uint32_t, 16> expected = {is_three,
                                                 is_three != 0,
                                                 of_value[4] == 0,
                                                 mine,
                                                 mine == mask ? mask : 0,
                                                 mine == mask,
                                                 sum,
                                                 static_cast<uint32_t>(least_signed),
                                                 most,
                                                 ors,
                                                 ands,
                                                 xors,
                                                 static_cast<uint32_t>(most_signed),
                                                 is_three == 0 || is_three == mask,
                                                 mask,
                                                 mine};
      EXPECT_EQ(lanes[lane], expected) << std::hex << mask << " lane " << std::dec << lane;
    }
  }
}

__global__ void Elect(Results out, uint32_t mask) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const uint32_t lane = threadIdx.x;
  if (!(mask >> lane & 1)) return;
  uint32_t elected, leader;
  asm volatile("{.reg .pred p; elect.sync %1|p, %2; selp.u32 %0, 1, 0, p;}" : "=r"(elected), "=r"(leader) : "r"(mask));
  out[lane][0] = elected;
  out[lane][1] = leader;
#endif
}

TEST(WarpVotes, ElectOneLane) {
  for (const uint32_t mask : kMasks) {
    const Lanes lanes = RunWarp(Elect, mask);
    uint32_t elected = 0, leader = 0;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      if (!(mask >> lane & 1)) continue;
      elected += lanes[lane][0];
      leader = lanes[lane][1];
      if (lanes[lane][0]) EXPECT_EQ(leader, lane);
    }
    EXPECT_EQ(elected, 1u) << std::hex << mask;
    EXPECT_TRUE(mask >> leader & 1);
  }
}

// Both sides of a branch synchronise their own lanes, and each meets only them.
__global__ void SynchroniseBothSides(Results out) {
  const uint32_t lane = threadIdx.x;
  const uint32_t even = 0x55555555;
  if (lane % 2 == 0) {
    for (uint32_t i = 0; i < lane; ++i) out[lane][1] += i;
    out[lane][0] = __reduce_add_sync(even, lane);
    __syncwarp(even);
  } else {
    out[lane][0] = __reduce_add_sync(~even, lane * 100);
    __syncwarp(~even);
  }
  out[lane][2] = __ballot_sync(0xffffffff, out[lane][0] > 10000);
}

TEST(WarpVotes, OfTheTwoSidesOfABranchDoNotMix) {
  ForEverySeed([] {
    const Lanes lanes = RunWarp(SynchroniseBothSides);
    for (int lane = 0; lane < 32; ++lane) {
      EXPECT_EQ(lanes[lane][0], lane % 2 ? 25600u : 240u);
      EXPECT_EQ(lanes[lane][2], 0xaaaaaaaau);
    }
  });
}

// The lanes of one warp write shared memory and read each other's words behind __syncwarp.
__global__ void ExchangeThroughMemory(Results out) {
  __shared__ uint32_t words[32];
  const uint32_t lane = threadIdx.x;
  words[lane] = lane * 3;
  __syncwarp();
  out[lane][0] = words[31 - lane];
  __syncwarp();
  if (lane < 16) words[lane] = lane;
  __syncwarp();
  out[lane][1] = words[lane / 2];
}

TEST(WarpMemory, IsOrderedBySyncwarp) {
  Behaviour behaviour = GetBehaviour();
  behaviour.launch.check_races = behaviour.launch.check_uninitialised = behaviour.launch.weak_memory = true;
  SetBehaviour(behaviour);
  const Lanes lanes = RunWarp(ExchangeThroughMemory);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(lanes[lane][0], (31 - lane) * 3);
    EXPECT_EQ(lanes[lane][1], lane / 2);
  }
}

}  // namespace
}  // namespace fire::simulator
