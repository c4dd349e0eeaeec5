// What the NumPy entry takes: its arrays as the checks read them, and the Batch that they describe. A refusal names the
// function, the argument, what came and what was expected: TypeError for a wrong type, ValueError for a wrong shape.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "argument_checks.h"
#include "fire/sampling.h"

namespace fire::python {

namespace py = pybind11;

inline constexpr Words kWords = {"fire_sampling.numpy.pack", "[R, V], or [V] for a single row",
                                 "numpy.ascontiguousarray(logits)", "logits.astype(numpy.float32)", true};

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

// The name of a type that some function takes, whatever its byte order; of others how NumPy prints them.
inline std::string NameOfDtype(const py::dtype& type) {
  const char kind = type.kind();
  const py::ssize_t size = type.itemsize();
  if (kind == 'f' && size == 4) return "float32";
  if (kind == 'f' && size == 2) return "float16";
  if (kind == 'f' && size == 8) return "float64";
  if (kind == 'i' && size == 4) return "int32";
  if (kind == 'i' && size == 8) return "int64";
  if (kind == 'u' && size == 4) return "uint32";
  if (kind == 'u' && size == 8) return "uint64";
  // NumPy has no bfloat16 of its own; ml_dtypes, and whoever else registers one, gives it this name.
  if (size == 2 && std::string(py::str(type.attr("name"))) == "bfloat16") return "bfloat16";
  return py::str(type);
}

inline View ViewOf(const char* name, const py::array& array) {
  return {name, NameOfDtype(array.dtype()), Device(), array.ndim(), array.shape(), array.strides(), array.itemsize()};
}

// Checks an array by `check`, which is given its View. Refused at last where nothing but its byte order is wrong.
template <typename Check>
void Checked(const Argument& argument, const py::array& array, const Check& check) {
  try {
    check(ViewOf(argument.name, array));
  } catch (const Refusal& refusal) {
    if (refusal.kind == Refusal::Kind::kType) argument.RefuseType(refusal.what);
    argument.Refuse(refusal.what);
  }
  RequireNative(argument, array.dtype());
}

// All but the logits are small: a copy gives them the alignment and stride that the C++ API reads.
template <typename Check>
py::array CheckedCopy(const Argument& argument, const py::object& value, const Check& check) {
  const py::array array =
      py::array::ensure(RequireArray(argument, value), py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_);
  Checked(argument, array, check);
  return array;
}

inline LogitsType LogitsTypeOf(const View& logits) {
  if (logits.dtype == "bfloat16") return LogitsType::kBFloat16;
  return logits.dtype == "float16" ? LogitsType::kFloat16 : LogitsType::kFloat32;
}

// Checks logits, and gives them to a batch of either kind, which borrows their memory.
template <typename AnyBatch>
py::array CheckedLogits(const char* function, const py::object& value, AnyBatch* batch) {
  const Argument argument = {function, "logits"};
  const py::array logits = RequireArray(argument, value);
  Checked(argument, logits, [](const View& view) { CheckLogits(kWords, view, Access::kRead); });
  const View view = ViewOf("logits", logits);
  batch->logits = logits.data();
  batch->logits_type = LogitsTypeOf(view);
  batch->rows = RowsOf(view);
  batch->vocabulary = VocabularyOf(view);
  batch->row_stride = batch->rows > 1 ? view.strides[0] / view.unit : 0;
  return logits;
}

// What a function returns of `result`, which has one entry a row: of a single row, that entry.
inline py::object ResultOf(const py::array& logits, const py::array& result) {
  return logits.ndim() == 1 ? py::object(result.attr("__getitem__")(0)) : py::object(result);
}

inline const std::initializer_list<std::string_view> kRecordDtypes = {"uint32", "int32"};

// A batch's steps, records and slots. It owns what `batch` points to.
class SequenceArguments {
 public:
  // All arguments of a function without logits: as many rows as slots, or else as records.
  SequenceArguments(const char* function, const py::object& step, const py::object& records, const py::object& slot) {
    const bool with_slot = !slot.is_none();
    SetRecords(CheckedCopy({function, "records"}, records,
                           [&](const View& view) { CheckRecords(kWords, view, with_slot, kRecordDtypes); }));
    const View beside = ViewOf("records", records_);
    if (with_slot)
      SetSlot(CheckedCopy({function, "slot"}, slot, [&](const View& view) { CheckSlots(kWords, view, beside); }));
    batch_.rows = with_slot ? slot_.shape(0) : records_.shape(0);
    SetStep(CheckedCopy({function, "step"}, step, [&](const View& view) {
      CheckStep(kWords, view, beside, batch_.rows, with_slot ? "slot" : "record");
    }));
  }

  const Batch& batch() const { return batch_; }

 protected:
  SequenceArguments() = default;

  void SetStep(py::array&& step) {
    step_ = std::move(step);
    batch_.step = step_.data();
    batch_.step_is_int64 = step_.itemsize() == 8;
    batch_.step_stride = step_.ndim() == 0 ? 0 : 1;
  }
  void SetRecords(py::array&& records) {
    records_ = std::move(records);
    batch_.records = static_cast<const Record*>(records_.data());
    batch_.record_count = records_.shape(0);
  }
  void SetSlot(py::array&& slot) {
    slot_ = std::move(slot);
    batch_.slot = static_cast<const int32_t*>(slot_.data());
  }

  Batch batch_;

 private:
  py::array step_, records_, slot_;
};

// The arguments of the functions with logits. Logits of shape [V] are a batch of one row, whose step, token, slot and
// results may do without their first dimension too.
class BatchArguments : public SequenceArguments {
 public:
  BatchArguments(const char* function, const py::object& logits, const py::object& step, const py::object& records,
                 const py::object& slot) {
    logits_ = CheckedLogits(function, logits, &batch_);
    logits_view_ = ViewOf("logits", logits_);
    SetStep(CheckedCopy({function, "step"}, step, [&](const View& view) { CheckStep(kWords, view, logits_view_); }));
    SetRecords(CheckedCopy({function, "records"}, records, [&](const View& view) {
      CheckRecords(kWords, view, logits_view_, !slot.is_none(), kRecordDtypes);
    }));
    if (!slot.is_none()) SetSlot(OneARow({function, "slot"}, slot, {"int32"}));
  }

  // An array with one element a row of the logits.
  py::array OneARow(const Argument& argument, const py::object& value,
                    std::initializer_list<std::string_view> dtypes) const {
    return CheckedCopy(argument, value, [&](const View& view) { CheckOneARow(kWords, view, logits_view_, dtypes); });
  }

  py::object Result(const py::array& result) const { return ResultOf(logits_, result); }

 private:
  py::array logits_;
  View logits_view_;
};

}  // namespace fire::python
