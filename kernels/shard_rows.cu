// The kernels that read a shard, of all types of logits.
#include "kernels/device/shard_answer.cuh"
#include "kernels/device/shard_entries.cuh"
#include "kernels/device/shard_outputs.cuh"
#include "kernels/launch_typed.cuh"

namespace fire::kernels {

void Launch(const ShardEntriesWork& work, const Plan& plan, CudaStream stream) {
  WithLogits(work.batch.logits_type,
             [&](auto logits) { LaunchKernel<ShardEntryRows<decltype(logits)>, false>(work, plan, stream); });
}

void Launch(const ShardAnswerWork& work, const Plan& plan, CudaStream stream) {
  WithLogits(work.batch.logits_type,
             [&](auto logits) { LaunchKernel<ShardAnswerRows<decltype(logits)>>(work, plan, stream); });
}

void Launch(const ShardOutputWork& work, const Plan& plan, CudaStream stream) {
  WithLogits(work.batch.logits_type,
             [&](auto logits) { LaunchKernel<ShardOutputRows<decltype(logits)>, false>(work, plan, stream); });
}

}  // namespace fire::kernels
