// The operators' CUDA kernels, for the schemas that cpu.cpp defines. The object loads only where torch has CUDA, but it
// compiles against the headers of any torch: what it needs of libtorch_cuda is the one function declared here.
//
// A call runs on torch's current stream of the logits' device, takes its outputs from torch's allocator, reads no
// tensor on the host and never waits, so that it may be captured in a graph.
#include "fire/cuda.h"

#include <torch/csrc/stable/accelerator.h>

#include "profiler_range.h"
#include "torch/operators.h"
#include "torch/shards.h"
#include "torch/support_log_prob.h"

extern "C" AOTI_TORCH_EXPORT AOTITorchError aoti_torch_get_current_cuda_stream(int32_t device_index, void** stream);

namespace fire::operators {
namespace {

// Torch's current stream of a device, which also becomes the current one of the CUDA runtime in this object: torch's
// guard speaks to torch's own. Every call says so anew, and the guard sets back what the two share.
CudaStream StreamOn(int32_t device_index) {
  UseCudaDevice(device_index);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_index, &stream));
  return static_cast<CudaStream>(stream);
}

class Cuda {
 public:
  Cuda(const char* name, const Tensor& tensor)
      : range_(name), device_(tensor.get_device_index()), stream_(StreamOn(tensor.get_device_index())) {}

  void Sample(const Batch& batch, const SampleOutputs& outputs) const { SampleCuda(batch, outputs, stream_); }

  void SampleWithSupport(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs) const {
    SampleWithSupportCuda(batch, support, outputs, stream_);
  }

  void SampleGroup(const Batch& batch, int64_t size, const SampleOutputs& outputs) const {
    SampleGroupCuda(batch, size, outputs, stream_);
  }

  void SampleCoded(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token,
                   uint64_t* next_code) const {
    SampleCodedCuda(batch, code, code_stride, token, next_code, stream_);
  }

  void FirstCode(const Batch& batch, uint64_t* code) const { FirstCodeCuda(batch, code, stream_); }

  void ProcessLogits(const Batch& batch, float* out, int64_t out_stride) const {
    ProcessLogitsCuda(batch, out, out_stride, stream_);
  }

  void HeatLogits(const Batch& batch, float* logits) const { HeatLogitsCuda(batch, logits, stream_); }

  void LogProb(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob) const {
    LogProbCuda(batch, token, token_stride, logprob, stream_);
  }

  void LogProbBackward(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                       int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride) const {
    LogProbBackwardCuda(batch, token, token_stride, grad, grad_stride, grad_logits, grad_logits_stride, stream_);
  }

  void SupportLogProb(const SupportBatch& batch, const SupportLogProbOutputs& outputs) const {
    SupportLogProbCuda(batch, outputs, stream_);
  }

  void SupportLogProbBackward(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                              const float* full_grad, void* grad_logits, int64_t grad_logits_stride) const {
    SupportLogProbBackwardCuda(batch, masses, grad, full_grad, grad_logits, grad_logits_stride, stream_);
  }

  void ShardEntries(const ShardBatch& shard, int64_t count, uint64_t* entries) const {
    ShardEntriesCuda(shard, count, entries, stream_);
  }

  void ShardBegin(const Batch& batch, const fire::ShardEntries& entries, const ShardQuery& query,
                  ShardState* state) const {
    ShardBeginCuda(batch, entries, query, state, stream_);
  }

  void ShardAnswers(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                    ShardAnswer* answers) const {
    ShardAnswerCuda(shard, state, round, rank, answers, stream_);
  }

  void ShardTake(ShardState* state, int64_t rows, const fire::ShardEntries& entries, const ShardRound& round,
                 const ShardAnswer* answers) const {
    ShardTakeCuda(state, rows, entries, round, answers, stream_);
  }

  void ShardFinish(const ShardState* state, int64_t rows, const SampleOutputs& outputs) const {
    ShardFinishCuda(state, rows, outputs, stream_);
  }

  void ShardProcess(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride) const {
    ShardProcessCuda(shard, state, out, out_stride, stream_);
  }

  void ShardLogProbBackward(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                            void* grad_logits, int64_t grad_logits_stride) const {
    ShardLogProbBackwardCuda(shard, state, grad, grad_stride, grad_logits, grad_logits_stride, stream_);
  }

  void ShardHeat(const ShardBatch& shard, const ShardState* state, float* logits) const {
    ShardHeatCuda(shard, state, logits, stream_);
  }

 private:
  ProfilerRange range_;
  torch::stable::accelerator::DeviceGuard device_;
  CudaStream stream_;
};

}  // namespace
}  // namespace fire::operators

STABLE_TORCH_LIBRARY_IMPL(fire, CUDA, library) {
  fire::operators::Implement<fire::operators::Cuda>(library);
  fire::operators::ImplementShards<fire::operators::Cuda>(library);
  fire::operators::ImplementSupportLogProb<fire::operators::Cuda>(library);
}
