// The kernels of bfloat16 logits.
#include "kernels/launch_typed.cuh"

namespace fire::kernels {

template void LaunchTyped<BFloat16Logits>(const Work& work, const Plan& plan, CudaStream stream);
template void DescribeKernels<BFloat16Logits>(Device* device);

}  // namespace fire::kernels
