// What the parts of the stand-in for libcudart share: the process's devices, their streams and memory, the kernels and
// variables that programs registered. The functions of the CUDA API are in runtime/, by theme.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/simulator/decoder/fatbinary.h"
#include "tests/simulator/machine/arena.h"
#include "tests/simulator/simulator.h"

namespace fire::simulator {

// ---- what programs register ----
struct Binary {
  std::vector<PtxImage> images;
};

struct Kernel {
  Binary* binary = nullptr;
  std::string name;  // in PTX
};

struct Symbol {
  Binary* binary = nullptr;
  std::string name;
};

// ---- work ----
// One piece of work, in a stream's queue or in a graph. It throws nothing: a fault is left with its device.
struct Operation {
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  std::function<void()> run;
};

struct Capture;

struct Stream {
  int device = 0;
  unsigned flags = cudaStreamDefault;
  int priority = 0;
  uint64_t id = 0;
  bool legacy = false;  // the default stream, which waits for the blocking ones and they for it
  std::deque<Operation> queue;
  Capture* capture = nullptr;

  bool blocking() const { return !legacy && !(flags & cudaStreamNonBlocking); }
};

// What one stream of a capture has seen of each: how many nodes.
using CaptureClock = std::map<const Stream*, int>;

struct Recording {
  Stream* stream = nullptr;
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

struct Event {
  int device = 0;
  unsigned flags = cudaEventDefault;
  std::shared_ptr<Recording> last;  // null before the first
  Capture* capture = nullptr;       // of the last record, if it was captured
  CaptureClock clock;

  bool done() const { return !last || last->done; }
};

struct GraphNode {
  Operation operation;
};

struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;  // in the order of capture, which is one the dependencies allow
};

struct GraphExec {
  int device = 0;
  std::vector<Operation> operations;
};

struct Capture {
  Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();
  std::map<Stream*, CaptureClock> clocks;
};

// ---- devices ----
struct KernelAttributes {
  int max_dynamic_shared = -1;  // −1: not set, what the device gives without opting in
  bool non_portable_cluster = false;
  int carveout = -1;
};

struct Device {
  Device(int ordinal, const DeviceDescription& description);

  const int ordinal;
  const DeviceDescription description;
  Arena arena;
  MemoryMap memory;
  cudaError_t fault = cudaSuccess;  // sticky: the device answers nothing else until it is reset
  Stream legacy;
  std::map<const Binary*, std::unique_ptr<Module>> modules;
  std::map<const Kernel*, KernelAttributes> attributes;
};

struct HostRange {
  size_t bytes = 0;
  std::string name;
  bool page_locked = false;  // known to the CUDA runtime; otherwise a tensor's storage, which stands for device memory
};

class Runtime {
 public:
  static Runtime& Get();

  std::recursive_mutex mutex;
  Behaviour behaviour;
  Counters counters;
  std::vector<Report> reports;
  std::vector<LaunchWork> work;

  std::deque<Binary> binaries;
  std::map<const void*, Kernel> kernels;  // by the host's stub
  std::map<const void*, Symbol> symbols;  // by the host's shadow of the variable

  std::array<std::unique_ptr<Device>, kDevices> devices;
  std::map<Stream*, std::unique_ptr<Stream>> streams;
  std::map<Event*, std::unique_ptr<Event>> events;
  std::set<Graph*> graphs;
  std::set<GraphExec*> executables;
  std::set<Capture*> captures;
  std::map<uintptr_t, HostRange> host_memory;  // by begin
  Arena page_locked{size_t{1} << 36, Arena::Access::kHost};
  uint64_t next_stream_id = 1;
  std::mt19937_64 turns;  // of streams whose work is deferred

  Device& Current() const;
  void ResetDevice(int ordinal, const DeviceDescription& description);

  // Null for a handle that is none, or of a stream that was destroyed.
  Stream* FindStream(cudaStream_t handle);
  const HostRange* FindHost(const void* pointer) const;
  const Kernel* FindKernel(const void* function) const;  // the host's stub or a cudaKernel_t

  // The module of a binary on a device, parsed when it is first asked for.
  cudaError_t Load(Device& device, const Binary& binary, const Module** module);

  // A launch's findings: printed, kept for TakeReports, and a fault of the device.
  void Leave(Device& device, const std::vector<Report>& reports);

  // Appends the work to the stream, or to the graph it is captured into.
  cudaError_t Enqueue(Stream& stream, Operation operation);
  void Drain(Stream& stream);
  void DrainDevice(int ordinal);
  void DrainUntil(const Recording& recording);

  // For calls a capture forbids: refuses, and spoils the captures it would have broken.
  cudaError_t RefuseDuringCapture();
  cudaError_t RefuseImplicitSynchronisation(const Stream& legacy);

 private:
  Runtime();
  void RunFront(Stream& stream);
};

extern thread_local int current_device;
extern thread_local cudaError_t last_error;

cudaError_t Remember(cudaError_t error);

// The body of an API function: one at a time, refused on a device that a fault has poisoned, its error remembered.
template <class Body>
cudaError_t Call(const Body& body) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  const cudaError_t before = runtime.Current().fault;
  if (before != cudaSuccess) return Remember(before);
  const cudaError_t error = body(runtime);
  const cudaError_t after = runtime.Current().fault;
  return Remember(error == cudaSuccess ? after : error);
}

// For functions that a poisoned device still answers.
template <class Body>
cudaError_t CallDespiteFault(const Body& body) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  return Remember(body(runtime));
}

}  // namespace fire::simulator
