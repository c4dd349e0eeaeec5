// The operators' schemas, for every backend, and their CPU kernels. Plain torch dispatch, no Python, so that a
// C++ program with libtorch loads this object and samples; python/fire_sampling/_ops.py adds what only Python can.
#include <pthread.h>
#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "refused_row.h"
#include "torch/operators.h"
#include "torch/shards.h"
#include "torch/support_log_prob.h"

namespace fire::operators {
namespace {

// fork copies torch's pool without its threads, and a child that uses the copy waits for them for ever. Whether the
// parent had a pool is not to be asked: any function of torch may have started it.
std::atomic<bool> is_forked{false};
const int fork_is_watched = pthread_atfork(nullptr, nullptr, [] { is_forked = true; });

// Runs the body on torch's own threads, as many as torch.set_num_threads allows; on one in a forked child.
void TorchParallelFor(int64_t count, const ParallelForBody& body) {
  if (count <= 1 || is_forked) {
    if (count > 0) body(0, count);
    return;
  }
  torch::stable::parallel_for(0, count, /*grain_size=*/1, body);
}

struct Cpu {
  Cpu(const char* name_in, const Tensor&) : name(name_in) {}

  void Sample(const Batch& batch, const SampleOutputs& outputs) const { SampleCpu(batch, outputs, TorchParallelFor); }

  void SampleWithSupport(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs) const {
    SampleWithSupportCpu(batch, support, outputs, TorchParallelFor);
  }

  void SampleGroup(const Batch& batch, int64_t size, const SampleOutputs& outputs) const {
    SampleGroupCpu(batch, size, outputs, TorchParallelFor);
  }

  void SampleCoded(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token,
                   uint64_t* next_code) const {
    SampleCodedCpu(batch, code, code_stride, token, next_code, TorchParallelFor);
  }

  void FirstCode(const Batch& batch, uint64_t* code) const { FirstCodeCpu(batch, code); }

  void ProcessLogits(const Batch& batch, float* out, int64_t out_stride) const {
    ProcessLogitsCpu(batch, out, out_stride, TorchParallelFor);
  }

  void HeatLogits(const Batch& batch, float* logits) const { HeatLogitsCpu(batch, logits, TorchParallelFor); }

  void LogProb(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob) const {
    LogProbCpu(batch, token, token_stride, logprob, TorchParallelFor);
  }

  void LogProbBackward(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                       int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride) const {
    LogProbBackwardCpu(batch, token, token_stride, grad, grad_stride, grad_logits, grad_logits_stride,
                       TorchParallelFor);
  }

  void SupportLogProb(const SupportBatch& batch, const SupportLogProbOutputs& outputs) const {
    Named([&] { SupportLogProbCpu(batch, outputs, TorchParallelFor); });
  }

  void SupportLogProbBackward(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                              const float* full_grad, void* grad_logits, int64_t grad_logits_stride) const {
    Named([&] {
      SupportLogProbBackwardCpu(batch, masses, grad, full_grad, grad_logits, grad_logits_stride, TorchParallelFor);
    });
  }

  void ShardEntries(const ShardBatch& shard, int64_t count, uint64_t* entries) const {
    ShardEntriesCpu(shard, count, entries, TorchParallelFor);
  }

  void ShardBegin(const Batch& batch, const fire::ShardEntries& entries, const ShardQuery& query,
                  ShardState* state) const {
    ShardBeginCpu(batch, entries, query, state, TorchParallelFor);
  }

  void ShardAnswers(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                    ShardAnswer* answers) const {
    Named([&] { ShardAnswerCpu(shard, state, round, rank, answers, TorchParallelFor); });
  }

  void ShardTake(ShardState* state, int64_t rows, const fire::ShardEntries& entries, const ShardRound& round,
                 const ShardAnswer* answers) const {
    Named([&] { ShardTakeCpu(state, rows, entries, round, answers, TorchParallelFor); });
  }

  void ShardFinish(const ShardState* state, int64_t rows, const SampleOutputs& outputs) const {
    ShardFinishCpu(state, rows, outputs);
  }

  void ShardProcess(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride) const {
    ShardProcessCpu(shard, state, out, out_stride, TorchParallelFor);
  }

  void ShardLogProbBackward(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                            void* grad_logits, int64_t grad_logits_stride) const {
    ShardLogProbBackwardCpu(shard, state, grad, grad_stride, grad_logits, grad_logits_stride, TorchParallelFor);
  }

  void ShardHeat(const ShardBatch& shard, const ShardState* state, float* logits) const {
    ShardHeatCpu(shard, state, logits, TorchParallelFor);
  }

  // Runs `call`, and names the operator where it refuses what a row holds.
  template <typename Call>
  void Named(const Call& call) const {
    try {
      call();
    } catch (const RefusedRow& refused) {
      throw std::runtime_error(std::string(name) + ": " + refused.argument() + " " + refused.words());
    }
  }

  const char* name;
};

}  // namespace
}  // namespace fire::operators

STABLE_TORCH_LIBRARY(fire, library) {
  library.def("sample(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  std::string outputs;
  fire::ForEachOutput(
      [&](const auto& output) { outputs += (outputs.empty() ? "Tensor " : ", Tensor ") + std::string(output.name); });
  const std::string sample_with_logprobs =
      "sample_with_logprobs(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None, *, bool reference=True) -> (" +
      outputs + ")";
  library.def(sample_with_logprobs.c_str());
  const std::string sample_with_support =
      "sample_with_support(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None, *, int width, bool "
      "reference=True) -> (" +
      outputs + ", Tensor support, Tensor support_logprob)";
  library.def(sample_with_support.c_str());
  library.def("sample_group(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None, *, int size) -> Tensor");
  const std::string sample_group_with_logprobs =
      "sample_group_with_logprobs(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None, *, int size, bool "
      "reference=True) -> (" +
      outputs + ")";
  library.def(sample_group_with_logprobs.c_str());
  library.def(
      "sample_coded(Tensor logits, Tensor code, Tensor step, Tensor cfg, Tensor? slot=None) -> (Tensor token, Tensor "
      "code)");
  library.def("first_code(Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def("process_logits(Tensor logits, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def("heat_logits_(Tensor(a!) logits, Tensor step, Tensor cfg, Tensor? slot=None) -> ()");
  library.def("log_prob(Tensor logits, Tensor token, Tensor step, Tensor cfg, Tensor? slot=None) -> Tensor");
  library.def(
      "log_prob_backward(Tensor grad, Tensor logits, Tensor token, Tensor step, Tensor cfg, Tensor? slot=None) -> "
      "Tensor");
  library.def(
      "support_log_prob(Tensor logits, Tensor token, Tensor support, Tensor temperature) -> (Tensor logprob, Tensor "
      "full_logprob, Tensor status, Tensor masses)");
  library.def(
      "support_log_prob_backward(Tensor grad, Tensor full_grad, Tensor logits, Tensor token, Tensor support, Tensor "
      "temperature, Tensor masses) -> Tensor");
  // Private: the steps of rows whose vocabulary lies in shards, between which fire_sampling.distributed exchanges.
  library.def("shard_entries(Tensor logits, int count, int first_id) -> Tensor");
  library.def(
      "shard_begin(Tensor entries, Tensor step, Tensor cfg, Tensor? slot=None, *, int vocabulary, int ranks, int "
      "wants, int key_bits, Tensor? token=None) -> (Tensor state, Tensor weights)");
  library.def("shard_answer(Tensor logits, Tensor state, Tensor? rows, int first_id, int rank, int slots) -> Tensor");
  library.def("shard_take(Tensor(a!) state, Tensor entries, Tensor weights, Tensor answers, Tensor? rows) -> ()");
  library.def(("shard_finish(Tensor state, bool reference) -> (" + outputs + ")").c_str());
  library.def("shard_process(Tensor logits, Tensor state, int first_id) -> Tensor");
  library.def("shard_log_prob_backward(Tensor grad, Tensor logits, Tensor state, int first_id) -> Tensor");
  library.def("shard_heat_(Tensor(a!) logits, Tensor state, int first_id) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fire, CPU, library) {
  fire::operators::Implement<fire::operators::Cpu>(library);
  fire::operators::ImplementSupportLogProb<fire::operators::Cpu>(library);
  fire::operators::ImplementShards<fire::operators::Cpu>(library);
}
