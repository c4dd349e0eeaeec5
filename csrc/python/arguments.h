// Checks the NumPy arrays of a call and describes them to the C++ API as a Batch. A refusal names the function,
// the argument, what came and what was expected: TypeError for a wrong type, ValueError for a wrong shape.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "fire/sampling.h"

namespace fire::python {

namespace py = pybind11;

// One argument of one function, for messages.
struct Argument {
  const char* function;
  const char* name;

  std::string Message(const std::string& what) const {
    return std::string("fire_sampling.numpy.") + function + ": " + name + " " + what;
  }
  [[noreturn]] void RefuseType(const std::string& what) const { throw py::type_error(Message(what)); }
  [[noreturn]] void Refuse(const std::string& what) const { throw py::value_error(Message(what)); }
};

inline std::string DtypeName(const py::array& array) { return py::str(array.dtype()); }
inline std::string ShapeName(const py::array& array) { return py::str(py::list(array.attr("shape"))); }

// Whether it carries a mask, which the memory behind it does not show. An array of no subclass, as nearly all are, is
// told from it by its type alone.
inline bool IsMasked(const py::object& array) {
  if (Py_TYPE(array.ptr()) == py::detail::npy_api::get().PyArray_Type_) return false;
  return py::isinstance(array, py::module_::import("numpy.ma").attr("MaskedArray"));
}

inline py::array RequireArray(const Argument& argument, const py::object& value) {
  if (!py::isinstance<py::array>(value)) {
    const std::string type = py::str(py::type::handle_of(value).attr("__name__"));
    argument.RefuseType("is of type " + type + ", expected a NumPy array");
  }
  if (IsMasked(value)) {
    const bool is_logits = std::string(argument.name) == "logits";
    argument.RefuseType(std::string("is a masked array, whose mask would be lost; expected one without") +
                        (is_logits ? " (logits.filled(-numpy.inf) has tokens that are never drawn)" : ""));
  }
  return py::reinterpret_borrow<py::array>(value);
}

// This machine's byte order may be written out, as numpy.ctypeslib and files do.
inline bool IsNative(const py::dtype& type) {
  const char order = type.byteorder();
  return order == '=' || order == '|' || order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>');
}

inline void RequireNative(const Argument& argument, const py::dtype& type) {
  if (IsNative(type)) return;
  const std::string name = py::str(type.attr("name"));
  argument.RefuseType("has dtype " + std::string(py::str(type)) + ", " + name + " in a foreign byte order, expected " +
                      "this machine's (" + argument.name + ".astype(\"" + name + "\") converts it)");
}

// Whether it is of this type. Refused by name where nothing but its byte order is wrong.
inline bool IsType(const Argument& argument, const py::array& array, char kind, py::ssize_t size) {
  const py::dtype type = array.dtype();
  if (type.kind() != kind || type.itemsize() != size) return false;
  RequireNative(argument, type);
  return true;
}

// A vector of one value a row is small: a copy gives it the alignment and stride that the C++ API reads.
inline py::array Contiguous(const py::array& array) {
  return py::array::ensure(array, py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_);
}

inline LogitsType LogitsTypeOf(const Argument& argument, const py::array& logits) {
  if (IsType(argument, logits, 'f', 4)) return LogitsType::kFloat32;
  if (IsType(argument, logits, 'f', 2)) return LogitsType::kFloat16;
  // NumPy has no bfloat16 of its own; ml_dtypes, and whoever else registers one, gives it this name.
  const py::dtype type = logits.dtype();
  if (type.itemsize() == 2 && std::string(py::str(type.attr("name"))) == "bfloat16") {
    RequireNative(argument, type);
    return LogitsType::kBFloat16;
  }
  argument.RefuseType("has dtype " + DtypeName(logits) + ", expected float32, bfloat16 or float16");
}

// The arguments that every function shares. It owns what `batch` points to. Logits of shape [V] are a batch of one row,
// whose step, token, slot and results may do without their first dimension too.
class BatchArguments {
 public:
  BatchArguments(const char* function, const py::object& logits, const py::object& step, const py::object& records,
                 const py::object& slot) {
    SetLogits({function, "logits"}, logits);
    SetStep({function, "step"}, step);
    SetRecords({function, "records"}, records, !slot.is_none());
    if (!slot.is_none()) {
      slot_ = RequireOneARow({function, "slot"}, slot, 4);
      batch_.slot = static_cast<const int32_t*>(slot_.data());
    }
  }

  const Batch& batch() const { return batch_; }

  // An array of signed integers of `size` bytes, one a row of the logits.
  py::array RequireOneARow(const Argument& argument, const py::object& value, py::ssize_t size) const {
    const py::array array = RequireArray(argument, value);
    if (!IsType(argument, array, 'i', size))
      argument.RefuseType("has dtype " + DtypeName(array) + ", expected int" + std::to_string(8 * size));
    const bool alone = is_single_row_ && array.ndim() == 0;
    if (!alone && (array.ndim() != 1 || array.shape(0) != batch_.rows))
      argument.Refuse("has shape " + ShapeName(array) + ", expected [" + Rows() + "], one a row of logits");
    return Contiguous(array);
  }

  // What a function returns of `result`, which has one entry a row: of a single row, that entry.
  py::object Result(const py::array& result) const {
    return is_single_row_ ? py::object(result.attr("__getitem__")(0)) : py::object(result);
  }

 private:
  std::string Rows() const { return std::to_string(batch_.rows); }

  void SetLogits(const Argument& argument, const py::object& value) {
    logits_ = RequireArray(argument, value);
    batch_.logits_type = LogitsTypeOf(argument, logits_);
    if (logits_.ndim() != 1 && logits_.ndim() != 2)
      argument.Refuse("has shape " + ShapeName(logits_) + ", expected [R, V], or [V] for a single row");
    is_single_row_ = logits_.ndim() == 1;
    batch_.logits = logits_.data();
    batch_.rows = is_single_row_ ? 1 : logits_.shape(0);
    batch_.vocabulary = logits_.shape(logits_.ndim() - 1);
    if (batch_.vocabulary < 1 || batch_.vocabulary > kMaxVocabulary)
      argument.Refuse("has shape " + ShapeName(logits_) +
                      ", expected [R, V] with 1 <= V <= " + std::to_string(kMaxVocabulary));
    const py::ssize_t size = logits_.itemsize();
    // NumPy gives an empty array strides of 0.
    const py::ssize_t stride = logits_.strides(logits_.ndim() - 1);
    if (batch_.rows > 0 && batch_.vocabulary > 1 && stride != size)
      argument.Refuse("has a stride of " + std::to_string(stride) + " bytes along V, expected " + std::to_string(size) +
                      " (call numpy.ascontiguousarray(logits) first)");
    const py::ssize_t row_bytes = batch_.rows > 1 ? logits_.strides(0) : 0;
    if (row_bytes % size != 0)
      argument.Refuse("has a row stride of " + std::to_string(row_bytes) + " bytes, expected a multiple of " +
                      std::to_string(size) + " (call numpy.ascontiguousarray(logits) first)");
    batch_.row_stride = row_bytes / size;
  }

  void SetStep(const Argument& argument, const py::object& value) {
    step_ = RequireArray(argument, value);
    if (!IsType(argument, step_, 'i', 4) && !IsType(argument, step_, 'i', 8))
      argument.RefuseType("has dtype " + DtypeName(step_) + ", expected int32 or int64");
    if (step_.ndim() != 0 && (step_.ndim() != 1 || step_.shape(0) != batch_.rows))
      argument.Refuse("has shape " + ShapeName(step_) + ", expected [" + Rows() +
                      "], one a row of logits, or [], one for all");
    step_ = Contiguous(step_);
    batch_.step = step_.data();
    batch_.step_is_int64 = step_.itemsize() == 8;
    batch_.step_stride = step_.ndim() == 0 ? 0 : 1;
  }

  void SetRecords(const Argument& argument, const py::object& value, bool with_slot) {
    records_ = RequireArray(argument, value);
    if (!IsType(argument, records_, 'u', 4) && !IsType(argument, records_, 'i', 4))
      argument.RefuseType("has dtype " + DtypeName(records_) + ", expected uint32 or int32");
    if (records_.ndim() != 2 || records_.shape(1) != kRecordWords)
      argument.Refuse("has shape " + ShapeName(records_) + ", expected [S, " + std::to_string(kRecordWords) +
                      "] as made by fire_sampling.numpy.pack");
    const int64_t count = records_.shape(0);
    if (with_slot && count < 1) argument.Refuse("has 0 records, expected at least 1 for slot to choose from");
    if (!with_slot && count != batch_.rows)
      argument.Refuse("has " + std::to_string(count) + " records for " + Rows() +
                      " rows of logits, expected one a row (fire_sampling.numpy.pack(config, rows=" + Rows() +
                      ") makes them, each with a seed of its own), or a slot that names the record of each row");
    records_ = Contiguous(records_);
    batch_.records = static_cast<const Record*>(records_.data());
    batch_.record_count = count;
  }

  py::array logits_, step_, records_, slot_;
  bool is_single_row_ = false;
  Batch batch_;
};

}  // namespace fire::python
