// The kernels of support_log_prob and its gradient, of all types of logits.
#include "kernels/device/support_log_prob.cuh"
#include "kernels/launch_typed.cuh"

namespace fire::kernels {

void Launch(const SupportLogProbWork& work, const Plan& plan, CudaStream stream) {
  if (work.batch.rows == 0) return;
  WithLogits(work.batch.logits_type, [&](auto logits) {
    using Logit = decltype(logits);
    if (work.task == Task::kSupportLogProb) return LaunchKernel<SupportLogProbRows<Logit>, false>(work, plan, stream);
    LaunchKernel<SupportGradientRows<Logit>, false>(work, plan, stream);
  });
}

}  // namespace fire::kernels
