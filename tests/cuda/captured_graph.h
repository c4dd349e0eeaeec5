// A stream, and a graph of what was launched on one.
#pragma once

#include <cuda_runtime.h>

#include "tests/cuda/device_memory.h"

namespace fire::test {

class Stream {
 public:
  Stream() { ThrowOnError(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }
  void Finish() const { ThrowOnError(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

// What launch() launches on the stream, captured instead of run.
class CapturedGraph {
 public:
  template <typename Launch>
  CapturedGraph(const Stream& stream, const Launch& launch) : stream_(stream) {
    ThrowOnError(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal), "begin capture");
    launch();
    ThrowOnError(cudaStreamEndCapture(stream.get(), &graph_), "end capture");
    ThrowOnError(cudaGraphInstantiate(&runnable_, graph_, 0), "instantiate");
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  ~CapturedGraph() {
    cudaGraphExecDestroy(runnable_);
    cudaGraphDestroy(graph_);
  }

  // Runs it, to its end.
  void Replay() const {
    ThrowOnError(cudaGraphLaunch(runnable_, stream_.get()), "replay");
    stream_.Finish();
  }

 private:
  const Stream& stream_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t runnable_ = nullptr;
};

}  // namespace fire::test
