// The module `fire_sampling._native`: the C++ API over NumPy arrays, without torch. `fire_sampling.numpy`
// documents the functions; here each is: check, allocate, release the GIL, call.
#include <unistd.h>

#include <cstring>
#include <exception>
#include <type_traits>
#include <utility>
#include <vector>

#include "definition/row_sample.h"
#include "definition/shard_search.h"
#include "fire/sampling.h"
#include "fire/shards.h"
#include "python/arguments.h"
#include "python/launch_plan.h"
#include "python/records.h"
#include "python/support_arguments.h"
#include "refused_row.h"

namespace fire::python {
namespace {

// Takes the GIL again. Once Python is ending, a daemon thread cannot have it: CPython then ends the thread by unwinding
// its stack, which would run destructors that touch Python objects, or abort in one that may not throw. It waits for
// the end of the process instead.
void TakeGil(PyThreadState* state) {
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    for (;;) pause();
  }
}

// Runs `call` while other Python threads may run; it must not touch a Python object.
template <typename Call>
void WithoutGil(const Call& call) {
  PyThreadState* const state = PyEval_SaveThread();
  std::exception_ptr failure;
  try {
    call();
  } catch (...) {
    failure = std::current_exception();
  }
  TakeGil(state);
  if (failure) std::rethrow_exception(failure);
}

py::object Sample(const py::object& logits, const py::object& step, const py::object& records, const py::object& slot) {
  const BatchArguments arguments("sample", logits, step, records, slot);
  py::array_t<int64_t> token(arguments.batch().rows);
  SampleOutputs outputs;
  outputs.token = token.mutable_data();
  WithoutGil([&] { SampleCpu(arguments.batch(), outputs); });
  return arguments.Result(token);
}

// The arrays of all outputs of `size` members a row, 0 of which stand for no group, by which `outputs` is filled in.
std::vector<py::array> NewArrays(int64_t rows, int64_t size, SampleOutputs* outputs) {
  std::vector<py::array> arrays;
  ForEachOutput([&](const auto& output) {
    std::vector<py::ssize_t> shape = {rows};
    if (size != 0 && output.of_member) shape.push_back(size);
    py::array_t<typename std::decay_t<decltype(output)>::Value> array(shape);
    outputs->*output.array = array.mutable_data();
    arrays.push_back(array);
  });
  return arrays;
}

py::tuple Results(const BatchArguments& arguments, const std::vector<py::array>& arrays) {
  py::tuple results(arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) results[i] = arguments.Result(arrays[i]);
  return results;
}

py::tuple SampleWithLogprobs(const py::object& logits, const py::object& step, const py::object& records,
                             const py::object& slot, bool reference) {
  const BatchArguments arguments("sample_with_logprobs", logits, step, records, slot);
  SampleOutputs outputs;
  outputs.reference = reference;
  const std::vector<py::array> arrays = NewArrays(arguments.batch().rows, 0, &outputs);
  WithoutGil([&] { SampleCpu(arguments.batch(), outputs); });
  return Results(arguments, arrays);
}

// `width`: from 1 to kMaxVocabulary.
py::tuple SampleWithSupport(const py::object& logits, const py::object& step, const py::object& records,
                            const py::object& slot, int64_t width, bool reference) {
  const BatchArguments arguments("sample_with_support", logits, step, records, slot);
  SampleOutputs outputs;
  outputs.reference = reference;
  std::vector<py::array> arrays = NewArrays(arguments.batch().rows, 0, &outputs);
  py::array_t<int32_t> support({arguments.batch().rows, width});
  py::array_t<float> support_logprob({arguments.batch().rows, width});
  const SupportOutputs places = {width, support.mutable_data(), support_logprob.mutable_data()};
  arrays.push_back(std::move(support));
  arrays.push_back(std::move(support_logprob));
  WithoutGil([&] { SampleWithSupportCpu(arguments.batch(), places, outputs); });
  return Results(arguments, arrays);
}

// `size`: from 1 to kMaxGroupSize.
py::object SampleGroup(const py::object& logits, const py::object& step, const py::object& records,
                       const py::object& slot, int64_t size) {
  const BatchArguments arguments("sample_group", logits, step, records, slot);
  py::array_t<int64_t> token({arguments.batch().rows, size});
  SampleOutputs outputs;
  outputs.token = token.mutable_data();
  WithoutGil([&] { SampleGroupCpu(arguments.batch(), size, outputs); });
  return arguments.Result(token);
}

py::tuple SampleGroupWithLogprobs(const py::object& logits, const py::object& step, const py::object& records,
                                  const py::object& slot, int64_t size, bool reference) {
  const BatchArguments arguments("sample_group_with_logprobs", logits, step, records, slot);
  SampleOutputs outputs;
  outputs.reference = reference;
  const std::vector<py::array> arrays = NewArrays(arguments.batch().rows, size, &outputs);
  WithoutGil([&] { SampleGroupCpu(arguments.batch(), size, outputs); });
  return Results(arguments, arrays);
}

py::tuple SampleCoded(const py::object& logits, const py::object& code, const py::object& step,
                      const py::object& records, const py::object& slot) {
  const BatchArguments arguments("sample_coded", logits, step, records, slot);
  const py::array codes = arguments.OneARow({"sample_coded", "code"}, code, {"uint64", "int64"});
  py::array_t<int64_t> token(arguments.batch().rows);
  py::array_t<uint64_t> next(arguments.batch().rows);
  const auto* drawn_with = static_cast<const uint64_t*>(codes.data());
  int64_t* const tokens = token.mutable_data();
  uint64_t* const next_codes = next.mutable_data();
  WithoutGil([&] { SampleCodedCpu(arguments.batch(), drawn_with, 1, tokens, next_codes); });
  return py::make_tuple(arguments.Result(token), arguments.Result(next));
}

py::array_t<uint64_t> FirstCode(const py::object& step, const py::object& records, const py::object& slot) {
  const SequenceArguments arguments("first_code", step, records, slot);
  py::array_t<uint64_t> code(arguments.batch().rows);
  uint64_t* const codes = code.mutable_data();
  WithoutGil([&] { FirstCodeCpu(arguments.batch(), codes); });
  return code;
}

py::object ProcessLogits(const py::object& logits, const py::object& step, const py::object& records,
                         const py::object& slot) {
  const BatchArguments arguments("process_logits", logits, step, records, slot);
  const Batch& batch = arguments.batch();
  py::array_t<float> processed({batch.rows, batch.vocabulary});
  float* out = processed.mutable_data();
  WithoutGil([&] { ProcessLogitsCpu(batch, out, batch.vocabulary); });
  return arguments.Result(processed);
}

py::object LogProb(const py::object& logits, const py::object& token, const py::object& step, const py::object& records,
                   const py::object& slot) {
  const BatchArguments arguments("log_prob", logits, step, records, slot);
  const py::array tokens = arguments.OneARow({"log_prob", "token"}, token, {"int64"});
  py::array_t<float> logprob(arguments.batch().rows);
  const auto* ids = static_cast<const int64_t*>(tokens.data());
  float* out = logprob.mutable_data();
  WithoutGil([&] { LogProbCpu(arguments.batch(), ids, 1, out); });
  return arguments.Result(logprob);
}

py::tuple SupportLogProb(const py::object& logits, const py::object& token, const py::object& support,
                         const py::object& temperature) {
  constexpr const char* kFunction = "support_log_prob";
  const SupportArguments arguments(kFunction, logits, token, support, temperature);
  py::array_t<float> logprob(arguments.batch().rows), full_logprob(arguments.batch().rows);
  py::array_t<int32_t> status(arguments.batch().rows);
  SupportLogProbOutputs outputs;
  outputs.logprob = logprob.mutable_data();
  outputs.full_logprob = full_logprob.mutable_data();
  outputs.status = status.mutable_data();
  try {
    WithoutGil([&] { SupportLogProbCpu(arguments.batch(), outputs); });
  } catch (const RefusedRow& refused) {
    Argument{kFunction, refused.argument()}.Refuse(refused.words());
  }
  return py::make_tuple(arguments.Result(logprob), arguments.Result(full_logprob), arguments.Result(status));
}

py::dict BuildInfo() {
  py::dict info;
  info["version"] = FIRE_VERSION;
#if defined(__clang__)
  info["compiler"] = "clang " __clang_version__;
#else
  info["compiler"] = "g++ " __VERSION__;
#endif
  info["instruction_set"] = CpuInstructionSet();
  info["cuda"] = FIRE_CUDA_BUILD;
  info["torch"] = std::strlen(FIRE_TORCH_VERSION) == 0 ? py::object(py::none()) : py::str(FIRE_TORCH_VERSION);
  return info;
}

// What Python needs to ask ranks that hold a vocabulary in shards.
void ExposeShards(py::module_& module) {
  module.attr("MAX_SHARD_RANKS") = kMaxShardRanks;
  module.attr("MAX_SHARD_ENTRIES") = kMaxShardEntries;
  module.attr("SHARD_STATE_WORDS") = sizeof(ShardState) / sizeof(int64_t);
  module.attr("SHARD_HAS_NAN") = kShardHasNan;
  py::dict wants, key_bits;
  wants["draw"] = kShardWantsDraw;
  wants["reference"] = kShardWantsReference;
  wants["log_prob"] = kShardWantsLogProb;
  wants["heat"] = kShardWantsHeat;
  key_bits["float32"] = definition::KeyBitsOf(LogitsType::kFloat32);
  key_bits["float16"] = definition::KeyBitsOf(LogitsType::kFloat16);
  key_bits["bfloat16"] = definition::KeyBitsOf(LogitsType::kBFloat16);
  module.attr("SHARD_WANTS") = wants;
  module.attr("SHARD_KEY_BITS") = key_bits;
  module.def("shard_slots", &ShardSlots, py::arg("questions"), py::arg("ranks"));
}

// The outputs of sample_with_logprobs: their names, the types of their elements, and whether each member of a group has
// its own.
py::tuple Outputs() {
  py::list outputs;
  ForEachOutput([&](const auto& output) {
    const py::dtype type = py::dtype::of<typename std::decay_t<decltype(output)>::Value>();
    outputs.append(py::make_tuple(output.name, type.attr("name"), output.of_member));
  });
  return py::tuple(outputs);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  ExposeRecords(module);
  ExposeShards(module);
  module.attr("OUTPUTS") = Outputs();
  module.def("sample", &Sample, py::arg("logits"), py::arg("step"), py::arg("records"), py::arg("slot") = py::none());
  module.def("sample_with_logprobs", &SampleWithLogprobs, py::arg("logits"), py::arg("step"), py::arg("records"),
             py::arg("slot") = py::none(), py::arg("reference") = true);
  module.def("sample_with_support", &SampleWithSupport, py::arg("logits"), py::arg("step"), py::arg("records"),
             py::arg("slot"), py::kw_only(), py::arg("width"), py::arg("reference"));
  module.def("sample_group", &SampleGroup, py::arg("logits"), py::arg("step"), py::arg("records"), py::arg("slot"),
             py::kw_only(), py::arg("size"));
  module.def("sample_group_with_logprobs", &SampleGroupWithLogprobs, py::arg("logits"), py::arg("step"),
             py::arg("records"), py::arg("slot"), py::kw_only(), py::arg("size"), py::arg("reference"));
  module.def("sample_coded", &SampleCoded, py::arg("logits"), py::arg("code"), py::arg("step"), py::arg("records"),
             py::arg("slot"));
  module.def("first_code", &FirstCode, py::arg("step"), py::arg("records"), py::arg("slot"));
  module.def("process_logits", &ProcessLogits, py::arg("logits"), py::arg("step"), py::arg("records"),
             py::arg("slot") = py::none());
  module.def("log_prob", &LogProb, py::arg("logits"), py::arg("token"), py::arg("step"), py::arg("records"),
             py::arg("slot") = py::none());
  module.def("support_log_prob", &SupportLogProb, py::arg("logits"), py::arg("token"), py::arg("support"),
             py::arg("temperature"));
  module.def("build_info", &BuildInfo);
  ExposeLaunchPlan(module);
}

}  // namespace fire::python
