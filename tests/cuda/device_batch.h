// Rows of a test on the device: of any type, at any base alignment and row stride, with their steps, slots and records.
#pragma once

#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "definition/batch.h"
#include "tests/cpp/cpu_backend_rows.h"
#include "tests/cuda/device_memory.h"

namespace fire::test {

struct RowCase {
  std::vector<float> logits;
  Record record = PlainRecord();
  int64_t step = 0;
  std::string name;  // what to call it when it fails
};

inline const char* NameOf(LogitsType type) {
  return type == LogitsType::kFloat32 ? "float32" : type == LogitsType::kBFloat16 ? "bfloat16" : "float16";
}

// Where a batch's parts lie in memory; nothing of it may change a result.
struct Layout {
  size_t misaligned_by = 0;     // bytes from a 256-byte boundary to the first logit; whole elements
  int64_t padding = 0;          // elements between rows
  bool padding_is_nan = false;  // else nobody writes it
  bool step_is_int64 = true;    // else the steps must fit int32
  int64_t step_stride = 1;
  bool slots = false;                // records in reverse order, with strangers between, found by slot
  size_t records_misaligned_by = 0;  // bytes, a multiple of 4

  std::string Text() const {
    return "logits misaligned by " + std::to_string(misaligned_by) + " bytes, padding " + std::to_string(padding) +
           (padding_is_nan ? " (NaN)" : "") + ", " + (step_is_int64 ? "int64" : "int32") + " steps " +
           std::to_string(step_stride) + " apart, " + (slots ? "slots" : "no slots") + ", records misaligned by " +
           std::to_string(records_misaligned_by);
  }
};

inline bool StepsFitInt32(const std::vector<RowCase>& cases) {
  for (const RowCase& row : cases)
    if (row.step != static_cast<int32_t>(row.step)) return false;
  return true;
}

inline Layout RandomLayout(Random& random, LogitsType type, const std::vector<RowCase>& cases) {
  Layout layout;
  if (random.Below(2) == 0) layout.misaligned_by = random.Below(20) * definition::BytesOf(type);
  if (random.Below(2) == 0) layout.padding = random.Below(19);
  layout.padding_is_nan = random.Below(2) == 0;
  layout.step_is_int64 = random.Below(2) == 0 || !StepsFitInt32(cases);
  layout.step_stride = 1 + random.Below(2);
  layout.slots = random.Below(3) == 0;
  layout.records_misaligned_by = 4 * random.Below(4);
  return layout;
}

class DeviceBatch {
 public:
  // All cases must have as many logits.
  DeviceBatch(const std::vector<RowCase>& cases, LogitsType type, const Layout& layout) : layout_(layout) {
    const size_t element = definition::BytesOf(type), rows = cases.size();
    const size_t vocabulary = cases[0].logits.size(), stride = vocabulary + static_cast<size_t>(layout.padding);
    logits_ = DeviceMemory(layout.misaligned_by + ((rows - 1) * stride + vocabulary) * element);
    if (layout.padding_is_nan) logits_.Fill(0xFF);
    for (const RowCase& row : cases) {
      rows_.emplace_back(row.logits, type);
      logits_.Write(OffsetOf(rows_.size() - 1, stride, element), rows_.back().data(), rows_.back().bytes());
    }
    batch_.logits = logits_.at(layout.misaligned_by);
    batch_.logits_type = type;
    batch_.rows = static_cast<int64_t>(rows);
    batch_.vocabulary = static_cast<int64_t>(vocabulary);
    batch_.row_stride = static_cast<int64_t>(stride);
    PutSteps(cases);
    PutRecords(cases);
  }

  const Batch& batch() const { return batch_; }
  const Layout& layout() const { return layout_; }
  const std::vector<TypedRow>& rows() const { return rows_; }
  size_t size() const { return rows_.size(); }
  // For heat_logits_, and to see that nothing else writes.
  float* writable_logits() const { return reinterpret_cast<float*>(logits_.at(layout_.misaligned_by)); }
  std::vector<float> ReadFloatRow(size_t row) const {
    std::vector<float> values(rows_[row].size());
    logits_.Read(OffsetOf(row, static_cast<size_t>(batch_.row_stride), 4), values.data(), values.size() * 4);
    return values;
  }

 private:
  size_t OffsetOf(size_t row, size_t stride, size_t element) const {
    return layout_.misaligned_by + row * stride * element;
  }

  void PutSteps(const std::vector<RowCase>& cases) {
    const size_t bytes = layout_.step_is_int64 ? 8 : 4, stride = static_cast<size_t>(layout_.step_stride);
    steps_ = DeviceMemory(((cases.size() - 1) * stride + 1) * bytes);
    for (size_t row = 0; row < cases.size(); ++row) {
      const int32_t narrow = static_cast<int32_t>(cases[row].step);
      steps_.Write(row * stride * bytes, bytes == 8 ? static_cast<const void*>(&cases[row].step) : &narrow, bytes);
    }
    batch_.step = steps_.at(0);
    batch_.step_is_int64 = layout_.step_is_int64;
    batch_.step_stride = layout_.step_stride;
  }

  void PutRecords(const std::vector<RowCase>& cases) {
    const size_t spread = layout_.slots ? 2 : 1, count = cases.size() * spread;
    records_ = DeviceMemory(layout_.records_misaligned_by + count * sizeof(Record));
    std::vector<int32_t> slot;
    for (size_t row = 0; row < cases.size(); ++row) {
      const size_t at = layout_.slots ? count - 1 - row * spread : row;
      records_.Write(layout_.records_misaligned_by + at * sizeof(Record), &cases[row].record, sizeof(Record));
      slot.push_back(static_cast<int32_t>(at));
    }
    batch_.records = reinterpret_cast<const Record*>(records_.at(layout_.records_misaligned_by));
    batch_.record_count = static_cast<int64_t>(count);
    if (!layout_.slots) return;
    slots_ = DeviceMemory(slot.size() * sizeof(int32_t));
    slots_.Write(0, slot.data(), slot.size() * sizeof(int32_t));
    batch_.slot = reinterpret_cast<const int32_t*>(slots_.at(0));
  }

  Layout layout_;
  std::vector<TypedRow> rows_;
  DeviceMemory logits_, steps_, records_, slots_;
  Batch batch_;
};

}  // namespace fire::test
