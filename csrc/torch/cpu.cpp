// The operators: their schemas, for every backend, and their CPU kernels. Plain torch dispatch, no Python, so that a
// C++ program with libtorch loads this object and samples; python/fire_sampling/_ops.py adds what only Python can.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "torch/arguments.h"

namespace fire::operators {
namespace {

using OptionalTensor = std::optional<Tensor>;

// torch's own threads, as many as torch.set_num_threads allows.
void TorchParallelFor(int64_t count, const ParallelForBody& body) {
  torch::stable::parallel_for(0, count, /*grain_size=*/1, body);
}

template <typename T>
T* Data(const Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

Tensor Sample(const Tensor& logits, const Tensor& step, const Tensor& cfg, const OptionalTensor& slot) {
  const Batch batch = CheckedBatch("sample", logits, step, cfg, slot);
  Tensor token = NewTensor(logits, {batch.rows}, aoti_torch_dtype_int64());
  SampleOutputs outputs;
  outputs.token = Data<int64_t>(token);
  SampleCpu(batch, outputs, TorchParallelFor);
  return token;
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> SampleWithLogprobs(const Tensor& logits, const Tensor& step,
                                                                              const Tensor& cfg,
                                                                              const OptionalTensor& slot,
                                                                              bool reference) {
  const Batch batch = CheckedBatch("sample_with_logprobs", logits, step, cfg, slot);
  const auto new_tensor = [&](int32_t dtype) { return NewTensor(logits, {batch.rows}, dtype); };
  Tensor token = new_tensor(aoti_torch_dtype_int64());
  Tensor logprob = new_tensor(aoti_torch_dtype_float32());
  Tensor ref_logprob = new_tensor(aoti_torch_dtype_float32());
  Tensor rank = new_tensor(aoti_torch_dtype_int32());
  Tensor kept = new_tensor(aoti_torch_dtype_int32());
  Tensor status = new_tensor(aoti_torch_dtype_int32());

  SampleOutputs outputs;
  outputs.token = Data<int64_t>(token);
  outputs.logprob = Data<float>(logprob);
  outputs.kept = Data<int32_t>(kept);
  outputs.status = Data<int32_t>(status);
  if (reference) {
    outputs.ref_logprob = Data<float>(ref_logprob);
    outputs.rank = Data<int32_t>(rank);
  } else {
    std::fill_n(Data<float>(ref_logprob), batch.rows, std::numeric_limits<float>::quiet_NaN());
    std::fill_n(Data<int32_t>(rank), batch.rows, -1);
  }
  SampleCpu(batch, outputs, TorchParallelFor);
  return {token, logprob, ref_logprob, rank, kept, status};
}

Tensor ProcessLogits(const Tensor& logits, const Tensor& step, const Tensor& cfg, const OptionalTensor& slot) {
  const Batch batch = CheckedBatch("process_logits", logits, step, cfg, slot);
  Tensor out = NewTensor(logits, {batch.rows, batch.vocabulary}, aoti_torch_dtype_float32());
  ProcessLogitsCpu(batch, Data<float>(out), batch.vocabulary, TorchParallelFor);
  return out;
}

void HeatLogits(const Tensor& logits, const Tensor& step, const Tensor& cfg, const OptionalTensor& slot) {
  const Batch batch = CheckedBatch("heat_logits_", logits, step, cfg, slot, Access::kWrite);
  HeatLogitsCpu(batch, Data<float>(logits), TorchParallelFor);
}

Tensor LogProb(const Tensor& logits, const Tensor& token, const Tensor& step, const Tensor& cfg,
               const OptionalTensor& slot) {
  const Batch batch = CheckedBatch("log_prob", logits, step, cfg, slot);
  CheckToken("log_prob", token, logits);
  Tensor logprob = NewTensor(logits, {batch.rows}, aoti_torch_dtype_float32());
  LogProbCpu(batch, static_cast<const int64_t*>(token.const_data_ptr()), token.stride(0), Data<float>(logprob),
             TorchParallelFor);
  return logprob;
}

Tensor LogProbBackward(const Tensor& grad, const Tensor& logits, const Tensor& token, const Tensor& step,
                       const Tensor& cfg, const OptionalTensor& slot) {
  const Batch batch = CheckedBatch("log_prob_backward", logits, step, cfg, slot);
  CheckToken("log_prob_backward", token, logits);
  CheckGrad("log_prob_backward", grad, logits);
  Tensor grad_logits = NewTensor(logits, {batch.rows, batch.vocabulary}, View(logits).dtype);
  LogProbBackwardCpu(batch, static_cast<const int64_t*>(token.const_data_ptr()), token.stride(0),
                     static_cast<const float*>(grad.const_data_ptr()), grad.stride(0), grad_logits.mutable_data_ptr(),
                     batch.vocabulary, TorchParallelFor);
  return grad_logits;
}

}  // namespace
}  // namespace fire::operators

STABLE_TORCH_LIBRARY(fire, library) {
  library.def("sample(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def(
      "sample_with_logprobs(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None, *, bool reference=True) -> "
      "(Tensor token, Tensor logprob, Tensor ref_logprob, Tensor rank, Tensor kept, Tensor status)");
  library.def("process_logits(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def("heat_logits_(Tensor(a!) logits, Tensor step, Tensor cfg, Tensor? slot=None) -> ()");
  library.def("log_prob(Tensor logits, Tensor token, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def(
      "log_prob_backward(Tensor grad, Tensor logits, Tensor token, Tensor step, Tensor cfg, Tensor? slot=None) -> "
      "Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(fire, CPU, library) {
  library.impl("sample", TORCH_BOX(&fire::operators::Sample));
  library.impl("sample_with_logprobs", TORCH_BOX(&fire::operators::SampleWithLogprobs));
  library.impl("process_logits", TORCH_BOX(&fire::operators::ProcessLogits));
  library.impl("heat_logits_", TORCH_BOX(&fire::operators::HeatLogits));
  library.impl("log_prob", TORCH_BOX(&fire::operators::LogProb));
  library.impl("log_prob_backward", TORCH_BOX(&fire::operators::LogProbBackward));
}
