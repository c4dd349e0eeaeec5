// The operators' kernels, for any backend: check, allocate, let the backend work.
//
// A Backend is made from the operator's name and the logits once all arguments are checked, and lives as long as the
// call. It has a member for each function of the C++ API: Sample, ProcessLogits, HeatLogits, LogProb, LogProbBackward.
#pragma once

#include <torch/csrc/stable/library.h>

#include <tuple>
#include <type_traits>
#include <utility>

#include "definition/row_sample.h"
#include "torch/arguments.h"

namespace fire::operators {

template <typename T>
T* Data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

template <typename T>
const T* ConstData(const Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

template <typename Backend>
Tensor Sample(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot) {
  CheckBatch("sample", logits, step, records, slot);
  const Backend backend("fire::sample", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  Tensor token = NewTensor(logits, {batch.rows}, aoti_torch_dtype_int64());
  SampleOutputs outputs;
  outputs.token = Data<int64_t>(token);
  backend.Sample(batch, outputs);
  return token;
}

template <typename T>
int32_t DtypeFor() {
  if constexpr (std::is_same_v<T, int64_t>) return aoti_torch_dtype_int64();
  if constexpr (std::is_same_v<T, int32_t>) return aoti_torch_dtype_int32();
  if constexpr (std::is_same_v<T, float>) return aoti_torch_dtype_float32();
}

// A tensor for each output.
template <typename... T>
std::tuple<std::conditional_t<true, Tensor, T>...> TensorsFor(const std::tuple<T...>&);
using Outputs = decltype(TensorsFor(kOutputs));

template <typename Backend>
Outputs SampleWithLogprobs(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot,
                           bool reference) {
  CheckBatch("sample_with_logprobs", logits, step, records, slot);
  const Backend backend("fire::sample_with_logprobs", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  SampleOutputs outputs;
  outputs.reference = reference;
  const auto allocated = [&](const auto& output) {
    using Value = typename std::decay_t<decltype(output)>::Value;
    Tensor tensor = NewTensor(logits, {batch.rows}, DtypeFor<Value>());
    outputs.*output.array = Data<Value>(tensor);
    return tensor;
  };
  Outputs tensors = std::apply([&](const auto&... output) { return Outputs{allocated(output)...}; }, kOutputs);
  backend.Sample(batch, outputs);
  return tensors;
}

template <typename Backend>
Tensor ProcessLogits(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot) {
  CheckBatch("process_logits", logits, step, records, slot);
  const Backend backend("fire::process_logits", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  Tensor out = NewTensor(logits, {batch.rows, batch.vocabulary}, aoti_torch_dtype_float32());
  backend.ProcessLogits(batch, Data<float>(out), batch.vocabulary);
  return out;
}

template <typename Backend>
void HeatLogits(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot) {
  CheckBatch("heat_logits_", logits, step, records, slot, Access::kWrite);
  const Backend backend("fire::heat_logits_", logits);
  const Batch batch = MakeBatch(logits, step, records, slot, Access::kWrite);
  backend.HeatLogits(batch, Data<float>(logits));
}

template <typename Backend>
Tensor LogProb(const Tensor& logits, const Tensor& token, const Tensor& step, const Tensor& records,
               const OptionalTensor& slot) {
  CheckBatch("log_prob", logits, step, records, slot);
  CheckOneARow("log_prob", "token", token, logits, "int64");
  const Backend backend("fire::log_prob", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  Tensor logprob = NewTensor(logits, {batch.rows}, aoti_torch_dtype_float32());
  backend.LogProb(batch, ConstData<int64_t>(token), token.stride(0), Data<float>(logprob));
  return logprob;
}

template <typename Backend>
Tensor LogProbBackward(const Tensor& grad, const Tensor& logits, const Tensor& token, const Tensor& step,
                       const Tensor& records, const OptionalTensor& slot) {
  CheckBatch("log_prob_backward", logits, step, records, slot);
  CheckOneARow("log_prob_backward", "token", token, logits, "int64");
  CheckOneARow("log_prob_backward", "grad", grad, logits, "float32");
  const Backend backend("fire::log_prob_backward", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  Tensor grad_logits = NewTensor(logits, {batch.rows, batch.vocabulary}, DtypeOf(logits));
  backend.LogProbBackward(batch, ConstData<int64_t>(token), token.stride(0), ConstData<float>(grad), grad.stride(0),
                          grad_logits.mutable_data_ptr(), batch.vocabulary);
  return grad_logits;
}

template <typename Backend, typename Library>
void Implement(Library& library) {
  library.impl("sample", TORCH_BOX(&Sample<Backend>));
  library.impl("sample_with_logprobs", TORCH_BOX(&SampleWithLogprobs<Backend>));
  library.impl("process_logits", TORCH_BOX(&ProcessLogits<Backend>));
  library.impl("heat_logits_", TORCH_BOX(&HeatLogits<Backend>));
  library.impl("log_prob", TORCH_BOX(&LogProb<Backend>));
  library.impl("log_prob_backward", TORCH_BOX(&LogProbBackward<Backend>));
}

}  // namespace fire::operators
