// Records in Python: their layout, what spreads them over rows and groups, and what the definition reads from one.
#pragma once

#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>

#include "definition/heat.h"
#include "fire/config.h"
#include "fire/sampling.h"
#include "group_records.h"
#include "python/arguments.h"

namespace fire::python {

using RecordWords = py::array_t<uint32_t, py::array::c_style>;

inline Record RecordOf(const char* function, const RecordWords& words) {
  if (words.ndim() != 1 || words.shape(0) != kRecordWords) {
    throw py::value_error(std::string("fire_sampling._native.") + function + ": record has shape " + ShapeName(words) +
                          ", expected [16]");
  }
  Record record;
  std::memcpy(static_cast<void*>(&record), words.data(), sizeof record);
  return record;
}

inline py::array_t<uint32_t> SpreadRecords(const RecordWords& record, int64_t rows, uint64_t first_row) {
  const Record source = RecordOf("spread_records", record);
  py::array_t<uint32_t> records({rows, int64_t{kRecordWords}});
  uint32_t* out = records.mutable_data();
  for (int64_t row = 0; row < rows; ++row) {
    const Record spread = SpreadRecord(source, first_row + static_cast<uint64_t>(row));
    std::memcpy(out + row * kRecordWords, &spread, sizeof spread);
  }
  return records;
}

// The records of `blocks` groups of `size`, of each the members in their order.
inline py::array_t<uint32_t> GroupRecords(const RecordWords& record, int64_t blocks, uint64_t first_block,
                                          uint32_t size) {
  const Record source = RecordOf("group_records", record);
  py::array_t<uint32_t> records({blocks * size, int64_t{kRecordWords}});
  uint32_t* out = records.mutable_data();
  ForEachGroupRecord(source, first_block, static_cast<uint64_t>(blocks), size, [&out](const Record& one) {
    std::memcpy(out, &one, sizeof one);
    out += kRecordWords;
  });
  return records;
}

// A record as a NumPy type.
inline py::dtype RecordType() {
  const Record record;
  py::list names, types, offsets;
  const auto add = [&](const auto& field) {
    const auto& word = record.*field.second;
    names.append(field.first);
    types.append(py::dtype::of<std::decay_t<decltype(word)>>());
    offsets.append(reinterpret_cast<const char*>(&word) - reinterpret_cast<const char*>(&record));
  };
  std::apply([&](const auto&... fields) { (add(fields), ...); }, kRecordFields);
  return py::dtype(names, types, offsets, sizeof record);
}

// What Python needs to write a record, so that its layout has one home: fire/config.h.
inline void ExposeLayout(py::module_& module) {
  module.attr("RECORD") = RecordType();
  module.attr("MAX_VOCABULARY") = kMaxVocabulary;
  py::dict orders, ties, designs;
  const auto in_flags = [](auto code, uint32_t shift) { return static_cast<uint32_t>(code) << shift; };
  orders["hf"] = in_flags(Order::kHf, kOrderShift);
  orders["vllm"] = in_flags(Order::kVllm, kOrderShift);
  orders["joint"] = in_flags(Order::kJoint, kOrderShift);
  ties["exact"] = in_flags(Ties::kExact, kTiesShift);
  ties["keep_top_k"] = in_flags(Ties::kKeepTopK, kTiesShift);
  ties["keep"] = in_flags(Ties::kKeep, kTiesShift);
  designs["none"] = in_flags(Design::kNone, kDesignShift);
  designs["iid"] = in_flags(Design::kIid, kDesignShift);
  designs["stratified"] = in_flags(Design::kStratified, kDesignShift);
  designs["lattice"] = in_flags(Design::kLattice, kDesignShift);
  designs["enumerated"] = in_flags(Design::kEnumerated, kDesignShift);
  module.attr("ORDER_FLAGS") = orders;
  module.attr("TIES_FLAGS") = ties;
  module.attr("DESIGN_FLAGS") = designs;
  module.attr("MEMBER_SHIFT") = kMemberShift;
  module.attr("MAX_GROUP_SIZE") = kMaxGroupSize;
  module.attr("REF_TEMPERATURE_GIVEN") = kRefTemperatureGiven;
}

inline void ExposeRecords(py::module_& module) {
  ExposeLayout(module);
  module.def("spread_records", &SpreadRecords, py::arg("record"), py::arg("rows"), py::arg("first_row"));
  module.def("group_records", &GroupRecords, py::arg("record"), py::arg("blocks"), py::arg("first_block"),
             py::arg("size"));
  module.def(
      "is_greedy",
      [](double temperature) {
        return definition::HeatOf(static_cast<float>(temperature)) == definition::Heat::kGreedy;
      },
      py::arg("temperature"));
  module.def(
      "hands_over",
      [](const RecordWords& record, uint32_t vocabulary) {
        return definition::HandsOver(RecordOf("hands_over", record), vocabulary);
      },
      py::arg("record"), py::arg("vocabulary"));
}

}  // namespace fire::python
