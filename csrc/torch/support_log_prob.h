// The kernels of support_log_prob and its gradient, for any backend, as operators.h has the others. The Backend has
// members SupportLogProb and SupportLogProbBackward.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <tuple>

#include "torch/operators.h"

namespace fire::operators {

inline void CheckSupportBatch(const char* op, const Tensor& logits_tensor, const Tensor& token, const Tensor& support,
                              const Tensor& temperature) {
  Checked(op, [&] {
    const View logits = ViewOf("logits", logits_tensor);
    CheckLogits(kWords, logits, Access::kRead);
    CheckOneARow(kWords, ViewOf("token", token), logits, {"int64"});
    CheckSupport(kWords, ViewOf("support", support), logits);
    CheckTemperature(kWords, ViewOf("temperature", temperature), logits);
  });
}

// It borrows the memory of checked arguments.
inline SupportBatch MakeSupportBatch(const Tensor& logits, const Tensor& token, const Tensor& support,
                                     const Tensor& temperature) {
  SupportBatch batch;
  SetLogits(logits, Access::kRead, &batch);
  batch.token = ConstData<int64_t>(token);
  batch.token_stride = token.stride(0);
  batch.support = ConstData<int32_t>(support);
  batch.width = support.size(1);
  batch.support_stride = support.stride(0);
  batch.temperature = ConstData<float>(temperature);
  batch.temperature_stride = temperature.dim() == 0 ? 0 : temperature.stride(0);
  return batch;
}

template <typename Backend>
std::tuple<Tensor, Tensor, Tensor, Tensor> SupportLogProb(const Tensor& logits, const Tensor& token,
                                                          const Tensor& support, const Tensor& temperature) {
  CheckSupportBatch("support_log_prob", logits, token, support, temperature);
  const Backend backend("fire::support_log_prob", logits);
  const int64_t rows = logits.size(0);
  Tensor logprob = NewTensor(logits, {rows}, aoti_torch_dtype_float32());
  Tensor full_logprob = NewTensor(logits, {rows}, aoti_torch_dtype_float32());
  Tensor status = NewTensor(logits, {rows}, aoti_torch_dtype_int32());
  Tensor masses = NewTensor(logits, {rows, sizeof(SupportMasses) / sizeof(int64_t)}, aoti_torch_dtype_int64());
  SupportLogProbOutputs outputs;
  outputs.logprob = Data<float>(logprob);
  outputs.full_logprob = Data<float>(full_logprob);
  outputs.status = Data<int32_t>(status);
  outputs.masses = Data<SupportMasses>(masses);
  backend.SupportLogProb(MakeSupportBatch(logits, token, support, temperature), outputs);
  return {logprob, full_logprob, status, masses};
}

template <typename Backend>
Tensor SupportLogProbBackward(const Tensor& grad, const Tensor& full_grad, const Tensor& logits, const Tensor& token,
                              const Tensor& support, const Tensor& temperature, const Tensor& masses) {
  constexpr const char* kOp = "support_log_prob_backward";
  CheckSupportBatch(kOp, logits, token, support, temperature);
  CheckOneARow(kOp, "grad", grad, logits, "float32");
  CheckOneARow(kOp, "full_grad", full_grad, logits, "float32");
  Checked(kOp, [&] { CheckMasses(kWords, ViewOf("masses", masses), ViewOf("logits", logits)); });
  const Backend backend("fire::support_log_prob_backward", logits);
  const SupportBatch batch = MakeSupportBatch(logits, token, support, temperature);
  const Tensor dense_grad = torch::stable::contiguous(grad), dense_full_grad = torch::stable::contiguous(full_grad);
  Tensor grad_logits = NewTensor(logits, {batch.rows, batch.vocabulary}, DtypeOf(logits));
  backend.SupportLogProbBackward(batch, ConstData<SupportMasses>(masses), ConstData<float>(dense_grad),
                                 ConstData<float>(dense_full_grad), grad_logits.mutable_data_ptr(), batch.vocabulary);
  return grad_logits;
}

template <typename Backend, typename Library>
void ImplementSupportLogProb(Library& library) {
  library.impl("support_log_prob", TORCH_BOX(&SupportLogProb<Backend>));
  library.impl("support_log_prob_backward", TORCH_BOX(&SupportLogProbBackward<Backend>));
}

}  // namespace fire::operators
