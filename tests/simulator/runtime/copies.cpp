// Copies and fills. Memory counts as initialised once it was copied or filled; a copy of memory that nobody wrote is
// not.
#include <cstring>

#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::HostRange;
using fire::simulator::MemoryMap;
using fire::simulator::OpenArena;
using fire::simulator::Operation;
using fire::simulator::Runtime;
using fire::simulator::Stream;

// `rows` rows of `bytes` bytes; a row of a plain copy is all of it.
struct Copy {
  char* to = nullptr;
  size_t to_pitch = 0;
  const char* from = nullptr;
  size_t from_pitch = 0;
  size_t bytes = 0, rows = 1;

  size_t to_extent() const { return (rows - 1) * to_pitch + bytes; }
  size_t from_extent() const { return (rows - 1) * from_pitch + bytes; }
};

struct Fill {
  char* to = nullptr;
  size_t pitch = 0;
  int value = 0;
  size_t bytes = 0, rows = 1;

  size_t extent() const { return (rows - 1) * pitch + bytes; }
};

bool OnSomeDevice(const Runtime& runtime, const void* begin, size_t bytes) {
  for (const auto& device : runtime.devices) {
    if (device->memory.Contains(begin, bytes)) return true;
  }
  return false;
}

bool InSomeArena(const Runtime& runtime, const void* begin) {
  for (const auto& device : runtime.devices) {
    if (device->arena.Reserves(begin)) return true;
  }
  return false;
}

// What the caller says of a pointer must be true of all the bytes it names.
bool Placed(const Runtime& runtime, const void* begin, size_t bytes, bool said_device, bool guess) {
  if (!begin) return false;
  const bool device = guess ? InSomeArena(runtime, begin) || OnSomeDevice(runtime, begin, 1) : said_device;
  return device ? OnSomeDevice(runtime, begin, bytes) : !InSomeArena(runtime, begin);
}

cudaError_t Check(const Runtime& runtime, const Copy& copy, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  const bool guess = kind == cudaMemcpyDefault;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (copy.to_pitch < copy.bytes || copy.from_pitch < copy.bytes) return cudaErrorInvalidPitchValue;
  if (!Placed(runtime, copy.to, copy.to_extent(), to_device, guess)) return cudaErrorInvalidValue;
  if (!Placed(runtime, copy.from, copy.from_extent(), from_device, guess)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

// Which of the bytes somebody wrote goes along with them.
void CopyInitialised(const MemoryMap& source, MemoryMap& target, const char* from, char* to, size_t bytes) {
  const MemoryMap::Range* read = source.Find(reinterpret_cast<uint64_t>(from));
  MemoryMap::Range* written = target.Find(reinterpret_cast<uint64_t>(to));
  if (!written || !written->written) return;
  uint8_t* marks = written->written.get() + (reinterpret_cast<uint64_t>(to) - written->begin);
  if (read && read->written) {
    std::memmove(marks, read->written.get() + (reinterpret_cast<uint64_t>(from) - read->begin), bytes);
  } else {
    target.MarkInitialised(to, bytes);
  }
}

void Run(Runtime& runtime, const Copy& copy) {
  const OpenArena open_first(runtime.devices[0]->arena), open_second(runtime.devices[1]->arena);
  ++runtime.counters.copies;
  for (size_t row = 0; row < copy.rows; ++row) {
    char* to = copy.to + row * copy.to_pitch;
    const char* from = copy.from + row * copy.from_pitch;
    std::memmove(to, from, copy.bytes);
    const MemoryMap* source = &runtime.devices[0]->memory;
    if (!source->Contains(from, copy.bytes)) source = &runtime.devices[1]->memory;
    for (auto& device : runtime.devices) CopyInitialised(*source, device->memory, from, to, copy.bytes);
  }
}

void Run(Runtime& runtime, const Fill& fill) {
  const OpenArena open_first(runtime.devices[0]->arena), open_second(runtime.devices[1]->arena);
  ++runtime.counters.copies;
  for (size_t row = 0; row < fill.rows; ++row) {
    char* to = fill.to + row * fill.pitch;
    std::memset(to, fill.value, fill.bytes);
    for (auto& device : runtime.devices) device->memory.MarkInitialised(to, fill.bytes);
  }
}

bool Pageable(const Runtime& runtime, const void* pointer) { return !OnSomeDevice(runtime, pointer, 1); }

// The runtime reads pageable memory before it returns, and waits where the copy writes to such memory; page-locked
// memory is read and written when the stream comes to it.
cudaError_t EnqueueCopy(Runtime& runtime, Stream& stream, Copy copy) {
  const bool waits = Pageable(runtime, copy.to) && !stream.capture;
  std::shared_ptr<std::vector<char>> staged;
  if (runtime.behaviour.deferred && Pageable(runtime, copy.from) && !stream.capture) {
    staged = std::make_shared<std::vector<char>>(copy.from, copy.from + copy.from_extent());
    copy.from = staged->data();
  }
  const cudaError_t error =
      runtime.Enqueue(stream, {cudaGraphNodeTypeMemcpy, [&runtime, copy, staged] { Run(runtime, copy); }});
  if (error == cudaSuccess && waits) runtime.Drain(stream);
  return error;
}

cudaError_t CopyOn(Runtime& runtime, cudaStream_t handle, const Copy& copy, cudaMemcpyKind kind, bool wait) {
  Stream* stream = runtime.FindStream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (copy.bytes == 0 || copy.rows == 0) return cudaSuccess;
  cudaError_t error = wait ? runtime.RefuseDuringCapture() : cudaSuccess;
  if (error == cudaSuccess) error = Check(runtime, copy, kind);
  if (error == cudaSuccess) error = EnqueueCopy(runtime, *stream, copy);
  if (error != cudaSuccess || !wait) return error;
  if (kind != cudaMemcpyDeviceToDevice) ++runtime.counters.synchronisations;
  runtime.Drain(*stream);
  return cudaSuccess;
}

cudaError_t FillOn(Runtime& runtime, cudaStream_t handle, const Fill& fill) {
  Stream* stream = runtime.FindStream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (fill.bytes == 0 || fill.rows == 0) return cudaSuccess;
  if (fill.pitch < fill.bytes) return cudaErrorInvalidPitchValue;
  if (!OnSomeDevice(runtime, fill.to, fill.extent())) return cudaErrorInvalidValue;
  return runtime.Enqueue(*stream, {cudaGraphNodeTypeMemset, [&runtime, fill] { Run(runtime, fill); }});
}

Copy Plain(void* to, const void* from, size_t bytes) {
  return {static_cast<char*>(to), bytes, static_cast<const char*>(from), bytes, bytes, 1};
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return Call([&](Runtime& runtime) { return CopyOn(runtime, nullptr, Plain(to, from, bytes), kind, true); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return Call([&](Runtime& runtime) { return CopyOn(runtime, stream, Plain(to, from, bytes), kind, false); });
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
  return Call([&](Runtime& runtime) {
    const Copy copy{static_cast<char*>(to), to_pitch, static_cast<const char*>(from), from_pitch, width, height};
    return CopyOn(runtime, nullptr, copy, kind, true);
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    const Copy copy{static_cast<char*>(to), to_pitch, static_cast<const char*>(from), from_pitch, width, height};
    return CopyOn(runtime, stream, copy, kind, false);
  });
}

cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    return FillOn(runtime, stream, {static_cast<char*>(to), pitch, value, width, height});
  });
}

cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return cudaMemset2DAsync(to, pitch, value, width, height, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return cudaMemset2DAsync(to, bytes, value, bytes, 1, stream);
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }

}  // extern "C"
