// Capture of a stream's work into a graph, and replay. A graph keeps what a launch copied: its arguments' values.
#include <algorithm>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::CallDespiteFault;
using fire::simulator::Capture;
using fire::simulator::Graph;
using fire::simulator::GraphExec;
using fire::simulator::GraphNode;
using fire::simulator::Operation;
using fire::simulator::Runtime;
using fire::simulator::Stream;

Graph* FindGraph(Runtime& runtime, cudaGraph_t handle) {
  const auto found = runtime.graphs.find(reinterpret_cast<Graph*>(handle));
  return found == runtime.graphs.end() ? nullptr : *found;
}

GraphExec* FindExecutable(Runtime& runtime, cudaGraphExec_t handle) {
  const auto found = runtime.executables.find(reinterpret_cast<GraphExec*>(handle));
  return found == runtime.executables.end() ? nullptr : *found;
}

// Every stream that joined must have been waited for: the origin has seen all of its nodes.
bool Joined(Capture& capture) {
  auto& seen = capture.clocks[capture.origin];
  return std::all_of(capture.clocks.begin(), capture.clocks.end(), [&](auto& entry) {
    const auto& [stream, clock] = entry;
    const auto own = clock.find(stream);
    return own == clock.end() || seen[stream] == own->second;
  });
}

cudaError_t EndCapture(Runtime& runtime, Stream& stream, cudaGraph_t* graph) {
  Capture* capture = stream.capture;
  if (!capture) return cudaErrorIllegalState;
  if (capture->origin != &stream) return cudaErrorStreamCaptureUnmatched;
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id()) {
    return cudaErrorStreamCaptureWrongThread;
  }
  const std::unique_ptr<Capture> owned(capture);
  const cudaError_t error = capture->invalid   ? cudaErrorStreamCaptureInvalidated
                            : Joined(*capture) ? cudaSuccess
                                               : cudaErrorStreamCaptureUnjoined;
  runtime.captures.erase(capture);
  stream.capture = nullptr;
  for (auto& [handle, other] : runtime.streams) {
    if (other->capture == capture) other->capture = nullptr;
  }
  for (auto& [handle, event] : runtime.events) {
    if (event->capture == capture) event->capture = nullptr;
  }
  *graph = nullptr;
  if (error != cudaSuccess) return error;
  *graph = reinterpret_cast<cudaGraph_t>(*runtime.graphs.insert(capture->graph.release()).first);
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->legacy) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture) return cudaErrorIllegalState;
    stream->capture = *runtime.captures.insert(new Capture).first;
    stream->capture->origin = stream;
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->capture->clocks[stream];
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    return stream ? EndCapture(runtime, *stream, graph) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (stream->legacy) {
      *status = cudaStreamCaptureStatusNone;
      return runtime.RefuseImplicitSynchronisation(*stream);
    }
    *status = !stream->capture           ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, size_t* count) {
  return Call([&](Runtime& runtime) {
    const Graph* graph = FindGraph(runtime, handle);
    if (!graph || !count) return cudaErrorInvalidValue;
    if (nodes) {
      const size_t room = std::min(*count, graph->nodes.size());
      for (size_t i = 0; i < room; ++i) nodes[i] = reinterpret_cast<cudaGraphNode_t>(graph->nodes[i].get());
    }
    *count = graph->nodes.size();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return Call([&](Runtime& runtime) {
    for (const Graph* graph : runtime.graphs) {
      for (const auto& owned : graph->nodes) {
        if (owned.get() != reinterpret_cast<GraphNode*>(node)) continue;
        *type = owned->operation.type;
        return cudaSuccess;
      }
    }
    return cudaErrorInvalidValue;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t handle, unsigned long long) {
  return Call([&](Runtime& runtime) {
    const Graph* graph = FindGraph(runtime, handle);
    if (!graph || !executable) return cudaErrorInvalidValue;
    auto built = std::make_unique<GraphExec>();
    built->device = fire::simulator::current_device;
    for (const auto& node : graph->nodes) built->operations.push_back(node->operation);
    *executable = reinterpret_cast<cudaGraphExec_t>(*runtime.executables.insert(built.release()).first);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(executable, graph, flags);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    const GraphExec* graph = FindExecutable(runtime, executable);
    if (!stream || !graph || graph->device != stream->device) return cudaErrorInvalidResourceHandle;
    for (const Operation& operation : graph->operations) {
      const cudaError_t error = runtime.Enqueue(*stream, operation);
      if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    return FindExecutable(runtime, executable) && runtime.FindStream(stream) ? cudaSuccess
                                                                             : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return CallDespiteFault([&](Runtime& runtime) {
    const std::unique_ptr<GraphExec> executable(FindExecutable(runtime, handle));
    return runtime.executables.erase(executable.get()) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  return CallDespiteFault([&](Runtime& runtime) {
    const std::unique_ptr<Graph> graph(FindGraph(runtime, handle));
    return runtime.graphs.erase(graph.get()) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

}  // extern "C"
