// The operators' kernels, for any backend: check, allocate, let the backend work.
//
// A Backend is made from the operator's name and a tensor on its device once all arguments are checked, and lives as
// long as the call. It has a member for each function of the C++ API: Sample, SampleWithSupport, SampleGroup,
// SampleCoded, FirstCode, ProcessLogits, HeatLogits, LogProb, LogProbBackward.
#pragma once

#include <torch/csrc/stable/library.h>

#include <optional>
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
struct TensorsFor {
  template <typename... Of>
  std::tuple<std::conditional_t<true, Tensor, Of>...> operator()(const Of&...) const;
};
using Outputs = decltype(WithOutputs(TensorsFor()));

// The tensors of all outputs of `size` members a row, by which `outputs` is filled in.
inline Outputs NewOutputs(const Tensor& logits, SampleOutputs* outputs, std::optional<int64_t> size = std::nullopt) {
  const int64_t rows = logits.size(0);
  const auto allocated = [&](const auto& output) {
    using Value = typename std::decay_t<decltype(output)>::Value;
    Tensor tensor = size.has_value() && output.of_member ? NewTensor(logits, {rows, *size}, DtypeFor<Value>())
                                                         : NewTensor(logits, {rows}, DtypeFor<Value>());
    outputs->*output.array = Data<Value>(tensor);
    return tensor;
  };
  return WithOutputs([&](const auto&... output) { return Outputs{allocated(output)...}; });
}

template <typename Backend>
Outputs SampleWithLogprobs(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot,
                           bool reference) {
  CheckBatch("sample_with_logprobs", logits, step, records, slot);
  const Backend backend("fire::sample_with_logprobs", logits);
  SampleOutputs outputs;
  outputs.reference = reference;
  Outputs tensors = NewOutputs(logits, &outputs);
  backend.Sample(MakeBatch(logits, step, records, slot), outputs);
  return tensors;
}

using OutputsWithSupport =
    decltype(std::tuple_cat(std::declval<Outputs>(), std::declval<std::tuple<Tensor, Tensor>>()));

template <typename Backend>
OutputsWithSupport SampleWithSupport(const Tensor& logits, const Tensor& step, const Tensor& records,
                                     const OptionalTensor& slot, int64_t width, bool reference) {
  CheckBatch("sample_with_support", logits, step, records, slot);
  Checked("sample_with_support", [&] { CheckSupportWidth(width); });
  const Backend backend("fire::sample_with_support", logits);
  SampleOutputs outputs;
  outputs.reference = reference;
  Outputs tensors = NewOutputs(logits, &outputs);
  Tensor support = NewTensor(logits, {logits.size(0), width}, aoti_torch_dtype_int32());
  Tensor support_logprob = NewTensor(logits, {logits.size(0), width}, aoti_torch_dtype_float32());
  backend.SampleWithSupport(MakeBatch(logits, step, records, slot),
                            {width, Data<int32_t>(support), Data<float>(support_logprob)}, outputs);
  return std::tuple_cat(std::move(tensors), std::make_tuple(std::move(support), std::move(support_logprob)));
}

template <typename Backend>
Tensor SampleGroup(const Tensor& logits, const Tensor& step, const Tensor& records, const OptionalTensor& slot,
                   int64_t size) {
  CheckBatch("sample_group", logits, step, records, slot);
  Checked("sample_group", [&] { CheckGroupSize(size); });
  const Backend backend("fire::sample_group", logits);
  Tensor token = NewTensor(logits, {logits.size(0), size}, aoti_torch_dtype_int64());
  SampleOutputs outputs;
  outputs.token = Data<int64_t>(token);
  backend.SampleGroup(MakeBatch(logits, step, records, slot), size, outputs);
  return token;
}

template <typename Backend>
Outputs SampleGroupWithLogprobs(const Tensor& logits, const Tensor& step, const Tensor& records,
                                const OptionalTensor& slot, int64_t size, bool reference) {
  CheckBatch("sample_group_with_logprobs", logits, step, records, slot);
  Checked("sample_group_with_logprobs", [&] { CheckGroupSize(size); });
  const Backend backend("fire::sample_group_with_logprobs", logits);
  SampleOutputs outputs;
  outputs.reference = reference;
  Outputs tensors = NewOutputs(logits, &outputs, size);
  backend.SampleGroup(MakeBatch(logits, step, records, slot), size, outputs);
  return tensors;
}

// A code is 64 bits, unsigned; its tensors are int64, which torch computes with everywhere.
template <typename Backend>
std::tuple<Tensor, Tensor> SampleCoded(const Tensor& logits, const Tensor& code, const Tensor& step,
                                       const Tensor& records, const OptionalTensor& slot) {
  CheckBatch("sample_coded", logits, step, records, slot);
  CheckOneARow("sample_coded", "code", code, logits, "int64");
  const Backend backend("fire::sample_coded", logits);
  const Batch batch = MakeBatch(logits, step, records, slot);
  Tensor token = NewTensor(logits, {batch.rows}, aoti_torch_dtype_int64());
  Tensor next_code = NewTensor(logits, {batch.rows}, aoti_torch_dtype_int64());
  backend.SampleCoded(batch, ConstData<uint64_t>(code), code.stride(0), Data<int64_t>(token),
                      Data<uint64_t>(next_code));
  return {token, next_code};
}

template <typename Backend>
Tensor FirstCode(const Tensor& step, const Tensor& records, const OptionalTensor& slot) {
  CheckSequences("first_code", step, records, slot);
  const Backend backend("fire::first_code", records);
  const Batch batch = MakeBatch(step, records, slot);
  Tensor code = NewTensor(records, {batch.rows}, aoti_torch_dtype_int64());
  backend.FirstCode(batch, Data<uint64_t>(code));
  return code;
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
  library.impl("sample_with_support", TORCH_BOX(&SampleWithSupport<Backend>));
  library.impl("sample_group", TORCH_BOX(&SampleGroup<Backend>));
  library.impl("sample_group_with_logprobs", TORCH_BOX(&SampleGroupWithLogprobs<Backend>));
  library.impl("sample_coded", TORCH_BOX(&SampleCoded<Backend>));
  library.impl("first_code", TORCH_BOX(&FirstCode<Backend>));
  library.impl("process_logits", TORCH_BOX(&ProcessLogits<Backend>));
  library.impl("heat_logits_", TORCH_BOX(&HeatLogits<Backend>));
  library.impl("log_prob", TORCH_BOX(&LogProb<Backend>));
  library.impl("log_prob_backward", TORCH_BOX(&LogProbBackward<Backend>));
}

}  // namespace fire::operators
