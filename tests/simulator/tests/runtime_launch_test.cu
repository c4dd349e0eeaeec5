// Launches: what is refused and with which error, which code a device is given, and what it says of itself.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/simulator/decoder/fatbinary.h"
#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

__global__ void Target(int* out) {
#ifdef __CUDA_ARCH__
  *out = __CUDA_ARCH__;
#endif
}

__global__ void __launch_bounds__(128, 4) Bounded(int* out) { out[threadIdx.x] = 1; }

__global__ void UseShared(int* out) {
  __shared__ int fixed[256];
  extern __shared__ int dynamic[];
  const int i = threadIdx.x;
  fixed[i] = i;
  dynamic[i] = 2 * i;
  __syncthreads();
  out[i] = fixed[255 - i] + dynamic[i];
}

__global__ void RankInCluster(int* out) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  int rank, size;
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm("mov.u32 %0, %%cluster_ctarank; mov.u32 %1, %%cluster_nctarank;" : "=r"(rank), "=r"(size));
  out[blockIdx.x] = 100 * size + rank;
#else
  out[blockIdx.x] = 100;
#endif
}

struct Wide {
  double x;
  char y;
  float z[5];
};
__global__ void ManyArguments(int* out, char a, Wide wide, short b, const void* c, bool d) {
  out[0] = a;
  out[1] = static_cast<int>(wide.x + wide.z[4]) + wide.y;
  out[2] = b;
  out[3] = c == nullptr;
  out[4] = d;
}

class SimulatedLaunch : public testing::Test {
 protected:
  void SetUp() override {
    SetBehaviour(Behaviour());
    Renew();
  }
  // Changing a device takes its memory away.
  void Renew() {
    ASSERT_EQ(cudaMalloc(&out_, 4096), cudaSuccess);
    ASSERT_EQ(cudaMemset(out_, 0, 4096), cudaSuccess);
  }
  void Become(int major, int minor) {
    SetDeviceDescription(0, KnownDevice(major, minor));
    Renew();
  }
  std::vector<int> Result(int count) {
    std::vector<int> result(count);
    EXPECT_EQ(cudaMemcpy(result.data(), out_, 4 * count, cudaMemcpyDeviceToHost), cudaSuccess);
    return result;
  }
  cudaError_t LaunchCluster(int cluster, int grid, size_t shared = 0, int threads = 1) {
    cudaLaunchAttribute attributes[2] = {};
    attributes[0].id = cudaLaunchAttributeClusterDimension;
    attributes[0].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[1].val.programmaticStreamSerializationAllowed = 1;
    config_.gridDim = grid;
    config_.blockDim = threads;
    config_.dynamicSmemBytes = shared;
    config_.attrs = attributes;
    config_.numAttrs = 2;
    return cudaLaunchKernelEx(&config_, RankInCluster, out_);
  }

  int* out_ = nullptr;
  cudaLaunchConfig_t config_ = {};
};

TEST_F(SimulatedLaunch, RunsTheHighestPtxTheDeviceCanTake) {
  const std::pair<std::pair<int, int>, int> expected[] = {{{8, 0}, 800}, {{8, 6}, 800},  {{8, 9}, 800},
                                                          {{9, 0}, 900}, {{10, 0}, 900}, {{12, 0}, 900}};
  for (const auto& [device, target] : expected) {
    Become(device.first, device.second);
    Target<<<1, 1>>>(out_);
    EXPECT_EQ(Result(1)[0], target) << device.first << "." << device.second;
  }
}

TEST_F(SimulatedLaunch, IsRefusedByADeviceOlderThanAllItsCode) {
  Become(7, 5);
  Target<<<1, 1>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNoKernelImageForDevice);
}

TEST_F(SimulatedLaunch, OfTooManyThreadsIsRefused) {
  Target<<<1, 1025>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  Target<<<1, dim3(1, 1, 65)>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  Target<<<0, 32>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  Target<<<dim3(1, 65536), 32>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  Bounded<<<1, 129>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue) << "more than its launch bounds";
  Bounded<<<1, 128>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(SimulatedLaunch, GetsDynamicSharedMemoryUpToWhatWasAskedFor) {
  const int fixed = 1024;
  UseShared<<<1, 256, 49152 - fixed>>>(out_);
  EXPECT_EQ(Result(256)[255], 2 * 255);
  UseShared<<<1, 256, 49152 - fixed + 1>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(UseShared, attribute, 232448 - fixed + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(UseShared, attribute, 232448 - fixed), cudaSuccess);
  cudaGetLastError();
  UseShared<<<1, 256, 232448 - fixed>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  UseShared<<<1, 256, 100000>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue) << "the other device was not asked";
  cudaSetDevice(0);
  Become(8, 6);
  EXPECT_EQ(cudaFuncSetAttribute(UseShared, attribute, 101376 - fixed + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(UseShared, attribute, 101376 - fixed), cudaSuccess);
}

TEST_F(SimulatedLaunch, GivesEachBlockItsRankInTheCluster) {
  ASSERT_EQ(LaunchCluster(4, 8), cudaSuccess);
  EXPECT_EQ(Result(8), (std::vector<int>{400, 401, 402, 403, 400, 401, 402, 403}));
}

TEST_F(SimulatedLaunch, OfAClusterThatCannotBeIsRefused) {
  EXPECT_EQ(LaunchCluster(4, 6), cudaErrorInvalidClusterSize) << "the grid is no multiple";
  EXPECT_EQ(LaunchCluster(16, 16), cudaErrorInvalidClusterSize) << "not portable";
  ASSERT_EQ(cudaFuncSetAttribute(RankInCluster, cudaFuncAttributeNonPortableClusterSizeAllowed, 1), cudaSuccess);
  EXPECT_EQ(LaunchCluster(16, 16), cudaSuccess);
  EXPECT_EQ(Result(16)[15], 1615);
  EXPECT_EQ(LaunchCluster(32, 32), cudaErrorInvalidClusterSize);
  Become(8, 0);
  EXPECT_EQ(LaunchCluster(2, 2), cudaErrorInvalidClusterSize) << "no clusters at all";
  EXPECT_EQ(LaunchCluster(1, 2), cudaSuccess);
}

TEST_F(SimulatedLaunch, OnAStreamOfAnotherDeviceIsRefused) {
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  cudaSetDevice(1);
  Target<<<1, 1, 0, stream>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  cudaStreamDestroy(stream);
}

TEST_F(SimulatedLaunch, OnMemoryOfAnotherDeviceIsAFaultThatSticksUntilReset) {
  cudaSetDevice(1);
  Target<<<1, 1>>>(out_);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress) << "asking does not heal";
  void* pointer = nullptr;
  EXPECT_EQ(cudaMalloc(&pointer, 16), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  cudaSetDevice(0);
  EXPECT_EQ(cudaMalloc(&pointer, 16), cudaSuccess) << "the other device goes on";
  cudaSetDevice(1);
  EXPECT_EQ(cudaDeviceReset(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&pointer, 16), cudaSuccess);
  const std::vector<Report> reports = TakeReports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_NE(reports[0].kernel.find("Target"), std::string::npos);
}

TEST_F(SimulatedLaunch, PassesArgumentsOfEverySizeAndAlignment) {
  Wide wide = {40.5, 2, {0, 0, 0, 0, 1.5f}};
  ManyArguments<<<1, 1>>>(out_, -5, wide, -300, nullptr, true);
  EXPECT_EQ(Result(5), (std::vector<int>{-5, 44, -300, 1, 1}));
}

TEST_F(SimulatedLaunch, OfAFunctionThatIsNoKernelIsRefused) {
  int x = 0;
  EXPECT_EQ(cudaLaunchKernel(&x, 1, 1, nullptr, 0, nullptr), cudaErrorInvalidDeviceFunction);
  EXPECT_STREQ(cudaGetErrorString(cudaErrorInvalidDeviceFunction), "invalid device function");
}

TEST_F(SimulatedLaunch, IsCounted) {
  const Counters before = GetCounters();
  Target<<<1, 1>>>(out_);
  Target<<<1, 1>>>(out_);
  const Counters after = GetCounters();
  EXPECT_EQ(after.launches - before.launches, 2u);
  EXPECT_GT(after.instructions, before.instructions);
  EXPECT_EQ(after.allocations, before.allocations);
  EXPECT_EQ(after.synchronisations, before.synchronisations);
}

// ---- what kernels and devices say of themselves ----
TEST_F(SimulatedLaunch, FunctionsTellTheirAttributes) {
  cudaFuncAttributes attributes;
  ASSERT_EQ(cudaFuncGetAttributes(&attributes, UseShared), cudaSuccess);
  EXPECT_EQ(attributes.sharedSizeBytes, 1024u);
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 49152 - 1024);
  EXPECT_EQ(attributes.maxThreadsPerBlock, 1024);
  EXPECT_EQ(attributes.ptxVersion, 90);
  ASSERT_EQ(cudaFuncGetAttributes(&attributes, Bounded), cudaSuccess);
  EXPECT_EQ(attributes.maxThreadsPerBlock, 128);
}

TEST_F(SimulatedLaunch, OccupancyFollowsThreadsAndSharedMemory) {
  const auto blocks = [](int threads, size_t shared) {
    int count = -1;
    EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, RankInCluster, threads, shared), cudaSuccess);
    return count;
  };
  EXPECT_EQ(blocks(1024, 0), 2);
  EXPECT_EQ(blocks(512, 0), 4);
  EXPECT_EQ(blocks(32, 0), 32);
  ASSERT_EQ(cudaFuncSetAttribute(RankInCluster, cudaFuncAttributeMaxDynamicSharedMemorySize, 232448), cudaSuccess);
  EXPECT_EQ(blocks(512, 232448), 1);
  EXPECT_EQ(blocks(512, 100 << 10), 2);
  EXPECT_EQ(blocks(512, 75 << 10), 3);
  Become(8, 6);
  EXPECT_EQ(blocks(512, 0), 3);
  Become(12, 0);
  EXPECT_EQ(blocks(512, 0), 3);
}

TEST_F(SimulatedLaunch, OccupancyOfClustersFollowsTheGroupsOfMultiprocessors) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {8, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = 1024;
  config.blockDim = 1024;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int count = 0;
  ASSERT_EQ(cudaOccupancyMaxActiveClusters(&count, RankInCluster, &config), cudaSuccess);
  EXPECT_EQ(count, 30) << "two blocks on each of 132 multiprocessors, in groups of 18, one of 16 and one of 8";
  ASSERT_EQ(cudaOccupancyMaxPotentialClusterSize(&count, RankInCluster, &config), cudaSuccess);
  EXPECT_EQ(count, 8);
  attribute.val.clusterDim = {16, 1, 1};
  EXPECT_EQ(cudaOccupancyMaxActiveClusters(&count, RankInCluster, &config), cudaErrorInvalidClusterSize);
}

TEST_F(SimulatedLaunch, ThatOverlapsIsCapturedOnlyByADriverWhoseGraphsCanHoldIt) {
  DeviceDescription description = KnownDevice(9, 0);
  description.driver = 12020;
  SetDeviceDescription(0, description);
  Renew();
  EXPECT_EQ(LaunchCluster(1, 1), cudaSuccess);
  ASSERT_EQ(cudaStreamCreate(&config_.stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(config_.stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  EXPECT_EQ(LaunchCluster(1, 1), cudaErrorNotSupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(config_.stream, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(config_.stream), cudaSuccess);
}

TEST_F(SimulatedLaunch, DevicesTellTheirProperties) {
  int count = 0;
  ASSERT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  Become(8, 9);
  cudaDeviceProp properties;
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_EQ(10 * properties.major + properties.minor, 89);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 101376u);
  EXPECT_EQ(properties.clusterLaunch, 0);
  const auto attribute = [](cudaDeviceAttr which, int device) {
    int value = -1;
    EXPECT_EQ(cudaDeviceGetAttribute(&value, which, device), cudaSuccess);
    return value;
  };
  EXPECT_EQ(attribute(cudaDevAttrComputeCapabilityMajor, 0), 8);
  EXPECT_EQ(attribute(cudaDevAttrComputeCapabilityMajor, 1), 9);
  EXPECT_EQ(attribute(cudaDevAttrMultiProcessorCount, 1), 132);
  EXPECT_EQ(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, 1), 232448);
  EXPECT_EQ(attribute(cudaDevAttrClusterLaunch, 1), 1);
  EXPECT_EQ(attribute(cudaDevAttrL2CacheSize, 1), 60 << 20);
}

// ---- how code is found, and how the simulator is told what to do ----
TEST(FatBinary, GivesPtxOfAnExactTargetToThatDeviceOnly) {
  const std::vector<PtxImage> images = {{80, false, ""}, {90, true, ""}, {90, false, ""}};
  EXPECT_EQ(ChooseImage(images, 75), nullptr);
  EXPECT_EQ(ChooseImage(images, 89), &images[0]);
  EXPECT_EQ(ChooseImage(images, 90), &images[1]);
  EXPECT_EQ(ChooseImage(images, 100), &images[2]);
}

TEST(Behaviour, IsReadFromAListOfWords) {
  const Behaviour behaviour = ParseBehaviour("seed=3,races,uninitialised,bounds,weak,deferred,budget=9,capability=8.6");
  EXPECT_EQ(behaviour.launch.seed, 3u);
  EXPECT_TRUE(behaviour.launch.check_races && behaviour.launch.check_uninitialised && behaviour.launch.check_bounds);
  EXPECT_TRUE(behaviour.launch.weak_memory && behaviour.deferred);
  EXPECT_EQ(behaviour.launch.step_budget, 9u);
  EXPECT_EQ(behaviour.capability, 86);
  EXPECT_FALSE(ParseBehaviour("races").launch.check_bounds);
  for (const char* bad : {"race", "seed", "seed=x", "seed=-1", "capability=9", "bounds=1"}) {
    EXPECT_THROW(ParseBehaviour(bad), std::invalid_argument) << bad;
  }
  EXPECT_THROW(ParseBehaviour("capability=3.0"), std::out_of_range);
}

}  // namespace
}  // namespace fire::simulator
