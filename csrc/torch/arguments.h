// What the operators take: their tensors as the checks read them, and the Batch that they describe.
//
// Nothing here depends on a device: the object of each backend includes this header. What of the rules does not depend
// on sizes and strides, the fake kernels check too, in the same words (python/fire_sampling/_fake_checks.py); one table
// of bad calls is run against both (tests/python/support/bad_calls.py).
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "argument_checks.h"
#include "fire/sampling.h"

namespace fire::operators {

using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

// The operators' argument of records keeps the name that their callers know.
inline constexpr const char* kRecords = "cfg";
// Names as torch prints them.
inline const char* NameOfDtype(int32_t dtype) {
  static const std::pair<int32_t, const char*> names[] = {
      {aoti_torch_dtype_float32(), "float32"},
      {aoti_torch_dtype_int64(), "int64"},
      {aoti_torch_dtype_int32(), "int32"},
      {aoti_torch_dtype_bfloat16(), "bfloat16"},
      {aoti_torch_dtype_float16(), "float16"},
      {aoti_torch_dtype_float64(), "float64"},
      {aoti_torch_dtype_float8_e5m2(), "float8_e5m2"},
      {aoti_torch_dtype_float8_e4m3fn(), "float8_e4m3fn"},
      {aoti_torch_dtype_float8_e5m2fnuz(), "float8_e5m2fnuz"},
      {aoti_torch_dtype_float8_e4m3fnuz(), "float8_e4m3fnuz"},
      {aoti_torch_dtype_complex32(), "complex32"},
      {aoti_torch_dtype_complex64(), "complex64"},
      {aoti_torch_dtype_complex128(), "complex128"},
      {aoti_torch_dtype_bool(), "bool"},
      {aoti_torch_dtype_uint8(), "uint8"},
      {aoti_torch_dtype_uint16(), "uint16"},
      {aoti_torch_dtype_uint32(), "uint32"},
      {aoti_torch_dtype_uint64(), "uint64"},
      {aoti_torch_dtype_int8(), "int8"},
      {aoti_torch_dtype_int16(), "int16"},
  };
  for (const auto& [known, name] : names) {
    if (known == dtype) return name;
  }
  return "one that is not supported";
}

inline std::string NameOfDevice(Device device) {
  static const std::pair<int32_t, const char*> names[] = {
      {aoti_torch_device_type_cpu(), "cpu"},   {aoti_torch_device_type_cuda(), "cuda"},
      {aoti_torch_device_type_xpu(), "xpu"},   {aoti_torch_device_type_mps(), "mps"},
      {aoti_torch_device_type_meta(), "meta"},
  };
  std::string name = "device type " + std::to_string(device.type);
  for (const auto& [known, known_name] : names) {
    if (known == device.type) name = known_name;
  }
  return device.index < 0 ? name : name + ":" + std::to_string(device.index);
}

inline constexpr Words kWords = {"fire_sampling.pack", "[R, V]", "logits.contiguous()", nullptr, false, &NameOfDevice};

inline int32_t DtypeOf(const Tensor& tensor) {
  int32_t dtype;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor.get(), &dtype));
  return dtype;
}

inline Device DeviceOf(const Tensor& tensor) {
  int32_t type;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor.get(), &type));
  return {type, tensor.get_device_index()};
}

inline View ViewOf(const char* argument, const Tensor& tensor) {
  return {argument,     NameOfDtype(DtypeOf(tensor)), DeviceOf(tensor),
          tensor.dim(), tensor.sizes().data(),        tensor.strides().data()};
}

inline LogitsType LogitsTypeOf(const Tensor& logits) {
  const int32_t dtype = DtypeOf(logits);
  if (dtype == aoti_torch_dtype_bfloat16()) return LogitsType::kBFloat16;
  if (dtype == aoti_torch_dtype_float16()) return LogitsType::kFloat16;
  return LogitsType::kFloat32;
}

// Runs `check`, and makes of its refusal what torch shows.
template <typename Check>
void Checked(const char* op, const Check& check) {
  try {
    check();
  } catch (const Refusal& refusal) {
    throw std::runtime_error(std::string("fire::") + op + ": " + refusal.argument + " " + refusal.what);
  }
}

// Checks what every operator takes.
inline void CheckBatch(const char* op, const Tensor& logits_tensor, const Tensor& step, const Tensor& records,
                       const OptionalTensor& slot, Access access = Access::kRead) {
  Checked(op, [&] {
    const View logits = ViewOf("logits", logits_tensor);
    CheckLogits(kWords, logits, access);
    CheckStep(kWords, ViewOf("step", step), logits);
    CheckRecords(kWords, ViewOf(kRecords, records), logits, slot.has_value(), {"int32"});
    if (slot.has_value()) CheckOneARow(kWords, ViewOf("slot", *slot), logits, {"int32"});
  });
}

// Checks what an operator without logits takes.
inline void CheckSequences(const char* op, const Tensor& step, const Tensor& records_tensor,
                           const OptionalTensor& slot) {
  Checked(op, [&] {
    const View records = ViewOf(kRecords, records_tensor);
    CheckRecords(kWords, records, slot.has_value(), {"int32"});
    if (slot.has_value()) CheckSlots(kWords, ViewOf("slot", *slot), records);
    const int64_t rows = slot.has_value() ? slot->size(0) : records_tensor.size(0);
    CheckStep(kWords, ViewOf("step", step), records, rows, slot.has_value() ? "slot" : "record");
  });
}

// Checks what an operator takes besides: one element a row of logits.
inline void CheckOneARow(const char* op, const char* argument, const Tensor& tensor, const Tensor& logits,
                         const char* dtype) {
  Checked(op, [&] { CheckOneARow(kWords, ViewOf(argument, tensor), ViewOf("logits", logits), {dtype}); });
}

// The batch that checked arguments describe, but for its logits. It borrows their memory.
inline Batch MakeBatch(const Tensor& step, const Tensor& records, const OptionalTensor& slot) {
  Batch batch;
  batch.rows = slot.has_value() ? slot->size(0) : records.size(0);
  batch.step = step.const_data_ptr();
  batch.step_is_int64 = DtypeOf(step) == aoti_torch_dtype_int64();
  batch.step_stride = step.dim() == 0 ? 0 : step.stride(0);
  batch.records = static_cast<const Record*>(records.const_data_ptr());
  batch.record_count = records.size(0);
  if (slot.has_value()) {
    batch.slot = static_cast<const int32_t*>(slot->const_data_ptr());
    batch.slot_stride = slot->stride(0);
  }
  return batch;
}

// The logits of a batch of either kind.
template <typename AnyBatch>
void SetLogits(const Tensor& logits, Access access, AnyBatch* batch) {
  batch->logits = access == Access::kWrite ? logits.mutable_data_ptr() : logits.const_data_ptr();
  batch->logits_type = LogitsTypeOf(logits);
  batch->rows = logits.size(0);
  batch->vocabulary = logits.size(1);
  batch->row_stride = logits.stride(0);
}

inline Batch MakeBatch(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot,
                       Access access = Access::kRead) {
  Batch batch = MakeBatch(step, records, slot);
  SetLogits(logits, access, &batch);
  return batch;
}

// An uninitialised contiguous tensor on the device of `beside`.
inline Tensor NewTensor(const Tensor& beside, std::initializer_list<int64_t> sizes, int32_t dtype) {
  constexpr size_t kMaxDim = 3;
  int64_t strides[kMaxDim];
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= sizes.begin()[i];
  }
  const Device device = DeviceOf(beside);
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.begin(), strides, dtype,
                                                  device.type, device.index, &handle));
  return Tensor(handle);
}

}  // namespace fire::operators
