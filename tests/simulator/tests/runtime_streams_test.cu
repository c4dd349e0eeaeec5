// Streams, events and graphs: what orders work, and what a capture allows.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/simulator/simulator.h"

namespace fire::simulator {
namespace {

__global__ void Set(int* value, int to) { *value = to; }
__global__ void Add(int* value, const int* step) { *value += *step; }

int Read(const int* device) {
  int value = -1;
  EXPECT_EQ(cudaMemcpy(&value, device, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
  return value;
}

class SimulatedStreams : public testing::Test {
 protected:
  void SetUp() override {
    SetBehaviour(Behaviour());
    ASSERT_EQ(cudaMalloc(&value_, 256), cudaSuccess);
    ASSERT_EQ(cudaMemset(value_, 0, 256), cudaSuccess);
    step_ = value_ + 32;
    Set<<<1, 1>>>(step_, 10);
    for (cudaStream_t& stream : streams_) {
      ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    }
    ASSERT_EQ(cudaEventCreate(&event_), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  }
  void TearDown() override {
    for (const cudaStream_t stream : streams_) cudaStreamDestroy(stream);
    cudaEventDestroy(event_);
    cudaFree(value_);
  }
  static void Defer() {
    Behaviour behaviour = GetBehaviour();
    behaviour.deferred = true;
    SetBehaviour(behaviour);
  }
  cudaError_t Begin(int stream = 0) { return cudaStreamBeginCapture(streams_[stream], cudaStreamCaptureModeGlobal); }
  cudaGraphExec_t EndAndInstantiate() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(streams_[0], &graph), cudaSuccess);
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return executable;
  }

  int* value_ = nullptr;
  int* step_ = nullptr;
  cudaStream_t streams_[2] = {};
  cudaEvent_t event_ = nullptr;
};

TEST_F(SimulatedStreams, LeaveDeferredWorkUndoneUntilSomebodyWaits) {
  Defer();
  int* host = nullptr;
  ASSERT_EQ(cudaMallocHost(&host, sizeof(int)), cudaSuccess);
  *host = 0;
  Set<<<1, 1, 0, streams_[0]>>>(value_, 5);
  ASSERT_EQ(cudaMemcpyAsync(host, value_, sizeof(int), cudaMemcpyDeviceToHost, streams_[0]), cudaSuccess);
  EXPECT_EQ(*host, 0) << "read before the stream was waited for";
  EXPECT_EQ(cudaStreamQuery(streams_[0]), cudaErrorNotReady);
  ASSERT_EQ(cudaStreamSynchronize(streams_[0]), cudaSuccess);
  EXPECT_EQ(*host, 5);
  EXPECT_EQ(cudaStreamQuery(streams_[0]), cudaSuccess);
  cudaFreeHost(host);
}

TEST_F(SimulatedStreams, ThatDoNotBlockAreNotOrderedByTheDefaultStream) {
  Defer();
  Set<<<1, 1, 0, streams_[0]>>>(value_, 5);
  EXPECT_EQ(Read(value_), 0) << "cudaMemcpy does not wait for a stream that does not block";
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(Read(value_), 5);
  cudaStream_t blocking;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  Set<<<1, 1, 0, blocking>>>(value_, 6);
  EXPECT_EQ(Read(value_), 6);
  cudaStreamDestroy(blocking);
}

TEST_F(SimulatedStreams, AreOrderedByEvents) {
  Defer();
  Set<<<1, 1, 0, streams_[0]>>>(value_, 7);
  ASSERT_EQ(cudaEventRecord(event_, streams_[0]), cudaSuccess);
  Set<<<1, 1, 0, streams_[0]>>>(value_, 8);
  ASSERT_EQ(cudaStreamWaitEvent(streams_[1], event_), cudaSuccess);
  Add<<<1, 1, 0, streams_[1]>>>(value_, step_);
  EXPECT_EQ(cudaEventQuery(event_), cudaErrorNotReady);
  ASSERT_EQ(cudaStreamSynchronize(streams_[1]), cudaSuccess);
  EXPECT_EQ(cudaEventQuery(event_), cudaSuccess);
  EXPECT_EQ(Read(value_), 17) << "what follows the record has not run";
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(Read(value_), 8);
}

TEST_F(SimulatedStreams, WithoutAnEventRunInAnOrderThatDependsOnTheSeed) {
  bool seen[2] = {};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Behaviour behaviour = GetBehaviour();
    behaviour.deferred = true;
    behaviour.launch.seed = seed;
    SetBehaviour(behaviour);
    Set<<<1, 1, 0, streams_[0]>>>(value_, 0);
    Set<<<1, 1, 0, streams_[1]>>>(value_, 1);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    seen[Read(value_)] = true;
  }
  EXPECT_TRUE(seen[0] && seen[1]);
}

TEST_F(SimulatedStreams, CallTheHostInTheirOrder) {
  Defer();
  std::vector<int> calls;
  const auto call = [](void* list) { static_cast<std::vector<int>*>(list)->push_back(1); };
  ASSERT_EQ(cudaLaunchHostFunc(streams_[0], call, &calls), cudaSuccess);
  EXPECT_TRUE(calls.empty());
  ASSERT_EQ(cudaStreamSynchronize(streams_[0]), cudaSuccess);
  EXPECT_EQ(calls.size(), 1u);
}

TEST_F(SimulatedStreams, MeasureTimeBetweenEvents) {
  cudaEvent_t end;
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, event_, end), cudaErrorInvalidResourceHandle) << "never recorded";
  ASSERT_EQ(cudaEventRecord(event_), cudaSuccess);
  Set<<<1, 1>>>(value_, 5);
  ASSERT_EQ(cudaEventRecord(end), cudaSuccess);
  ASSERT_EQ(cudaEventSynchronize(end), cudaSuccess);
  ASSERT_EQ(cudaEventElapsedTime(&milliseconds, event_, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  cudaEventDestroy(end);
}

TEST_F(SimulatedStreams, ThatWereDestroyedAreNotAccepted) {
  cudaStream_t stream;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  Set<<<1, 1, 0, stream>>>(value_, 5);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
}

TEST_F(SimulatedStreams, PassMemoryThatIsFreedInTheirOrder) {
  Defer();
  int* temporary = nullptr;
  ASSERT_EQ(cudaMallocAsync(&temporary, 4, streams_[0]), cudaSuccess);
  Set<<<1, 1, 0, streams_[0]>>>(temporary, 5);
  Add<<<1, 1, 0, streams_[0]>>>(value_, temporary);
  ASSERT_EQ(cudaFreeAsync(temporary, streams_[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(streams_[0]), cudaSuccess);
  EXPECT_EQ(Read(value_), 5);
  Add<<<1, 1, 0, streams_[0]>>>(value_, temporary);
  EXPECT_EQ(cudaStreamSynchronize(streams_[0]), cudaErrorIllegalAddress) << "used after it was freed";
  EXPECT_EQ(TakeReports().size(), 1u);
}

// ---- graphs ----
TEST_F(SimulatedStreams, AreCapturedWithoutRunningAndReplayedWithTheMemoryOfTheMoment) {
  int addend = 1;
  ASSERT_EQ(Begin(), cudaSuccess);
  ASSERT_EQ(cudaMemsetAsync(value_, 0, 4, streams_[0]), cudaSuccess);
  Add<<<1, 1, 0, streams_[0]>>>(value_, step_);
  ASSERT_EQ(cudaMemcpyAsync(value_ + 1, value_, 4, cudaMemcpyDeviceToDevice, streams_[0]), cudaSuccess);
  cudaStreamCaptureStatus status;
  ASSERT_EQ(cudaStreamIsCapturing(streams_[0], &status), cudaSuccess);
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(streams_[0], &graph), cudaSuccess);
  EXPECT_EQ(Read(value_ + 1), 0) << "capturing runs nothing";

  size_t count = 0;
  ASSERT_EQ(cudaGraphGetNodes(graph, nullptr, &count), cudaSuccess);
  ASSERT_EQ(count, 3u);
  cudaGraphNode_t nodes[3];
  ASSERT_EQ(cudaGraphGetNodes(graph, nodes, &count), cudaSuccess);
  cudaGraphNodeType type;
  ASSERT_EQ(cudaGraphNodeGetType(nodes[1], &type), cudaSuccess);
  EXPECT_EQ(type, cudaGraphNodeTypeKernel);

  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
  ASSERT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  for (int replay = 0; replay < 3; ++replay) {
    addend = 100 + replay;
    ASSERT_EQ(cudaMemcpy(step_, &addend, 4, cudaMemcpyHostToDevice), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(executable, streams_[1]), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(streams_[1]), cudaSuccess);
    EXPECT_EQ(Read(value_ + 1), addend);
  }
  ASSERT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(executable, streams_[1]), cudaErrorInvalidResourceHandle);
}

TEST_F(SimulatedStreams, AreCapturedWithTheArgumentsOfTheLaunch) {
  int to = 41;
  ASSERT_EQ(Begin(), cudaSuccess);
  Set<<<1, 1, 0, streams_[0]>>>(value_, to);
  to = 5;
  cudaGraphExec_t executable = EndAndInstantiate();
  ASSERT_EQ(cudaGraphLaunch(executable, streams_[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(streams_[0]), cudaSuccess);
  EXPECT_EQ(Read(value_), 41);
  cudaGraphExecDestroy(executable);
}

TEST_F(SimulatedStreams, JoinACaptureByAnEventAndMustBeJoined) {
  ASSERT_EQ(Begin(), cudaSuccess);
  Set<<<1, 1, 0, streams_[0]>>>(value_, 20);
  ASSERT_EQ(cudaEventRecord(event_, streams_[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(streams_[1], event_), cudaSuccess);
  Add<<<1, 1, 0, streams_[1]>>>(value_, step_);
  cudaEvent_t joined;
  ASSERT_EQ(cudaEventCreate(&joined), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(joined, streams_[1]), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(streams_[0], joined), cudaSuccess);
  cudaGraphExec_t executable = EndAndInstantiate();
  ASSERT_EQ(cudaGraphLaunch(executable, streams_[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(streams_[0]), cudaSuccess);
  EXPECT_EQ(Read(value_), 30);
  cudaGraphExecDestroy(executable);

  ASSERT_EQ(Begin(), cudaSuccess);
  ASSERT_EQ(cudaEventRecord(event_, streams_[0]), cudaSuccess);
  ASSERT_EQ(cudaStreamWaitEvent(streams_[1], event_), cudaSuccess);
  Set<<<1, 1, 0, streams_[1]>>>(value_, 1);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(streams_[0], &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  cudaEventDestroy(joined);
}

TEST_F(SimulatedStreams, RefuseWhatWouldWaitOrAllocateDuringACapture) {
  int value = 0;
  void* pointer = nullptr;
  cudaGraph_t graph = nullptr;
  const auto spoils = [&](cudaError_t refused, cudaError_t expected) {
    EXPECT_EQ(refused, expected);
    EXPECT_EQ(cudaStreamEndCapture(streams_[0], &graph), cudaErrorStreamCaptureInvalidated);
  };
  ASSERT_EQ(Begin(), cudaSuccess);
  spoils(cudaStreamSynchronize(streams_[0]), cudaErrorStreamCaptureUnsupported);
  ASSERT_EQ(Begin(), cudaSuccess);
  spoils(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  ASSERT_EQ(Begin(), cudaSuccess);
  spoils(cudaMalloc(&pointer, 16), cudaErrorStreamCaptureUnsupported);
  ASSERT_EQ(Begin(), cudaSuccess);
  spoils(cudaMemcpy(&value, value_, 4, cudaMemcpyDeviceToHost), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
}

TEST_F(SimulatedStreams, RefuseTheDefaultStreamWhileABlockingStreamIsCaptured) {
  cudaStream_t blocking;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeGlobal), cudaSuccess);
  Set<<<1, 1>>>(value_, 5);
  EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureImplicit) << "a launch that ignored the current stream";
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  cudaStreamDestroy(blocking);
}

}  // namespace
}  // namespace fire::simulator
