// What the operators take: the checks of every argument, what they say when one fails, and the Batch they describe.
//
// Nothing here depends on a device: the object of each backend includes this header. The checks of the fake kernels,
// python/fire_sampling/_fake_checks.py, have the same rules in the same order and words; one table of bad calls is run
// against both (tests/python/operators/test_bad_calls.py).
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "fire/sampling.h"

namespace fire::operators {

using torch::stable::Tensor;

// What the checks read of a tensor. Borrows the tensor's sizes and strides.
struct View {
  explicit View(const Tensor& tensor) : dim(tensor.dim()) {
    sizes = tensor.sizes().data();
    strides = tensor.strides().data();
    device_index = tensor.get_device_index();
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor.get(), &dtype));
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(tensor.get(), &device_type));
  }

  int64_t dim;
  const int64_t* sizes;
  const int64_t* strides;
  int32_t dtype;
  int32_t device_type;
  int32_t device_index;
};

[[noreturn]] inline void Refuse(const char* op, const char* argument, const std::string& what) {
  throw std::runtime_error(std::string("fire::") + op + ": " + argument + " " + what);
}

// Names as torch prints them.
inline std::string DtypeName(int32_t dtype) {
  const std::pair<int32_t, const char*> names[] = {
      {aoti_torch_dtype_float64(), "float64"},
      {aoti_torch_dtype_float32(), "float32"},
      {aoti_torch_dtype_float16(), "float16"},
      {aoti_torch_dtype_bfloat16(), "bfloat16"},
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
      {aoti_torch_dtype_int32(), "int32"},
      {aoti_torch_dtype_int64(), "int64"},
  };
  for (const auto& [known, name] : names) {
    if (known == dtype) return name;
  }
  return "one that is not supported";
}

inline std::string DeviceName(const View& view) {
  const std::pair<int32_t, const char*> names[] = {
      {aoti_torch_device_type_cpu(), "cpu"},   {aoti_torch_device_type_cuda(), "cuda"},
      {aoti_torch_device_type_xpu(), "xpu"},   {aoti_torch_device_type_mps(), "mps"},
      {aoti_torch_device_type_meta(), "meta"},
  };
  std::string name = "device type " + std::to_string(view.device_type);
  for (const auto& [known, known_name] : names) {
    if (known == view.device_type) name = known_name;
  }
  return view.device_index < 0 ? name : name + ":" + std::to_string(view.device_index);
}

inline std::string ShapeName(const View& view) {
  std::string name = "[";
  for (int64_t i = 0; i < view.dim; ++i) name += (i == 0 ? "" : ", ") + std::to_string(view.sizes[i]);
  return name + "]";
}

// How the logits are used: written in place they must be float32 and no two rows may share memory.
enum class Access { kRead, kWrite };

inline void CheckLogits(const char* op, const View& logits, Access access) {
  const int32_t dtype = logits.dtype;
  if (access == Access::kWrite) {
    if (dtype != aoti_torch_dtype_float32())
      Refuse(op, "logits", "has dtype " + DtypeName(dtype) + ", expected float32 (it is written in place)");
  } else if (dtype != aoti_torch_dtype_float32() && dtype != aoti_torch_dtype_bfloat16() &&
             dtype != aoti_torch_dtype_float16()) {
    Refuse(op, "logits", "has dtype " + DtypeName(dtype) + ", expected float32, bfloat16 or float16");
  }
  if (logits.dim != 2) Refuse(op, "logits", "has shape " + ShapeName(logits) + ", expected [R, V]");
  const int64_t rows = logits.sizes[0];
  const int64_t vocabulary = logits.sizes[1];
  if (vocabulary < 1 || vocabulary > kMaxVocabulary)
    Refuse(op, "logits",
           "has shape " + ShapeName(logits) + ", expected [R, V] with 1 <= V <= " + std::to_string(kMaxVocabulary));
  if (vocabulary > 1 && logits.strides[1] != 1)
    Refuse(op, "logits",
           "has stride " + std::to_string(logits.strides[1]) + " along V, expected 1 (call logits.contiguous() first)");
  if (access == Access::kWrite && rows > 1 && logits.strides[0] < vocabulary)
    Refuse(op, "logits",
           "has row stride " + std::to_string(logits.strides[0]) + ", expected at least V = " +
               std::to_string(vocabulary) + " (rows written in place must not overlap; call logits.clone() first)");
}

inline void CheckDevice(const char* op, const char* argument, const View& tensor, const View& logits) {
  if (tensor.device_type != logits.device_type || tensor.device_index != logits.device_index)
    Refuse(op, argument, "is on " + DeviceName(tensor) + ", expected " + DeviceName(logits) + ", the device of logits");
}

inline void CheckDtype(const char* op, const char* argument, const View& tensor,
                       std::initializer_list<int32_t> allowed) {
  std::string expected;
  for (const int32_t dtype : allowed) {
    if (tensor.dtype == dtype) return;
    expected += (expected.empty() ? "" : " or ") + DtypeName(dtype);
  }
  Refuse(op, argument, "has dtype " + DtypeName(tensor.dtype) + ", expected " + expected);
}

// An argument with one element a row of logits.
inline void CheckOneARow(const char* op, const char* argument, const View& tensor, const View& logits, int32_t dtype) {
  CheckDevice(op, argument, tensor, logits);
  CheckDtype(op, argument, tensor, {dtype});
  const int64_t rows = logits.sizes[0];
  if (tensor.dim != 1 || tensor.sizes[0] != rows)
    Refuse(op, argument,
           "has shape " + ShapeName(tensor) + ", expected [" + std::to_string(rows) + "], one a row of logits");
}

inline void CheckStep(const char* op, const View& step, const View& logits) {
  CheckDevice(op, "step", step, logits);
  CheckDtype(op, "step", step, {aoti_torch_dtype_int32(), aoti_torch_dtype_int64()});
  if (step.dim != 0 && (step.dim != 1 || step.sizes[0] != logits.sizes[0]))
    Refuse(op, "step",
           "has shape " + ShapeName(step) + ", expected [" + std::to_string(logits.sizes[0]) +
               "], one a row of logits, or [], one for all");
}

inline void CheckRecords(const char* op, const View& cfg, const View& logits, bool with_slot) {
  CheckDevice(op, "cfg", cfg, logits);
  CheckDtype(op, "cfg", cfg, {aoti_torch_dtype_int32()});
  if (cfg.dim != 2 || cfg.sizes[1] != kRecordWords)
    Refuse(op, "cfg",
           "has shape " + ShapeName(cfg) + ", expected [S, " + std::to_string(kRecordWords) +
               "] as made by fire_sampling.pack");
  const int64_t records = cfg.sizes[0];
  const int64_t rows = logits.sizes[0];
  if (records > 0 && (cfg.strides[1] != 1 || (records > 1 && cfg.strides[0] != kRecordWords)))
    Refuse(op, "cfg",
           "has strides [" + std::to_string(cfg.strides[0]) + ", " + std::to_string(cfg.strides[1]) +
               "], expected contiguous records (call cfg.contiguous() first)");
  if (with_slot && records < 1) Refuse(op, "cfg", "has S = 0, expected at least one record for slot to choose from");
  if (!with_slot && records != rows)
    Refuse(
        op, "cfg",
        "has S = " + std::to_string(records) + " for R = " + std::to_string(rows) +
            " rows of logits, expected a record for each row (fire_sampling.pack(config, rows=" + std::to_string(rows) +
            ") makes them, each with a seed of its own) or a slot that names each row's record");
}

inline void CheckToken(const char* op, const Tensor& token, const Tensor& logits) {
  CheckOneARow(op, "token", View(token), View(logits), aoti_torch_dtype_int64());
}

inline void CheckGrad(const char* op, const Tensor& grad, const Tensor& logits) {
  CheckOneARow(op, "grad", View(grad), View(logits), aoti_torch_dtype_float32());
}

inline LogitsType LogitsTypeOf(const View& logits) {
  if (logits.dtype == aoti_torch_dtype_bfloat16()) return LogitsType::kBFloat16;
  if (logits.dtype == aoti_torch_dtype_float16()) return LogitsType::kFloat16;
  return LogitsType::kFloat32;
}

// Checks what every operator takes.
inline void CheckBatch(const char* op, const Tensor& logits_tensor, const Tensor& step, const Tensor& cfg,
                       const std::optional<Tensor>& slot, Access access = Access::kRead) {
  const View logits(logits_tensor);
  CheckLogits(op, logits, access);
  CheckStep(op, View(step), logits);
  CheckRecords(op, View(cfg), logits, slot.has_value());
  if (slot.has_value()) CheckOneARow(op, "slot", View(*slot), logits, aoti_torch_dtype_int32());
}

// The batch that checked arguments describe. It borrows their memory.
inline Batch MakeBatch(const Tensor& logits_tensor, const Tensor& step_tensor, const Tensor& cfg,
                       const std::optional<Tensor>& slot, Access access = Access::kRead) {
  const View logits(logits_tensor), step(step_tensor);
  Batch batch;
  batch.logits = access == Access::kWrite ? logits_tensor.mutable_data_ptr() : logits_tensor.const_data_ptr();
  batch.logits_type = LogitsTypeOf(logits);
  batch.rows = logits.sizes[0];
  batch.vocabulary = logits.sizes[1];
  batch.row_stride = logits.strides[0];
  batch.step = step_tensor.const_data_ptr();
  batch.step_is_int64 = step.dtype == aoti_torch_dtype_int64();
  batch.step_stride = step.dim == 0 ? 0 : step.strides[0];
  batch.records = static_cast<const Record*>(cfg.const_data_ptr());
  batch.record_count = cfg.size(0);
  if (slot.has_value()) {
    batch.slot = static_cast<const int32_t*>(slot->const_data_ptr());
    batch.slot_stride = slot->stride(0);
  }
  return batch;
}

// An uninitialised contiguous tensor on the device of `logits`.
inline Tensor NewTensor(const Tensor& logits, std::initializer_list<int64_t> sizes, int32_t dtype) {
  constexpr size_t kMaxDim = 2;
  int64_t strides[kMaxDim];
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= sizes.begin()[i];
  }
  const View view(logits);
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.begin(), strides, dtype,
                                                  view.device_type, view.device_index, &handle));
  return Tensor(handle);
}

}  // namespace fire::operators
