// Memory of the current device, and CUDA's errors as exceptions.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace fire::gpu {

inline void Check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

// Device memory for the length of a scope; at first every byte is 0xEE, so that what nobody wrote shows.
template <typename T>
class Memory {
 public:
  explicit Memory(size_t count) : count_(count) {
    if (count == 0) return;
    Check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "cudaMalloc");
    Fill(0xEE);
  }
  explicit Memory(const std::vector<T>& values) : Memory(values.size()) { Write(values); }
  ~Memory() { cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  T* get() const { return data_; }
  size_t count() const { return count_; }

  void Fill(int byte) {
    if (count_ > 0) Check(cudaMemset(data_, byte, count_ * sizeof(T)), "cudaMemset");
  }
  void Write(const std::vector<T>& values) {
    if (values.empty()) return;
    Check(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
          "cudaMemcpy to the device");
  }
  std::vector<T> Read() const { return Read(0, count_); }
  std::vector<T> Read(size_t first, size_t count) const {
    std::vector<T> values(count);
    if (count == 0) return values;
    Check(cudaMemcpy(values.data(), data_ + first, count * sizeof(T), cudaMemcpyDeviceToHost),
          "cudaMemcpy to the host");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

}  // namespace fire::gpu
