// Lets the operators' CUDA glue, csrc/torch/cuda.cpp, run without a GPU: its calls of the functions of torch below come
// here (linker option --wrap). They register its kernels for CPU tensors, give it a stream of the simulated device that
// these are said to lie on, and let the kernels touch of the host's memory what the tensors of the call cover, no byte
// more, while the call lasts.
#include <cuda_runtime_api.h>
#include <torch/csrc/stable/c/shim.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/simulator/simulator.h"

namespace {

using fire::simulator::Counters;
using fire::simulator::GetCounters;

// One call of an operator, as long as its device guard lives. Tests make one call at a time. Torch's guard is of
// another runtime than the kernels: which device is current in theirs it leaves alone.
class Call {
 public:
  Call() : before_(GetCounters()) {
    int current_device = 0;
    cudaGetDevice(&current_device);
    cudaSetDevice(device);
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
    cudaSetDevice(current_device);
    current = this;
  }

  ~Call() {
    const Counters after = GetCounters();
    launches += after.launches - before_.launches;
    waits += after.synchronisations - before_.synchronisations;
    allocations += after.allocations - before_.allocations;
    // Where launches are deferred, whoever reads a CUDA tensor waits for it; a CPU tensor is read at once.
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    for (const Range& range : ranges_) fire::simulator::UnregisterMemory(range.begin);
    current = nullptr;
  }

  cudaStream_t stream() const { return stream_; }

  void Lend(AtenTensorHandle tensor, const void* data) {
    Range range = Covered(tensor, static_cast<const char*>(data));
    if (range.begin == range.end) return;
    // Tensors may be views of one memory.
    for (size_t i = ranges_.size(); i-- > 0;) {
      if (ranges_[i].end <= range.begin || range.end <= ranges_[i].begin) continue;
      range.begin = std::min(range.begin, ranges_[i].begin);
      range.end = std::max(range.end, ranges_[i].end);
      fire::simulator::UnregisterMemory(ranges_[i].begin);
      ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    fire::simulator::RegisterMemory(range.begin, static_cast<size_t>(range.end - range.begin), "a tensor's elements");
    ranges_.push_back(range);
  }

  static thread_local Call* current;
  // Of all calls since they were last asked for.
  static uint64_t launches, waits, allocations;
  // Bytes at the end of each tensor that kernels may not touch; a test of the check asks for some.
  static uint64_t withheld;
  // That the tensors of the next call lie on.
  static int device;

 private:
  struct Range {
    const char* begin;
    const char* end;
  };

  // From the first to the last element of a tensor without negative strides, which torch does not have.
  static Range Covered(AtenTensorHandle tensor, const char* data) {
    int64_t dim, numel;
    int64_t *sizes, *strides;
    int32_t dtype;
    aoti_torch_get_dim(tensor, &dim);
    aoti_torch_get_numel(tensor, &numel);
    aoti_torch_get_sizes(tensor, &sizes);
    aoti_torch_get_strides(tensor, &strides);
    aoti_torch_get_dtype(tensor, &dtype);
    if (numel == 0) return {data, data};
    int64_t last = 0;
    for (int64_t i = 0; i < dim; ++i) last += (sizes[i] - 1) * strides[i];
    const int64_t bytes = (last + 1) * static_cast<int64_t>(aoti_torch_dtype_element_size(dtype));
    return {data, data + bytes - withheld};
  }

  Counters before_;
  cudaStream_t stream_ = nullptr;
  std::vector<Range> ranges_;
};

thread_local Call* Call::current = nullptr;
uint64_t Call::launches = 0;
uint64_t Call::waits = 0;
uint64_t Call::allocations = 0;
uint64_t Call::withheld = 0;
int Call::device = 0;

}  // namespace

extern "C" {

AOTITorchError __real_aoti_torch_library_init_impl(const char* ns, const char* key, const char* file, uint32_t line,
                                                   TorchLibraryHandle* library);
AOTITorchError __real_aoti_torch_get_device_index(AtenTensorHandle tensor, int32_t* index);
AOTITorchError __real_aoti_torch_empty_strided(int64_t dim, const int64_t* sizes, const int64_t* strides, int32_t dtype,
                                               int32_t device_type, int32_t device_index, AtenTensorHandle* tensor);
AOTITorchError __real_torch_get_const_data_ptr(AtenTensorHandle tensor, const void** data);
AOTITorchError __real_torch_get_mutable_data_ptr(AtenTensorHandle tensor, void** data);

AOTITorchError __wrap_aoti_torch_library_init_impl(const char* ns, const char* key, const char* file, uint32_t line,
                                                   TorchLibraryHandle* library) {
  if (std::strcmp(key, "CUDA") != 0) return AOTI_TORCH_FAILURE;
  return __real_aoti_torch_library_init_impl(ns, "CPU", file, line, library);
}

AOTITorchError __wrap_aoti_torch_create_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = reinterpret_cast<DeviceGuardHandle>(new Call);
  return AOTI_TORCH_SUCCESS;
}

AOTITorchError __wrap_aoti_torch_delete_device_guard(DeviceGuardHandle guard) {
  delete reinterpret_cast<Call*>(guard);
  return AOTI_TORCH_SUCCESS;
}

AOTITorchError __wrap_aoti_torch_get_current_cuda_stream(int32_t device, void** stream) {
  if (Call::current == nullptr || device != Call::device) return AOTI_TORCH_FAILURE;
  *stream = Call::current->stream();
  return AOTI_TORCH_SUCCESS;
}

AOTITorchError __wrap_aoti_torch_get_device_index(AtenTensorHandle tensor, int32_t* index) {
  const AOTITorchError error = __real_aoti_torch_get_device_index(tensor, index);
  if (error == AOTI_TORCH_SUCCESS && Call::current != nullptr) *index = Call::device;
  return error;
}

AOTITorchError __wrap_aoti_torch_empty_strided(int64_t dim, const int64_t* sizes, const int64_t* strides, int32_t dtype,
                                               int32_t device_type, int32_t, AtenTensorHandle* tensor) {
  return __real_aoti_torch_empty_strided(dim, sizes, strides, dtype, device_type, -1, tensor);
}

AOTITorchError __wrap_torch_get_const_data_ptr(AtenTensorHandle tensor, const void** data) {
  const AOTITorchError error = __real_torch_get_const_data_ptr(tensor, data);
  if (error == AOTI_TORCH_SUCCESS && Call::current != nullptr) Call::current->Lend(tensor, *data);
  return error;
}

AOTITorchError __wrap_torch_get_mutable_data_ptr(AtenTensorHandle tensor, void** data) {
  const AOTITorchError error = __real_torch_get_mutable_data_ptr(tensor, data);
  if (error == AOTI_TORCH_SUCCESS && Call::current != nullptr) Call::current->Lend(tensor, *data);
  return error;
}

// ---- what tests/python asks, through ctypes ----

// Launches, waits for the device and allocations of all calls since the last time, in that order.
__attribute__((visibility("default"))) void fire_simulated_counts(uint64_t counts[3]) {
  counts[0] = Call::launches;
  counts[1] = Call::waits;
  counts[2] = Call::allocations;
  Call::launches = Call::waits = Call::allocations = 0;
}

__attribute__((visibility("default"))) void fire_simulated_withhold(uint64_t bytes) { Call::withheld = bytes; }

__attribute__((visibility("default"))) void fire_simulated_place(int device) { Call::device = device; }

// What the checks found since the last time, a line each; empty: nothing. Valid until the next call. A device that a
// fault has poisoned works again afterwards.
__attribute__((visibility("default"))) const char* fire_simulated_reports() {
  static std::string text;
  text.clear();
  for (const fire::simulator::Report& report : fire::simulator::TakeReports()) text += report.Text() + "\n";
  if (!text.empty()) fire::simulator::Reset();
  return text.c_str();
}

}  // extern "C"
