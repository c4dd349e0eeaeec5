// The kernels of float16 logits.
#include "kernels/launch_typed.cuh"

namespace fire::kernels {

template void LaunchTyped<Float16Logits>(const Work& work, const Plan& plan, CudaStream stream);

}  // namespace fire::kernels
