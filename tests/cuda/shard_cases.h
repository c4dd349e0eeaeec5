// What a test of shards on a device is about: rows, how their vocabulary is split, and where the shards lie in memory.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/cpp/shard_ranks.h"
#include "tests/cuda/device_batch.h"

namespace fire::test {

inline constexpr int kUntouchedByte = 0xA5;

// A value a row, any stride apart.
template <typename T>
DeviceArray<T> Spread(const std::vector<T>& values, size_t stride) {
  std::vector<T> all((values.size() - 1) * stride + 1);
  for (size_t i = 0; i < values.size(); ++i) all[i * stride] = values[i];
  return DeviceArray<T>(all);
}

// A matrix of elements on the device, whose rows may be misaligned and apart.
class DeviceMatrix {
 public:
  DeviceMatrix(Random& random, size_t rows, size_t columns, size_t element)
      : rows_(rows),
        columns_(columns),
        element_(element),
        before_(random.Below(2) * random.Below(9)),
        stride_(columns + random.Below(2) * random.Below(20)),
        memory_((before_ + (rows - 1) * stride_ + columns) * element) {
    memory_.Fill(kUntouchedByte);
  }

  void* data() const { return memory_.at(before_ * element_); }
  int64_t stride() const { return static_cast<int64_t>(stride_); }
  void WriteRow(size_t row, const void* from) { memory_.Write(OffsetOf(row), from, columns_ * element_); }
  std::vector<unsigned char> ReadRow(size_t row) const {
    std::vector<unsigned char> bytes(columns_ * element_);
    memory_.Read(OffsetOf(row), bytes.data(), bytes.size());
    return bytes;
  }
  // Whether nothing was written beside its rows.
  bool IsUntouchedAround() const {
    std::vector<unsigned char> all(memory_.bytes());
    memory_.Read(0, all.data(), all.size());
    for (size_t row = 0; row < rows_; ++row)
      std::fill_n(all.begin() + static_cast<std::ptrdiff_t>(OffsetOf(row)), columns_ * element_, kUntouchedByte);
    return std::all_of(all.begin(), all.end(), [](unsigned char byte) { return byte == kUntouchedByte; });
  }

 private:
  size_t OffsetOf(size_t row) const { return (before_ + row * stride_) * element_; }

  size_t rows_, columns_, element_, before_, stride_;
  DeviceMemory memory_;
};

// Rows of one vocabulary and one split.
struct ShardCases {
  LogitsType type = LogitsType::kFloat32;
  std::vector<uint32_t> sizes;  // of the shards
  std::vector<RowCase> rows;
  std::vector<int64_t> asked;  // tokens whose log-probabilities are wanted
  uint32_t count = 8;          // entries that each rank tells
};

}  // namespace fire::test
