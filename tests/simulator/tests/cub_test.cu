// CUB's block-wide algorithms equal the standard library's.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

constexpr int kThreads = 128, kItems = 4, kCount = kThreads * kItems;

struct Larger {
  __device__ int operator()(int a, int b) const { return a < b ? b : a; }
};

__global__ void Reduce(const int* in, int* out) {
  using BlockReduce = cub::BlockReduce<int, kThreads>;
  __shared__ typename BlockReduce::TempStorage storage;
  int items[kItems];
  for (int k = 0; k < kItems; ++k) items[k] = in[threadIdx.x * kItems + k];
  const int sum = BlockReduce(storage).Sum(items);
  __syncthreads();
  const int largest = BlockReduce(storage).Reduce(items, Larger());
  if (threadIdx.x == 0) {
    out[0] = sum;
    out[1] = largest;
  }
}

__global__ void Scan(const int* in, int* out) {
  using BlockScan = cub::BlockScan<int, kThreads>;
  __shared__ typename BlockScan::TempStorage storage;
  int items[kItems], total;
  for (int k = 0; k < kItems; ++k) items[k] = in[threadIdx.x * kItems + k];
  BlockScan(storage).ExclusiveSum(items, items, total);
  for (int k = 0; k < kItems; ++k) out[threadIdx.x * kItems + k] = items[k];
  if (threadIdx.x == 0) out[kCount] = total;
}

__global__ void Sort(const float* in, float* out, int* from) {
  using BlockSort = cub::BlockRadixSort<float, kThreads, kItems, int>;
  __shared__ typename BlockSort::TempStorage storage;
  float keys[kItems];
  int values[kItems];
  for (int k = 0; k < kItems; ++k) {
    values[k] = threadIdx.x * kItems + k;
    keys[k] = in[values[k]];
  }
  BlockSort(storage).SortDescending(keys, values);
  for (int k = 0; k < kItems; ++k) {
    out[threadIdx.x * kItems + k] = keys[k];
    from[threadIdx.x * kItems + k] = values[k];
  }
}

class Cub : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    Behaviour behaviour = GetBehaviour();
    behaviour.launch.seed = GetParam();
    behaviour.launch.check_races = behaviour.launch.check_uninitialised = true;
    SetBehaviour(behaviour);
    ASSERT_EQ(cudaMalloc(&in_, 4 * kCount), cudaSuccess);
    ASSERT_EQ(cudaMalloc(&out_, 4 * kCount + 4), cudaSuccess);
    std::mt19937 random(static_cast<unsigned>(GetParam()));
    for (int& value : values_) value = static_cast<int>(random() % 2001) - 1000;
    ASSERT_EQ(cudaMemcpy(in_, values_.data(), 4 * kCount, cudaMemcpyHostToDevice), cudaSuccess);
  }
  std::vector<int> Result(int count) {
    std::vector<int> result(count);
    EXPECT_EQ(cudaMemcpy(result.data(), out_, 4 * count, cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }

  std::vector<int> values_ = std::vector<int>(kCount);
  int* in_ = nullptr;
  int* out_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Seeds, Cub, testing::Range<uint64_t>(0, 3));

TEST_P(Cub, BlockReduceEqualsAccumulateAndMaxElement) {
  Reduce<<<1, kThreads>>>(in_, out_);
  const std::vector<int> expected = {std::accumulate(values_.begin(), values_.end(), 0),
                                     *std::max_element(values_.begin(), values_.end())};
  EXPECT_EQ(Result(2), expected);
}

TEST_P(Cub, BlockScanEqualsPartialSum) {
  Scan<<<1, kThreads>>>(in_, out_);
  std::vector<int> expected(1);
  std::partial_sum(values_.begin(), values_.end(), std::back_inserter(expected));
  EXPECT_EQ(Result(kCount + 1), expected);
}

TEST_P(Cub, BlockRadixSortEqualsStableSort) {
  std::vector<float> keys(kCount);
  for (int i = 0; i < kCount; ++i) keys[i] = static_cast<float>(values_[i] % 100) / 8;
  float *in = nullptr, *sorted = nullptr;
  ASSERT_EQ(cudaMalloc(&in, 4 * kCount), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&sorted, 4 * kCount), cudaSuccess);
  ASSERT_EQ(cudaMemcpy(in, keys.data(), 4 * kCount, cudaMemcpyHostToDevice), cudaSuccess);
  Sort<<<1, kThreads>>>(in, sorted, out_);
  std::vector<int> order(kCount);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return keys[a] > keys[b]; });
  EXPECT_EQ(Result(kCount), order);
}

}  // namespace
}  // namespace fire::simulator
