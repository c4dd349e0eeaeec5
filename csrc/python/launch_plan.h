// Shows which CUDA launch a shape gets. The plan is host code that every build has, so this needs no GPU.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "batch_checks.h"
#include "kernels/plan.h"

namespace fire::python {

namespace py = pybind11;

inline const std::map<std::string, kernels::Task>& Tasks() {
  static const std::map<std::string, kernels::Task> tasks = {
      {"sample", kernels::Task::kSample},
      {"sample_with_reference", kernels::Task::kSampleWithReference},
      {"sample_group", kernels::Task::kSampleGroup},
      {"process_logits", kernels::Task::kProcessLogits},
      {"heat_logits_", kernels::Task::kHeatLogits},
      {"log_prob", kernels::Task::kLogProb},
      {"log_prob_backward", kernels::Task::kLogProbBackward},
      {"sample_with_support", kernels::Task::kSampleWithSupport},
      {"support_log_prob", kernels::Task::kSupportLogProb},
      {"support_log_prob_backward", kernels::Task::kSupportLogProbBackward},
      {"shard_answer", kernels::Task::kShardAnswer},
  };
  return tasks;
}

inline const std::map<std::string, LogitsType>& LogitsTypes() {
  static const std::map<std::string, LogitsType> types = {
      {"float32", LogitsType::kFloat32}, {"bfloat16", LogitsType::kBFloat16}, {"float16", LogitsType::kFloat16}};
  return types;
}

template <typename Value>
Value Named(const std::map<std::string, Value>& values, const char* argument, const std::string& name) {
  const auto found = values.find(name);
  if (found != values.end()) return found->second;
  std::string expected;
  for (const auto& [known, value] : values) expected += (expected.empty() ? "" : ", ") + known;
  throw py::value_error("fire_sampling._native.plan: " + std::string(argument) + " is '" + name +
                        "', expected one of " + expected);
}

inline py::dict ShowPlan(const std::string& task, int64_t rows, int64_t vocabulary, const std::string& dtype,
                         const kernels::Device& device) {
  if (rows < 0)
    throw py::value_error("fire_sampling._native.plan: rows is " + std::to_string(rows) + ", expected 0 or more");
  if (!IsVocabulary(vocabulary))
    throw py::value_error("fire_sampling._native.plan: vocabulary is " + std::to_string(vocabulary) +
                          ", expected 1 … " + std::to_string(kMaxVocabulary));
  const kernels::Plan plan =
      kernels::PlanFor(Named(Tasks(), "task", task), rows, vocabulary, Named(LogitsTypes(), "dtype", dtype), device);
  py::dict shown;
  shown["launch"] = kernels::NameOf(plan);
  shown["cluster"] = plan.cluster;
  shown["threads"] = plan.threads;
  shown["shared_bytes"] = plan.shared_bytes;
  shown["resident"] = plan.resident;
  shown["pilot_shift"] = plan.pilot_shift;
  return shown;
}

inline void ExposeLaunchPlan(py::module_& module) {
  const kernels::Device device;
  module.def(
      "plan",
      [](const std::string& task, int64_t rows, int64_t vocabulary, const std::string& dtype, int compute_capability,
         int multiprocessors, int shared_bytes, int largest_cluster, const std::array<int, 4>& clusters) {
        return ShowPlan(task, rows, vocabulary, dtype,
                        {compute_capability, multiprocessors, shared_bytes, largest_cluster, clusters});
      },
      py::arg("task"), py::arg("rows"), py::arg("vocabulary"), py::arg("dtype"), py::kw_only(),
      py::arg("compute_capability") = device.compute_capability, py::arg("multiprocessors") = device.multiprocessors,
      py::arg("shared_bytes") = device.shared_bytes, py::arg("largest_cluster") = device.largest_cluster,
      py::arg("clusters") = std::array<int, 4>{66, 30, 15, 7});  // assumed of an H200
  py::list tasks;
  for (const auto& [name, task] : Tasks()) tasks.append(name);
  module.attr("TASKS") = py::tuple(tasks);
}

}  // namespace fire::python
