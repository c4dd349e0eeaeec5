// What a launch costs: alone until the host knows of it, one after another in a stream, with programmatic dependence,
// as nodes of a graph, and with a cluster.
#include <chrono>

#include "tests/gpu/micro/measure.h"

namespace fire::micro {
namespace {

constexpr int kThreads = 512;

__global__ void Count(uint32_t* launches) {
  if (blockIdx.x == 0 && threadIdx.x == 0) ++*launches;
}

// Lets its successor start at once, and waits for its predecessor's writes before it touches them.
__global__ void CountDependent(uint32_t* launches) {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  if (blockIdx.x == 0 && threadIdx.x == 0) ++*launches;
}

struct Kind {
  const char* name;
  bool dependent;
  int cluster;  // 0: none
};

void Enqueue(const Kind& kind, int blocks, int count, uint32_t* launches, cudaStream_t stream) {
  for (int i = 0; i < count; ++i) {
    Launch launch(blocks, kThreads, 0, stream);
    if (kind.cluster > 0) launch.Cluster(kind.cluster);
    if (kind.dependent) launch.ProgrammaticDependence();
    launch(kind.dependent ? CountDependent : Count, launches);
  }
}

void MeasureStream(const Options& options, const Kind& kind, int blocks) {
  Memory<uint32_t> launches(std::vector<uint32_t>{0});
  uint32_t enqueued = 0;
  const Spread time = NanosecondsPerIteration(options, 50, 550, [&](int count, cudaStream_t stream) {
    enqueued += static_cast<uint32_t>(count);
    Enqueue(kind, blocks, count, launches.get(), stream);
  });
  Expect(launches.Read()[0] == enqueued, kind.name);
  Line("launch").With("kind", kind.name).With("how", "stream").With("blocks", blocks).Print(options, "ns", time);
}

void MeasureGraph(const Options& options, const Kind& kind, int blocks) {
  const int count = options.rehearse ? 3 : 500;
  Memory<uint32_t> launches(std::vector<uint32_t>{0});
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  Check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  Enqueue(kind, blocks, count, launches.get(), stream);
  Check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  Check(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  uint32_t replays = 0;
  Spread time = Nanoseconds(options, [&](cudaStream_t on) {
    ++replays;
    Check(cudaGraphLaunch(executable, on), "cudaGraphLaunch");
  });
  time = {time.median / count, time.low / count, time.high / count};
  Expect(launches.Read()[0] == replays * static_cast<uint32_t>(count), kind.name);
  Check(cudaGraphExecDestroy(executable), "cudaGraphExecDestroy");
  Check(cudaGraphDestroy(graph), "cudaGraphDestroy");
  Check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  Line("launch").With("kind", kind.name).With("how", "graph").With("blocks", blocks).Print(options, "ns", time);
}

// From the call to the return of the synchronisation, by the host's clock.
void MeasureRoundTrip(const Options& options, int blocks) {
  using Clock = std::chrono::steady_clock;
  Memory<uint32_t> launches(std::vector<uint32_t>{0});
  std::vector<double> times;
  for (int i = 0; i < (options.rehearse ? 1 : 300); ++i) {
    const Clock::time_point begin = Clock::now();
    Enqueue({"", false, 0}, blocks, 1, launches.get(), nullptr);
    Check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
    times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  Expect(launches.Read()[0] == times.size(), "round trips");
  Line("launch")
      .With("kind", "plain")
      .With("how", "to the host and back")
      .With("blocks", blocks)
      .Print(options, "ns", SpreadOf(times));
}

}  // namespace

void LaunchLatency(const Options& options) {
  const Device device = ThisDevice();
  for (const int blocks : {8, options.rehearse ? 16 : 4 * device.multiprocessors}) {
    MeasureRoundTrip(options, blocks);
    for (const Kind& kind : {Kind{"plain", false, 0}, Kind{"programmatic", true, 0}, Kind{"cluster of 8", false, 8},
                             Kind{"programmatic, cluster of 8", true, 8}}) {
      if (!device.HasClusters() && (kind.dependent || kind.cluster > 0)) continue;
      MeasureStream(options, kind, blocks);
      MeasureGraph(options, kind, blocks);
    }
  }
}

}  // namespace fire::micro
