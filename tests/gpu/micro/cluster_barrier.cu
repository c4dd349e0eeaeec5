// What a cluster barrier costs, by cluster size and threads, beside __syncthreads. One cluster alone on the device
// gives the latency that few rows see; clusters on every multiprocessor, whether company makes it dearer.
#include "tests/gpu/micro/cluster.cuh"
#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

enum class Barrier { kBlock, kCluster, kClusterRelaxed };

template <Barrier barrier>
__global__ void Wait(int iterations, uint32_t* passed) {
  uint32_t count = 0;
  for (int i = 0; i < iterations; ++i) {
    if constexpr (barrier == Barrier::kBlock) __syncthreads();
    if constexpr (barrier == Barrier::kCluster) ClusterBarrierWait();
    if constexpr (barrier == Barrier::kClusterRelaxed) ClusterBarrierWaitRelaxed();
    ++count;
  }
  if (threadIdx.x == 0) passed[blockIdx.x] = count;
}

template <Barrier barrier>
void Measure(const Options& options, const char* name, int cluster, int threads, int clusters) {
  if (cluster > 8) {
    Check(cudaFuncSetAttribute(Wait<barrier>, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
          "clusters of more than 8 blocks");
  }
  const int blocks = cluster * clusters;
  Memory<uint32_t> passed(blocks);
  int iterations = 0;
  const Spread time = NanosecondsPerIteration(options, 200, 2200, [&](int count, cudaStream_t stream) {
    iterations = count;
    Launch launch(blocks, threads, 0, stream);
    if (barrier != Barrier::kBlock) launch.Cluster(cluster);
    launch(Wait<barrier>, count, passed.get());
  });
  for (const uint32_t count : passed.Read()) Expect(count == static_cast<uint32_t>(iterations), "barriers passed");
  Line("cluster-barrier")
      .With("barrier", name)
      .With("cluster", cluster)
      .With("threads", threads)
      .With("clusters", clusters)
      .Print(options, "ns", time);
}

}  // namespace

void ClusterBarrier(const Options& options) {
  const Device device = ThisDevice();
  for (const int threads : {256, 512, 1024}) Measure<Barrier::kBlock>(options, "block", 1, threads, 1);
  if (!device.HasClusters()) return;
  const int largest = options.rehearse ? 4 : 16;
  for (int cluster = 2; cluster <= largest; cluster *= 2) {
    for (const int threads : {256, 512, 1024}) {
      Measure<Barrier::kCluster>(options, "cluster", cluster, threads, 1);
      if (threads == 512) Measure<Barrier::kClusterRelaxed>(options, "cluster, relaxed", cluster, threads, 1);
      if (threads == 512 && !options.rehearse) {
        Measure<Barrier::kCluster>(options, "cluster", cluster, threads, device.multiprocessors / cluster / 2);
      }
    }
  }
}

}  // namespace fire::micro
