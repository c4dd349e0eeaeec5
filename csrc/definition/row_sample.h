// What is told of one sampled row, and the list of outputs that every entry and kernel takes from here.
#pragma once

#include <cstdint>

#include "definition/bits.h"
#include "fire/sampling.h"

namespace fire {

// One row's outputs; SampleOutputs has an array of each.
struct RowSample {
  int64_t token = 0;
  float logprob = 0;
  float ref_logprob = 0;
  int32_t rank = 0;
  int32_t kept = 0;
  int32_t status = 0;
};

template <typename T>
struct Output {
  using Value = T;
  // Named: nvcc writes a member of such a type with parentheses, which the host's compiler then warns of.
  using Array = T* SampleOutputs::*;
  using Member = T RowSample::*;

  const char* name;
  Array array;
  Member value;
  bool of_member = false;  // each member of a group has its own
};

template <typename T>
Output(const char*, T* SampleOutputs::*, T RowSample::*, bool = false) -> Output<T>;

// take(output …) of all of them, in the order in which the operators return them.
template <typename Take>
FIRE_RULE auto WithOutputs(const Take& take) {
  return take(Output{"token", &SampleOutputs::token, &RowSample::token, true},
              Output{"logprob", &SampleOutputs::logprob, &RowSample::logprob, true},
              Output{"ref_logprob", &SampleOutputs::ref_logprob, &RowSample::ref_logprob, true},
              Output{"rank", &SampleOutputs::rank, &RowSample::rank, true},
              Output{"kept", &SampleOutputs::kept, &RowSample::kept},
              Output{"status", &SampleOutputs::status, &RowSample::status});
}

template <typename Visit>
FIRE_RULE void ForEachOutput(const Visit& visit) {
  WithOutputs([&](const auto&... output) { (visit(output), ...); });
}

// Whether any of them is wanted.
FIRE_RULE bool WantsAny(const SampleOutputs& outputs) {
  bool wants = false;
  ForEachOutput([&](const auto& output) { wants |= outputs.*output.array != nullptr; });
  return wants;
}

// Writes those that are wanted.
FIRE_RULE void Write(const RowSample& sample, int64_t row, const SampleOutputs& outputs) {
  ForEachOutput([&](const auto& output) {
    auto* const array = outputs.*output.array;
    if (array != nullptr) array[row] = sample.*output.value;
  });
}

}  // namespace fire
