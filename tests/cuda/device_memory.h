// Memory of the current device for the length of a scope, of exactly the size asked for, so that a check of bounds
// finds the first byte too far.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace fire::test {

inline void ThrowOnError(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

class DeviceMemory {
 public:
  DeviceMemory() = default;
  // Not written: a kernel that reads what no test wrote is found out.
  explicit DeviceMemory(size_t bytes) : bytes_(bytes) {
    if (bytes != 0) ThrowOnError(cudaMalloc(&data_, bytes), "cudaMalloc");
  }
  DeviceMemory(DeviceMemory&& other) noexcept : data_(other.data_), bytes_(other.bytes_) { other.data_ = nullptr; }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory() { cudaFree(data_); }

  std::byte* at(size_t offset) const { return static_cast<std::byte*>(data_) + offset; }
  size_t bytes() const { return bytes_; }

  void Fill(int byte) {
    if (bytes_ != 0) ThrowOnError(cudaMemset(data_, byte, bytes_), "cudaMemset");
  }
  void Write(size_t offset, const void* from, size_t bytes) {
    if (bytes != 0) ThrowOnError(cudaMemcpy(at(offset), from, bytes, cudaMemcpyHostToDevice), "copy to the device");
  }
  void Read(size_t offset, void* to, size_t bytes) const {
    if (bytes != 0) ThrowOnError(cudaMemcpy(to, at(offset), bytes, cudaMemcpyDeviceToHost), "copy from the device");
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// As many values as asked for, and nothing around them.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : memory_(count * sizeof(T)), count_(count) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    memory_.Write(0, values.data(), values.size() * sizeof(T));
  }

  T* get() const { return reinterpret_cast<T*>(memory_.at(0)); }
  void Fill(int byte) { memory_.Fill(byte); }
  std::vector<T> Read() const {
    std::vector<T> values(count_);
    memory_.Read(0, values.data(), count_ * sizeof(T));
    return values;
  }

 private:
  DeviceMemory memory_;
  size_t count_;
};

// As many values as asked for, with `guard` unused places on each side, which hold a pattern.
template <typename T>
class GuardedArray {
 public:
  explicit GuardedArray(size_t count, size_t guard = 5) : array_(count + 2 * guard), count_(count), guard_(guard) {
    if (guard != 0) array_.Fill(kByte);
  }

  T* get() const { return array_.get() + guard_; }
  std::vector<T> Read() const {
    const std::vector<T> all = array_.Read();
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(guard_);
    return {first, first + static_cast<std::ptrdiff_t>(count_)};
  }
  // Whether nothing was written around the values.
  bool IsWhole() const {
    if (guard_ == 0) return true;
    const std::vector<T> all = array_.Read();
    T untouched;
    std::memset(&untouched, kByte, sizeof untouched);
    for (size_t i = 0; i < all.size(); ++i)
      if ((i < guard_ || i >= guard_ + count_) && std::memcmp(&all[i], &untouched, sizeof(T)) != 0) return false;
    return true;
  }

 private:
  static constexpr int kByte = 0xA5;

  DeviceArray<T> array_;
  size_t count_, guard_;
};

}  // namespace fire::test
