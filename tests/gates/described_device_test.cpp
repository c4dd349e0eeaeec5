// What kernels::CurrentDevice learns from the runtime of devices whose compute capability does not tell it. It asks a
// device once a process: ctest runs each test in one of its own.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "kernels/launch.h"
#include "tests/cuda/captured_graph.h"
#include "tests/cuda/device_batch.h"
#include "tests/cuda/shrink.h"
#include "tests/simulator/simulator.h"

namespace fire::test {
namespace {

using kernels::Task;
using simulator::DeviceDescription;

kernels::Device DeviceOf(int number, const DeviceDescription& description) {
  simulator::SetDeviceDescription(number, description);
  ThrowOnError(cudaSetDevice(number), "cudaSetDevice");
  return kernels::CurrentDevice();
}

TEST(DescribedDevice, ClustersAreAsManyAsItsGroupsOfMultiprocessorsHold) {
  const kernels::Device device = DeviceOf(0, simulator::KnownDevice(9, 0));
  EXPECT_EQ(device.clusters, (std::array<int, 4>{66, 30, 15, 7}));
  EXPECT_EQ(device.largest_cluster, 16);
  EXPECT_EQ(kernels::PlanFor(Task::kSample, 7, 151936, LogitsType::kFloat32, device).cluster, 16);
  EXPECT_EQ(kernels::PlanFor(Task::kSample, 8, 151936, LogitsType::kFloat32, device).cluster, 8);
  EXPECT_EQ(kernels::PlanFor(Task::kSample, 15, 151936, LogitsType::kFloat32, device).cluster, 8);
  EXPECT_EQ(kernels::PlanFor(Task::kSample, 16, 151936, LogitsType::kFloat32, device).cluster, 4);
}

// What MIG leaves of a device, and what MPS leaves of a process's share of one.
TEST(DescribedDevice, ASliceWhoseClustersAreSmallerIsLaunchedWithThoseThereAre) {
  DeviceDescription slice = simulator::KnownDevice(9, 0);
  slice.multiprocessors = 14;
  slice.cluster_groups = {7, 7};
  const kernels::Device groups_of_7 = DeviceOf(0, slice);
  EXPECT_EQ(groups_of_7.clusters, (std::array<int, 4>{6, 2, 0, 0}));
  EXPECT_EQ(groups_of_7.largest_cluster, 4);
  slice.cluster_groups.assign(14, 1);
  EXPECT_EQ(DeviceOf(1, slice).largest_cluster, 1);
}

// As of compute capability 12.0.
TEST(DescribedDevice, WhereAClusterOf16IsRefusedTheLargestHas8) {
  DeviceDescription description = simulator::KnownDevice(9, 0);
  description.largest_cluster = 8;
  const kernels::Device device = DeviceOf(0, description);
  EXPECT_EQ(device.clusters, (std::array<int, 4>{66, 30, 15, 0}));
  EXPECT_EQ(device.largest_cluster, 8);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(DescribedDevice, ADriverThatRefusesASizeOfClustersFailsNoCall) {
  DeviceDescription description = simulator::KnownDevice(9, 0);
  description.portable_cluster = description.largest_cluster = 4;
  const kernels::Device device = DeviceOf(0, description);
  EXPECT_EQ(device.largest_cluster, 4);
  EXPECT_EQ(device.clusters[2], 0);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

// A driver of CUDA 12.2 refuses to capture a launch that overlaps the kernel ahead of it.
TEST(DescribedDevice, AnOldDriverCapturesCallsWithoutOverlap) {
  DeviceDescription description = simulator::KnownDevice(9, 0);
  description.driver = 12020;
  EXPECT_FALSE(kernels::CanOverlapPrior(DeviceOf(0, description)));
  const RowCase row = {{0, 9, 0, 1}, PlainRecord(1), 0, "row"};
  const DeviceBatch batch({row}, LogitsType::kFloat32, {});
  const DeviceArray<int64_t> token(1);
  const DeviceArray<uint64_t> list(3), weights(2);
  const DeviceArray<ShardState> state(1);
  ShardBatch shard;
  shard.logits = batch.batch().logits, shard.rows = 1, shard.size = 4;
  SampleOutputs outputs;
  outputs.token = token.get();
  const Stream stream;
  const CapturedGraph graph(stream, [&] {
    SampleCuda(batch.batch(), outputs, stream.get());
    ShardEntriesCuda(shard, 2, list.get(), stream.get());
    ShardBeginCuda(batch.batch(), {2, list.get(), weights.get()}, {}, state.get(), stream.get());
  });
  graph.Replay();
  EXPECT_EQ(token.Read()[0], 1);
  EXPECT_TRUE(simulator::TakeReports().empty());
}

// A multiprocessor that is set up otherwise runs empty before a launch.
TEST(DescribedDevice, WhatShareOfAMultiprocessorAKernelAsksForHangsOnNoEarlierCall) {
  simulator::Behaviour behaviour;
  behaviour.launch.count_work = true;
  simulator::SetBehaviour(behaviour);
  const DeviceBatch batch({{{0, 9, 0, 1}, PlainRecord(1), 0, "row"}}, LogitsType::kFloat32, {});
  const DeviceArray<int64_t> token(1);
  SampleOutputs outputs;
  outputs.token = token.get();
  ShardBatch shard;
  shard.logits = batch.batch().logits, shard.rows = 1, shard.size = 4;
  const DeviceArray<uint64_t> list(kMaxShardEntries + 1);
  for (const int64_t count : {kMaxShardEntries, int64_t{2}}) {
    SampleCuda(batch.batch(), outputs, nullptr);
    ShardEntriesCuda(shard, count, list.get(), nullptr);
    const std::vector<simulator::LaunchWork> work = simulator::TakeWork();
    ASSERT_EQ(work.size(), 2u);
    EXPECT_EQ(work[0].shape.carveout, cudaSharedmemCarveoutMaxShared);
    EXPECT_EQ(work[1].shape.carveout, -1) << count << " entries";
  }
  simulator::Reset();
}

TEST(DescribedDevice, CodeFromBeforeClustersIsLaunchedWithoutThemAndWithoutOverlap) {
  DeviceDescription description = simulator::KnownDevice(9, 0);
  description.newest_code = 80;
  const kernels::Device device = DeviceOf(1, description);
  EXPECT_EQ(device.largest_cluster, 1);
  EXPECT_EQ(device.multiprocessors, 132);
  const kernels::Plan plan = kernels::PlanFor(Task::kSample, 2, 40000, LogitsType::kBFloat16, device);
  EXPECT_EQ(plan.cluster, 1);
  EXPECT_FALSE(plan.overlaps_prior);
  Random random(5);
  std::vector<RowCase> rows;
  for (int row = 0; row < 2; ++row)
    rows.push_back({TroublesomeRow(random, 40000), PlainRecord(random.Bits()), row, "row"});
  EXPECT_TRUE(ExpectEqualsReference(SampleCheck(rows, LogitsType::kBFloat16, {}), nullptr));
  EXPECT_TRUE(simulator::TakeReports().empty());
}

}  // namespace
}  // namespace fire::test
