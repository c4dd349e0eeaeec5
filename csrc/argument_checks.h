// What the entries that take arrays refuse, and in which words: one set of rules for torch's tensors and NumPy's
// arrays.
//
// An entry describes each argument by a View, and makes an exception of its own of a Refusal. Nothing here knows torch
// or Python, and no element is read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "batch_checks.h"
#include "fire/sampling.h"

namespace fire {

struct Device {
  int32_t type = 0;
  int32_t index = 0;
};

// What an entry calls things.
struct Words {
  const char* pack;                         // the function that makes records
  const char* logits;                       // the shapes of logits that it takes
  const char* contiguous;                   // the call that makes logits contiguous
  const char* narrowed = nullptr;           // the call that makes float64 logits float32, where that is worth telling
  bool takes_a_single_row = false;          // logits [V], with scalars for what else has one value a row
  std::string (*device)(Device) = nullptr;  // the name of one, where there are several
};

// Thrown by the checks. `what` goes on where the argument's name ends.
struct Refusal {
  enum class Kind { kType, kValue };
  Kind kind;
  std::string argument;
  std::string what;
};

// What the checks read of an argument. Borrows sizes and strides.
struct View {
  const char* argument;
  std::string dtype;
  Device device;
  int64_t dim;
  const int64_t* sizes;
  const int64_t* strides;
  int64_t unit = 1;  // a stride from one element to the next: 1 where strides count elements, else its bytes
};

// How the logits are used: written in place they must be float32 and no two rows may share memory.
enum class Access { kRead, kWrite };

inline int64_t RowsOf(const View& logits) { return logits.dim == 1 ? 1 : logits.sizes[0]; }
inline int64_t VocabularyOf(const View& logits) { return logits.sizes[logits.dim - 1]; }

[[noreturn]] inline void RefuseType(const View& view, const std::string& came, const std::string& expected) {
  throw Refusal{Refusal::Kind::kType, view.argument, came + ", expected " + expected};
}

[[noreturn]] inline void RefuseValue(const View& view, const std::string& came, const std::string& expected) {
  throw Refusal{Refusal::Kind::kValue, view.argument, came + ", expected " + expected};
}

[[noreturn]] inline void RefuseShape(const View& view, const std::string& expected) {
  std::string shape;
  for (int64_t i = 0; i < view.dim; ++i) shape += (i == 0 ? "" : ", ") + std::to_string(view.sizes[i]);
  RefuseValue(view, "has shape [" + shape + "]", expected);
}

// `name` is "stride" or "row stride".
[[noreturn]] inline void RefuseStride(const View& view, const std::string& name, int64_t stride,
                                      const std::string& where, const std::string& expected) {
  const std::string came = name + (view.unit == 1 ? " " : " of ") + std::to_string(stride);
  RefuseValue(view, view.unit == 1 ? "has " + came + where : "has a " + came + " bytes" + where, expected);
}

inline void CheckDtype(const View& view, std::initializer_list<std::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), view.dtype) != allowed.end()) return;
  std::string expected;
  for (const std::string_view dtype : allowed) expected.append(expected.empty() ? "" : " or ").append(dtype);
  RefuseType(view, "has dtype " + view.dtype, expected);
}

// `beside` is the argument whose device the others must be on.
inline void CheckDevice(const Words& words, const View& view, const View& beside) {
  if (view.device.type == beside.device.type && view.device.index == beside.device.index) return;
  RefuseValue(view, "is on " + words.device(view.device),
              words.device(beside.device) + ", the device of " + beside.argument);
}

inline void CheckLogits(const Words& words, const View& logits, Access access) {
  const std::string& dtype = logits.dtype;
  if (access == Access::kWrite) {
    if (dtype != "float32") RefuseType(logits, "has dtype " + dtype, "float32 (it is written in place)");
  } else if (dtype != "float32" && dtype != "bfloat16" && dtype != "float16") {
    const bool narrows = words.narrowed != nullptr && dtype == "float64";
    RefuseType(logits, "has dtype " + dtype,
               "float32, bfloat16 or float16" + (narrows ? " (call " + std::string(words.narrowed) + " first)" : ""));
  }
  if (logits.dim != 2 && !(logits.dim == 1 && words.takes_a_single_row)) RefuseShape(logits, words.logits);
  const int64_t rows = RowsOf(logits), vocabulary = VocabularyOf(logits);
  if (!IsVocabulary(vocabulary)) RefuseShape(logits, "[R, V] with 1 <= V <= " + std::to_string(kMaxVocabulary));
  // Without rows nothing is read, and NumPy's strides are 0.
  const int64_t stride = logits.strides[logits.dim - 1];
  if (rows > 0 && vocabulary > 1 && stride != logits.unit)
    RefuseStride(logits, "stride", stride, " along V",
                 std::to_string(logits.unit) + " (call " + words.contiguous + " first)");
  if (rows <= 1) return;
  const int64_t row_stride = logits.strides[0];
  if (row_stride % logits.unit != 0)
    RefuseStride(logits, "row stride", row_stride, "",
                 "a multiple of " + std::to_string(logits.unit) + " (call " + words.contiguous + " first)");
  if (access == Access::kWrite && row_stride / logits.unit < vocabulary)
    RefuseStride(logits, "row stride", row_stride, "",
                 "at least V = " + std::to_string(vocabulary) +
                     " (rows written in place must not overlap; call logits.clone() first)");
}

// One value for each of `rows`, each of which is a `row` in messages, or one for all.
inline void CheckOneOrOneEach(const View& view, int64_t rows, const char* row) {
  if (view.dim != 0 && (view.dim != 1 || view.sizes[0] != rows))
    RefuseShape(view, "[" + std::to_string(rows) + "], one a " + row + ", or [], one for all");
}

inline void CheckStep(const Words& words, const View& step, const View& beside, int64_t rows, const char* row) {
  CheckDevice(words, step, beside);
  CheckDtype(step, {"int32", "int64"});
  CheckOneOrOneEach(step, rows, row);
}

inline void CheckStep(const Words& words, const View& step, const View& logits) {
  CheckStep(words, step, logits, RowsOf(logits), "row of logits");
}

// That the elements of a matrix follow each other.
inline void CheckRowsAreDense(const View& matrix, const std::string& expected) {
  const int64_t rows = matrix.sizes[0], row = matrix.unit * matrix.sizes[1];
  if (rows > 0 && (matrix.strides[1] != matrix.unit || (rows > 1 && matrix.strides[0] != row)))
    RefuseValue(matrix,
                "has strides [" + std::to_string(matrix.strides[0]) + ", " + std::to_string(matrix.strides[1]) + "]",
                expected);
}

// `dtypes` are those that an entry's records may have: words of 32 bits.
inline void CheckRecords(const Words& words, const View& records, bool with_slot,
                         std::initializer_list<std::string_view> dtypes) {
  CheckDtype(records, dtypes);
  if (records.dim != 2 || records.sizes[1] != kRecordWords)
    RefuseShape(records, "[S, " + std::to_string(kRecordWords) + "] as made by " + words.pack);
  CheckRowsAreDense(records, std::string("contiguous records (call ") + records.argument + ".contiguous() first)");
  const int64_t count = records.sizes[0];
  if (with_slot && count < 1) RefuseValue(records, "has S = 0", "at least one record for slot to choose from");
}

// Records of rows of logits.
inline void CheckRecords(const Words& words, const View& records, const View& logits, bool with_slot,
                         std::initializer_list<std::string_view> dtypes) {
  CheckDevice(words, records, logits);
  CheckRecords(words, records, with_slot, dtypes);
  const int64_t count = records.sizes[0], rows = RowsOf(logits);
  if (!with_slot && count != rows)
    RefuseValue(records, "has S = " + std::to_string(count) + " for R = " + std::to_string(rows) + " rows of logits",
                std::string("a record for each row (") + words.pack + "(config, rows=" + std::to_string(rows) +
                    ") makes them, each with a seed of its own) or a slot that names each row's record");
}

// Slots without logits: they say how many rows there are.
inline void CheckSlots(const Words& words, const View& slot, const View& records) {
  CheckDevice(words, slot, records);
  CheckDtype(slot, {"int32"});
  if (slot.dim != 1) RefuseShape(slot, "[R], one a sequence");
}

// An integer of 64 bits.
inline void CheckRange(const char* argument, int64_t came, int64_t least, int64_t most) {
  if (came < least || came > most)
    throw Refusal{Refusal::Kind::kValue, argument,
                  "is " + std::to_string(came) + ", expected " + std::to_string(least) + " to " + std::to_string(most)};
}

inline void CheckGroupSize(int64_t size) { CheckRange("size", size, 1, kMaxGroupSize); }
inline void CheckSupportWidth(int64_t width) { CheckRange("width", width, 1, kMaxVocabulary); }

// An argument with one element a row of logits.
inline void CheckOneARow(const Words& words, const View& view, const View& logits,
                         std::initializer_list<std::string_view> dtypes) {
  CheckDevice(words, view, logits);
  CheckDtype(view, dtypes);
  const bool alone = words.takes_a_single_row && logits.dim == 1 && view.dim == 0;
  if (!alone && (view.dim != 1 || view.sizes[0] != RowsOf(logits)))
    RefuseShape(view, "[" + std::to_string(RowsOf(logits)) + "], one a row of logits");
}

// The sets that rows of logits are asked about: ids, each row's consecutive.
inline void CheckSupport(const Words& words, const View& support, const View& logits) {
  CheckDevice(words, support, logits);
  CheckDtype(support, {"int32"});
  const bool alone = words.takes_a_single_row && logits.dim == 1;
  const int64_t rows = RowsOf(logits);
  const std::string expected = alone ? "[width], the places of the row"
                                     : "[" + std::to_string(rows) + ", width], the places of each row of logits";
  if (support.dim != (alone ? 1 : 2) || (!alone && support.sizes[0] != rows)) RefuseShape(support, expected);
  const int64_t width = support.sizes[support.dim - 1], stride = support.strides[support.dim - 1];
  if (!IsSupportWidth(width)) RefuseShape(support, expected + " with 1 <= width <= " + std::to_string(kMaxVocabulary));
  if (rows > 0 && width > 1 && stride != support.unit)
    RefuseStride(support, "stride", stride, " along its width",
                 std::to_string(support.unit) + " (call " + support.argument + ".contiguous() first)");
}

// One temperature for each row of logits.
inline void CheckTemperature(const Words& words, const View& temperature, const View& logits) {
  CheckDevice(words, temperature, logits);
  CheckDtype(temperature, {"float32"});
  CheckOneOrOneEach(temperature, RowsOf(logits), "row of logits");
}

// What a forward call hands its backward call, a row at a time.
inline void CheckMasses(const Words& words, const View& masses, const View& logits) {
  CheckDevice(words, masses, logits);
  CheckDtype(masses, {"int64"});
  constexpr int64_t kWords = sizeof(SupportMasses) / sizeof(int64_t);
  const int64_t rows = RowsOf(logits);
  if (masses.dim != 2 || masses.sizes[0] != rows || masses.sizes[1] != kWords)
    RefuseShape(masses, "[" + std::to_string(rows) + ", " + std::to_string(kWords) + "] as the forward call gave them");
  CheckRowsAreDense(masses, "contiguous masses, as the forward call gave them");
}

}  // namespace fire
