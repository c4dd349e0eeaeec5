// What it costs to push into a peer's shared memory: one way there (half a ping-pong), a push with the barrier that
// makes it visible, and the rate of 16-byte stores and of remote adds.
#include "tests/gpu/micro/cluster.cuh"
#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

constexpr int kThreads = 512;

// Blocks 0 and 1 take turns; each waits for the other's number.
__global__ void PingPong(int iterations, uint32_t* out) {
  __shared__ uint32_t ball;
  if (threadIdx.x == 0) ball = 0;
  ClusterBarrierWait();
  const uint32_t rank = ClusterRank();
  if (threadIdx.x == 0 && rank < 2) {
    const uint32_t there = AddressIn(&ball, rank ^ 1);
    for (uint32_t turn = 1; turn <= static_cast<uint32_t>(iterations); ++turn) {
      if (rank == 0) PushRelease(there, turn);
      while (LoadAcquire(&ball) != turn) {
      }
      if (rank == 1) PushRelease(there, turn);
    }
    out[rank] = LoadAcquire(&ball);
  }
  __syncwarp();
  // A block must not leave while its peer may still write to it.
  ClusterBarrierWait();
}

// Every warp's leader pushes 16 bytes to every block of the cluster, then all meet: the exchange of maxima.
__global__ void Exchange(int iterations, uint32_t* out) {
  __shared__ uint4 inbox[2][16][kThreads / 32];
  const uint32_t rank = ClusterRank();
  const uint32_t blocks = ClusterSize();
  const uint32_t warp = threadIdx.x / 32;
  const uint32_t lane = threadIdx.x % 32;
  uint32_t sum = 0;
  for (int i = 0; i < iterations; ++i) {
    if (lane < blocks) Push(AddressIn(&inbox[i & 1][rank][warp], lane), make_uint4(rank, warp, i, 0));
    __syncwarp();
    // Two inboxes in turn: what this barrier makes readable is written again only after the next one.
    ClusterBarrierWait();
    if (lane < blocks) sum += inbox[i & 1][lane][warp].z == static_cast<uint32_t>(i) ? 1 : 0;
  }
  atomicAdd(&out[blockIdx.x], sum);
}

// 16-byte stores to the next block, as many as fit in flight.
__global__ void PushStores(int iterations, uint32_t* out) {
  extern __shared__ uint4 box[];
  const uint32_t rank = ClusterRank();
  const uint32_t blocks = ClusterSize();
  const uint32_t there = AddressIn(&box[threadIdx.x], (rank + 1) % blocks);
  ClusterBarrierWait();
  for (int i = 0; i < iterations; ++i) {
#pragma unroll
    for (uint32_t slot = 0; slot < 4; ++slot) {
      Push(there + slot * kThreads * 16, make_uint4(threadIdx.x, rank, static_cast<uint32_t>(i), slot));
    }
  }
  ClusterBarrierWait();
  uint32_t sum = 0;
  for (uint32_t slot = 0; slot < 4; ++slot) sum += box[slot * kThreads + threadIdx.x].z;
  atomicAdd(&out[blockIdx.x], sum);
}

// Adds to a peer's counters, consecutive threads to consecutive ones.
__global__ void PushAdds(int iterations, uint32_t* out) {
  __shared__ uint32_t counters[kThreads];
  counters[threadIdx.x] = 0;
  const uint32_t rank = ClusterRank();
  const uint32_t blocks = ClusterSize();
  ClusterBarrierWait();
  const uint32_t there = AddressIn(&counters[threadIdx.x], (rank + 1) % blocks);
  for (int i = 0; i < iterations; ++i) PushAdd(there, 1);
  ClusterBarrierWait();
  atomicAdd(&out[blockIdx.x], counters[threadIdx.x]);
}

struct Case {
  const char* name;
  void (*kernel)(int, uint32_t*);
  size_t shared_bytes;
  int few, many;
  double bytes;  // what one iteration of one block moves; 0: its time is what counts
  uint32_t (*expected)(uint32_t iterations, uint32_t blocks);
};

const Case kCases[] = {
    {"push and barrier", Exchange, 0, 100, 1100, 0,
     [](uint32_t iterations, uint32_t blocks) { return iterations * blocks * (kThreads / 32); }},
    {"stores", PushStores, 4 * kThreads * 16, 100, 1100, 4.0 * kThreads * 16,
     [](uint32_t iterations, uint32_t) { return 4 * kThreads * (iterations - 1); }},
    {"adds", PushAdds, 0, 100, 1100, 4.0 * kThreads,
     [](uint32_t iterations, uint32_t) { return kThreads * iterations; }},
};

void Measure(const Options& options, const Case& test, int cluster, int clusters) {
  const int blocks = cluster * clusters;
  Memory<uint32_t> out(blocks);
  uint32_t iterations = 0;
  const Spread time = NanosecondsPerIteration(options, test.few, test.many, [&](int count, cudaStream_t stream) {
    iterations = static_cast<uint32_t>(count);
    Check(cudaMemsetAsync(out.get(), 0, blocks * sizeof(uint32_t), stream), "cudaMemsetAsync");
    Launch(blocks, kThreads, test.shared_bytes, stream).Cluster(cluster)(test.kernel, count, out.get());
  });
  for (const uint32_t sum : out.Read()) Expect(sum == test.expected(iterations, cluster), test.name);
  Line line("dsmem");
  line.With("what", test.name).With("cluster", cluster).With("clusters", clusters);
  if (test.bytes == 0) {
    line.Print(options, "ns", time);
  } else {
    line.Print(options, "GB/s a block", Rate(test.bytes, time));
  }
}

void MeasurePingPong(const Options& options, int cluster) {
  Memory<uint32_t> out(2);
  uint32_t iterations = 0;
  Spread time = NanosecondsPerIteration(options, 200, 2200, [&](int count, cudaStream_t stream) {
    iterations = static_cast<uint32_t>(count);
    Launch(cluster, 32, 0, stream).Cluster(cluster)(PingPong, count, out.get());
  });
  for (const uint32_t ball : out.Read()) Expect(ball == iterations, "turns of the ping-pong");
  time = {time.median / 2, time.low / 2, time.high / 2};
  Line("dsmem").With("what", "one way").With("cluster", cluster).With("clusters", 1).Print(options, "ns", time);
}

}  // namespace

void DistributedShared(const Options& options) {
  const Device device = ThisDevice();
  if (!device.HasClusters()) return;
  for (int cluster = 2; cluster <= (options.rehearse ? 4 : 8); cluster *= 2) {
    MeasurePingPong(options, cluster);
    for (const Case& test : kCases) {
      Measure(options, test, cluster, 1);
      if (!options.rehearse) Measure(options, test, cluster, device.multiprocessors / cluster / 2);
    }
  }
}

}  // namespace fire::micro
