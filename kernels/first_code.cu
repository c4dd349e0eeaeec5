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
    const Record record = ReadRecord(batch, definition::SlotOf(batch, row).index);
    code[row] = definition::FirstCode(record, definition::StepOf(batch, row));
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
