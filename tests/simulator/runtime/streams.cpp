// Streams and events. Work runs in its stream's order; across streams only events, the default stream and the calls
// that wait order it.
#include <algorithm>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::CallDespiteFault;
using fire::simulator::Capture;
using fire::simulator::CaptureClock;
using fire::simulator::Event;
using fire::simulator::Recording;
using fire::simulator::Runtime;
using fire::simulator::Stream;

constexpr int kLeastPriority = 0;
constexpr int kGreatestPriority = -5;

Event* FindEvent(Runtime& runtime, cudaEvent_t handle) {
  const auto found = runtime.events.find(reinterpret_cast<Event*>(handle));
  return found == runtime.events.end() ? nullptr : found->second.get();
}

// A call on a capturing stream that cannot be captured spoils the capture.
cudaError_t RefuseIfCapturing(const Stream& stream) {
  if (!stream.capture) return cudaSuccess;
  stream.capture->invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

void Merge(CaptureClock& into, const CaptureClock& from) {
  for (const auto& [stream, seen] : from) into[stream] = std::max(into[stream], seen);
}

cudaError_t Record(Runtime& runtime, Event& event, Stream& stream) {
  if (event.device != stream.device) return cudaErrorInvalidResourceHandle;
  event.capture = stream.capture;
  if (stream.capture) {
    event.clock = stream.capture->clocks[&stream];
    return cudaSuccess;
  }
  event.last = std::make_shared<Recording>();
  event.last->stream = &stream;
  return runtime.Enqueue(stream, {cudaGraphNodeTypeEventRecord, [recording = event.last] {
                                    recording->done = true;
                                    recording->time = std::chrono::steady_clock::now();
                                  }});
}

cudaError_t Wait(Runtime& runtime, Stream& stream, const Event& event) {
  if (Capture* capture = event.capture) {
    if (stream.legacy) {
      capture->invalid = true;
      return cudaErrorStreamCaptureImplicit;
    }
    if (stream.capture && stream.capture != capture) return cudaErrorStreamCaptureIsolation;
    stream.capture = capture;
    Merge(capture->clocks[&stream], event.clock);
    return cudaSuccess;
  }
  if (stream.capture) {
    stream.capture->invalid = true;
    return cudaErrorStreamCaptureIsolation;
  }
  if (event.done()) return cudaSuccess;
  return runtime.Enqueue(
      stream, {cudaGraphNodeTypeWaitEvent, [&runtime, recording = event.last] { runtime.DrainUntil(*recording); }});
}

}  // namespace

extern "C" {

// ---- streams ----
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* handle, unsigned flags, int priority) {
  return Call([&](Runtime& runtime) {
    if (!handle || (flags & ~cudaStreamNonBlocking)) return cudaErrorInvalidValue;
    auto stream = std::make_unique<Stream>();
    stream->device = fire::simulator::current_device;
    stream->flags = flags;
    stream->priority = std::min(kLeastPriority, std::max(kGreatestPriority, priority));
    stream->id = runtime.next_stream_id++;
    *handle = reinterpret_cast<cudaStream_t>(stream.get());
    runtime.streams[stream.get()] = std::move(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* handle, unsigned flags) {
  return cudaStreamCreateWithPriority(handle, flags, kLeastPriority);
}

cudaError_t cudaStreamCreate(cudaStream_t* handle) { return cudaStreamCreateWithFlags(handle, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return CallDespiteFault([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream || stream->legacy) return cudaErrorInvalidResourceHandle;
    const cudaError_t refused = RefuseIfCapturing(*stream);
    if (refused != cudaSuccess) return refused;
    runtime.Drain(*stream);
    runtime.streams.erase(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    const cudaError_t refused = stream->legacy ? runtime.RefuseDuringCapture() : RefuseIfCapturing(*stream);
    if (refused != cudaSuccess) return refused;
    ++runtime.counters.synchronisations;
    runtime.Drain(*stream);
    return runtime.devices[stream->device]->fault;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    const cudaError_t refused = RefuseIfCapturing(*stream);
    if (refused != cudaSuccess) return refused;
    return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    const Event* event = FindEvent(runtime, event_handle);
    return stream && event ? Wait(runtime, *stream, *event) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return Call([&](Runtime& runtime) {
    const Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *priority = stream->priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return Call([&](Runtime& runtime) {
    const Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *flags = stream->flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* id) {
  return Call([&](Runtime& runtime) {
    const Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    *id = stream->id;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return Call([&](Runtime&) {
    if (least) *least = kLeastPriority;
    if (greatest) *greatest = kGreatestPriority;
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return runtime.Enqueue(*stream, {cudaGraphNodeTypeHost, [=] { function(data); }});
  });
}

cudaError_t cudaDeviceSynchronize() {
  return Call([&](Runtime& runtime) {
    const cudaError_t refused = runtime.RefuseDuringCapture();
    if (refused != cudaSuccess) return refused;
    ++runtime.counters.synchronisations;
    runtime.DrainDevice(fire::simulator::current_device);
    return cudaSuccess;
  });
}

// ---- events ----
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned flags) {
  return Call([&](Runtime& runtime) {
    if (!handle) return cudaErrorInvalidValue;
    auto event = std::make_unique<Event>();
    event->device = fire::simulator::current_device;
    event->flags = flags;
    *handle = reinterpret_cast<cudaEvent_t>(event.get());
    runtime.events[event.get()] = std::move(event);
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* handle) { return cudaEventCreateWithFlags(handle, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return CallDespiteFault([&](Runtime& runtime) {
    return runtime.events.erase(reinterpret_cast<Event*>(handle)) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event_handle, cudaStream_t handle, unsigned) {
  return Call([&](Runtime& runtime) {
    Stream* stream = runtime.FindStream(handle);
    Event* event = FindEvent(runtime, event_handle);
    return stream && event ? Record(runtime, *event, *stream) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return Call([&](Runtime& runtime) {
    const Event* event = FindEvent(runtime, handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    if (event->capture) return cudaErrorCapturedEvent;
    ++runtime.counters.synchronisations;
    if (event->last) runtime.DrainUntil(*event->last);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return Call([&](Runtime& runtime) {
    const Event* event = FindEvent(runtime, handle);
    if (!event) return cudaErrorInvalidResourceHandle;
    if (event->capture) return cudaErrorCapturedEvent;
    return event->done() ? cudaSuccess : cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  return Call([&](Runtime& runtime) {
    const Event* start = FindEvent(runtime, start_handle);
    const Event* end = FindEvent(runtime, end_handle);
    if (!start || !end || !start->last || !end->last) return cudaErrorInvalidResourceHandle;
    if ((start->flags | end->flags) & cudaEventDisableTiming) return cudaErrorInvalidResourceHandle;
    if (!start->done() || !end->done()) return cudaErrorNotReady;
    *milliseconds = std::chrono::duration<float, std::milli>(end->last->time - start->last->time).count();
    return cudaSuccess;
  });
}

}  // extern "C"
