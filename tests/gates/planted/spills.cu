// Two hundred values at once do not fit the 32 registers of a thread where 2,048 of them are wanted.
extern "C" __global__ void __launch_bounds__(1024, 2) Spills(const float* in, float* out) {
  float value[200];
#pragma unroll
  for (int i = 0; i < 200; ++i) value[i] = in[i * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 200; ++i) out[i * 1024 + threadIdx.x] = value[i] * value[(i * 7 + 3) % 200];
}
