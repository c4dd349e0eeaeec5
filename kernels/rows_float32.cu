// The kernels of float32 logits.
#include "kernels/launch_typed.cuh"

namespace fire::kernels {

template void LaunchTyped<Float32Logits>(const Work& work, const Plan& plan, CudaStream stream);

}  // namespace fire::kernels
