// Blocks: shapes, shared memory, barriers, atomics and asynchronous copies.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

class SimulatedBlocks : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    Behaviour behaviour = GetBehaviour();
    behaviour.launch.seed = GetParam();
    behaviour.launch.check_races = behaviour.launch.check_uninitialised = true;
    behaviour.launch.weak_memory = GetParam() % 2 == 1;
    SetBehaviour(behaviour);
  }
  template <class T>
  T* Upload(const std::vector<T>& values) {
    T* device = nullptr;
    EXPECT_EQ(cudaMalloc(&device, values.size() * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(device, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    return device;
  }
  template <class T>
  std::vector<T> Download(const T* device, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cudaMemcpy(values.data(), device, count * sizeof(T), cudaMemcpyDeviceToHost), cudaSuccess);
    return values;
  }
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimulatedBlocks, testing::Range<uint64_t>(0, 4));

__global__ void WriteIndices(uint32_t* out) {
  const uint32_t block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const uint32_t thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const uint32_t threads = blockDim.x * blockDim.y * blockDim.z;
  uint32_t lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  out[block * threads + thread] = block * 1000 + thread + (lane == thread % 32 ? 0 : 500);
}

TEST_P(SimulatedBlocks, OfThreeDimensionsAreNumberedXFirst) {
  const dim3 grid(3, 2, 4), block(5, 3, 7);
  uint32_t* out = Upload(std::vector<uint32_t>(24 * 105));
  WriteIndices<<<grid, block>>>(out);
  const std::vector<uint32_t> result = Download(out, 24 * 105);
  for (uint32_t i = 0; i < result.size(); ++i) ASSERT_EQ(result[i], i / 105 * 1000 + i % 105);
}

// A tree reduction with a barrier at each level, in dynamic shared memory; blocks of a size that is no multiple of 32.
__global__ void Reduce(const int* in, int* out) {
  extern __shared__ int sums[];
  const int i = threadIdx.x, threads = blockDim.x;
  sums[i] = in[blockIdx.x * threads + i];
  __syncthreads();
  for (int step = 64; step > 0; step /= 2) {
    int other = 0;
    if (i + step < threads && i < step) other = sums[i + step];
    __syncthreads();
    if (i < step) sums[i] += other;
    __syncthreads();
  }
  if (i == 0) out[blockIdx.x] = sums[0];
}

TEST_P(SimulatedBlocks, MeetAtTheirBarriers) {
  std::vector<int> values(16 * 100);
  std::iota(values.begin(), values.end(), 1);
  int* in = Upload(values);
  int* out = Upload(std::vector<int>(16));
  Reduce<<<16, 100, 400>>>(in, out);
  const std::vector<int> result = Download(out, 16);
  for (int block = 0; block < 16; ++block) {
    EXPECT_EQ(result[block], std::accumulate(&values[block * 100], &values[block * 100] + 100, 0));
  }
}

__global__ void CountAtBarriers(int* out) {
  const int i = threadIdx.x;
  const int counted = __syncthreads_count(i % 3 == 0);
  const int all = __syncthreads_and(i < 70), any = __syncthreads_or(i == 69);
  out[i] = counted * 100 + all * 10 + any;
}

TEST_P(SimulatedBlocks, CountAndVoteAtBarriers) {
  int* out = Upload(std::vector<int>(70));
  CountAtBarriers<<<1, 70>>>(out);
  for (const int value : Download(out, 70)) EXPECT_EQ(value, 24 * 100 + 10 + 1);
}

// One warp produces, another consumes, over named barriers that the third warp never sees.
__global__ void HandOver(int* out) {
  __shared__ int box[32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int round = 0; round < 4; ++round) {
    if (warp == 0) {
      box[lane] = round * 100 + lane;
      asm volatile("bar.arrive 1, 64;" ::: "memory");
      asm volatile("bar.sync 2, 64;" ::: "memory");
    } else if (warp == 1) {
      asm volatile("bar.sync 1, 64;" ::: "memory");
      out[round * 32 + lane] = box[31 - lane];
      asm volatile("bar.arrive 2, 64;" ::: "memory");
    }
  }
}

TEST_P(SimulatedBlocks, HandOverBetweenWarpsAtNamedBarriers) {
  int* out = Upload(std::vector<int>(128));
  HandOver<<<1, 96>>>(out);
  const std::vector<int> result = Download(out, 128);
  for (int i = 0; i < 128; ++i) EXPECT_EQ(result[i], i / 32 * 100 + 31 - i % 32);
}

struct Totals {
  int add, smallest, largest, exchanged, compared, wrapped, falling, ands, ors, xors;
  unsigned long long wide, widest;
  float real;
};

__device__ void AddTo(Totals* t, int i) {
  atomicAdd(&t->add, i);
  atomicMin(&t->smallest, -i);
  atomicMax(&t->largest, i * i);
  atomicExch(&t->exchanged, 77);
  atomicCAS(&t->compared, 0, 5);
  atomicInc(reinterpret_cast<unsigned*>(&t->wrapped), 9);
  atomicDec(reinterpret_cast<unsigned*>(&t->falling), 6);
  atomicAnd(&t->ands, ~(1 << i % 20));
  atomicOr(&t->ors, 1 << i % 20);
  atomicXor(&t->xors, i);
  atomicAdd(&t->wide, 1ull << 33);
  atomicMax(&t->widest, static_cast<unsigned long long>(i) << 40);
  atomicAdd(&t->real, 0.5f);
}

__global__ void Accumulate(Totals* out) {
  __shared__ Totals shared;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0) shared = {0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0};
  __syncthreads();
  AddTo(&shared, i);
  AddTo(&out[0], i);
  __syncthreads();
  if (threadIdx.x == 0) out[1 + blockIdx.x] = shared;
}

TEST_P(SimulatedBlocks, AddUpByAtomicsInSharedAndGlobalMemory) {
  std::vector<Totals> start(3);
  start[0].ands = -1;
  Totals* out = Upload(start);
  Accumulate<<<2, 96>>>(out);
  const std::vector<Totals> result = Download(out, 3);
  for (int which = 0; which < 3; ++which) {
    const int first = which == 2 ? 96 : 0, last = which == 1 ? 96 : 192, count = last - first;
    Totals expected = {};
    for (int i = first; i < last; ++i) {
      expected.add += i;
      expected.xors ^= i;
    }
    const Totals& got = result[which];
    EXPECT_EQ(got.add, expected.add);
    EXPECT_EQ(got.smallest, -(last - 1));
    EXPECT_EQ(got.largest, (last - 1) * (last - 1));
    EXPECT_EQ(got.exchanged, 77);
    EXPECT_EQ(got.compared, 5);
    EXPECT_EQ(got.wrapped, count % 10);
    EXPECT_EQ(got.falling, (7 - count % 7) % 7);
    EXPECT_EQ(got.ands, -(1 << 20));
    EXPECT_EQ(got.ors, (1 << 20) - 1);
    EXPECT_EQ(got.xors, expected.xors);
    EXPECT_EQ(got.wide, static_cast<unsigned long long>(count) << 33);
    EXPECT_EQ(got.widest, static_cast<unsigned long long>(last - 1) << 40);
    EXPECT_EQ(got.real, 0.5f * count);
  }
}

__device__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Two stages in flight: each wait lets all but the newest group through.
__global__ void CopyAsynchronously(const int4* in, int4* out, int stages) {
  __shared__ int4 box[2][64];
  const int i = threadIdx.x;
  const auto start = [&](int stage) {
    if (stage < stages) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(SharedAddress(&box[stage % 2][i])),
                   "l"(&in[stage * 64 + i])
                   : "memory");
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  start(0);
  for (int stage = 0; stage < stages; ++stage) {
    start(stage + 1);
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    out[stage * 64 + i] = box[stage % 2][63 - i];
    __syncthreads();
  }
}

TEST_P(SimulatedBlocks, CopyAsynchronouslyInGroups) {
  std::vector<int4> values(5 * 64);
  for (int i = 0; i < 320; ++i) values[i] = {i, -i, 2 * i, 7};
  int4* in = Upload(values);
  int4* out = Upload(std::vector<int4>(320));
  CopyAsynchronously<<<1, 64>>>(in, out, 5);
  const std::vector<int4> result = Download(out, 320);
  for (int i = 0; i < 320; ++i) {
    const int from = i / 64 * 64 + 63 - i % 64;
    EXPECT_EQ(result[i].x, from);
    EXPECT_EQ(result[i].z, 2 * from);
  }
}

__global__ void CopyInBulk(const int* in, int* out, int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  __shared__ alignas(128) int box[512];
  __shared__ alignas(8) uint64_t barrier;
  const uint32_t at = SharedAddress(&barrier);
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(at) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  for (uint32_t phase = 0; phase < 2; ++phase) {
    if (threadIdx.x == 0) {
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                       SharedAddress(box)),
                   "l"(in + phase * 512), "r"(bytes), "r"(at)
                   : "memory");
    }
    uint32_t done = 0;
    while (!done) {
      asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}"
                   : "=r"(done)
                   : "r"(at), "r"(phase)
                   : "memory");
    }
    for (int i = threadIdx.x; i < bytes / 4; i += blockDim.x) out[phase * 512 + i] = box[bytes / 4 - 1 - i];
    __syncthreads();
  }
#endif
}

TEST_P(SimulatedBlocks, CopyInBulkAndWaitAtAnMbarrier) {
  std::vector<int> values(1024);
  std::iota(values.begin(), values.end(), 0);
  int* in = Upload(values);
  int* out = Upload(std::vector<int>(1024));
  CopyInBulk<<<1, 64>>>(in, out, 2048);
  const std::vector<int> result = Download(out, 1024);
  for (int i = 0; i < 1024; ++i) ASSERT_EQ(result[i], i / 512 * 512 + 511 - i % 512);
}

// The last block to arrive sees what all others wrote.
__device__ unsigned arrived = 0;
__global__ void LastBlockSums(const int* in, int* partial, int* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = in[blockIdx.x] * 2;
    __threadfence();
    last = atomicInc(&arrived, gridDim.x - 1) == gridDim.x - 1;
    __threadfence();
    if (last) {
      int sum = 0;
      for (int i = 0; i < static_cast<int>(gridDim.x); ++i) sum += partial[i];
      *out = sum;
    }
  }
}

TEST_P(SimulatedBlocks, LeaveTheirWorkToTheLastThroughFences) {
  std::vector<int> values(50);
  std::iota(values.begin(), values.end(), 1);
  int* in = Upload(values);
  int* partial = Upload(std::vector<int>(50));
  int* out = Upload(std::vector<int>(1));
  for (int launch = 0; launch < 2; ++launch) {
    LastBlockSums<<<50, 32>>>(in, partial, out);
    EXPECT_EQ(Download(out, 1)[0], 50 * 51);
  }
}

}  // namespace
}  // namespace fire::simulator
