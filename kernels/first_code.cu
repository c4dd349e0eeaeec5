// The codes with which sequences begin: a number a row, from its record and step alone.
#include <algorithm>

#include "definition/code.h"
#include "kernels/launch_typed.cuh"

namespace fire::kernels {
namespace {

constexpr unsigned kThreads = 256;
constexpr int64_t kMostGridBlocks = int64_t{1} << 20;

__global__ void FirstCodes(const __grid_constant__ Batch batch, uint64_t* code) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; row < batch.rows; row += stride) {
    const RowInput input = {.step = definition::StepOf(batch, row), .slot = definition::SlotOf(batch, row)};
    code[row] = definition::FirstCode(ReadRecord(batch, input), input.step);
  }
}

}  // namespace

void LaunchFirstCodes(const Batch& batch, uint64_t* code, CudaStream stream) {
  cudaLaunchConfig_t config = {};
  config.blockDim = dim3(kThreads);
  config.gridDim = dim3(static_cast<unsigned>(std::min((batch.rows + kThreads - 1) / kThreads, kMostGridBlocks)));
  config.stream = stream;
  ThrowOnError(cudaLaunchKernelEx(&config, FirstCodes, batch, code), "launch");
}

}  // namespace fire::kernels
