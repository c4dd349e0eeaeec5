// The states of rows that lie in shards: made and brought forward, a warp a row, and told, a thread a row.
#include <algorithm>

#include "definition/shard_row_solver.h"
#include "kernels/device/one_warp.cuh"
#include "kernels/device/settings.cuh"
#include "kernels/launch_typed.cuh"
#include "kernels/shards.h"

namespace fire::kernels {

using definition::ShardList;
using definition::ShardRow;
using Solver = definition::ShardRowSolver<OneWarp>;

constexpr unsigned kThreads = 128;  // where a row is a thread's
constexpr int64_t kMostGridBlocks = int64_t{1} << 20;

__device__ __forceinline__ ShardList ListOf(const ShardEntries& entries, int64_t row) {
  return {.entry = entries.entries + row * (entries.count + 1),
          .weight = entries.weights + row * entries.count,
          .size = static_cast<uint32_t>(entries.count)};
}

// A warp is a block: a state's 66 words stay in registers.
__global__ void __launch_bounds__(32, 1) ShardBeginRows(const __grid_constant__ ShardBeginWork work) {
  ptx::WaitForPriorGrids();
  for (int64_t at = blockIdx.x; at < work.batch.rows; at += gridDim.x) {
    const int64_t step = definition::StepOf(work.batch, at);
    const definition::Slot slot = definition::SlotOf(work.batch, at);
    const ShardList list = ListOf(work.entries, at);
    ShardRow row = {};
    row.wants = work.query.wants;
    row.vocabulary = static_cast<uint32_t>(work.batch.vocabulary);
    row.ranks = static_cast<uint32_t>(work.query.ranks);
    row.key_bits = definition::KeyBitsOf(work.batch.logits_type);
    row.record = ReadRecord(work.batch, slot.index);
    row.step = step;
    if ((work.query.wants & kShardWantsLogProb) != 0) row.asked = work.query.token[at * work.query.token_stride];
    Solver(OneWarp(), list, &row).Begin((list.entry[list.size] & kShardHasNan) != 0, slot.out_of_range);
    if (threadIdx.x == 0) work.states[at] = row;
  }
}

__global__ void __launch_bounds__(32, 1) ShardTakeRows(const __grid_constant__ ShardTakeWork work) {
  ptx::WaitForPriorGrids();
  for (int64_t i = blockIdx.x; i < work.round.row_count; i += gridDim.x) {
    const int64_t at = definition::RowAt(work.round, i, work.state_count);
    ShardRow row = work.states[at];
    definition::BringIntoRange(&row);
    if (definition::SlotsFor(row.questions, row.ranks) > work.round.slots) continue;
    Solver(OneWarp(), ListOf(work.entries, at), &row).Take(work.answers + i * work.round.slots);
    __syncwarp();  // all lanes have read the state; else some read the next one
    if (threadIdx.x == 0) work.states[at] = row;
  }
}

__global__ void __launch_bounds__(kThreads)
    ShardFinishRows(const ShardRow* states, int64_t rows, const __grid_constant__ SampleOutputs outputs) {
  ptx::WaitForPriorGrids();
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
#pragma unroll 1
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < rows; at += stride) {
    Write(definition::SampleOf(states[at], outputs.reference), at, outputs);
  }
}

namespace {

template <typename... Arguments, typename... Given>
void LaunchStates(void (*kernel)(Arguments...), int64_t blocks, unsigned threads, CudaStream stream,
                  const Given&... given) {
  cudaLaunchConfig_t config = {};
  config.blockDim = dim3(threads);
  config.gridDim = dim3(static_cast<unsigned>(std::min(blocks, kMostGridBlocks)));
  config.stream = stream;
  cudaLaunchAttribute overlap = OverlapOfPrior();
  config.attrs = &overlap;
  config.numAttrs = CanOverlapPrior(CurrentDevice()) ? 1 : 0;
  ThrowOnError(cudaLaunchKernelEx(&config, kernel, given...), "launch");
}

}  // namespace

void Launch(const ShardBeginWork& work, CudaStream stream) {
  LaunchStates(ShardBeginRows, work.batch.rows, 32, stream, work);
}

void Launch(const ShardTakeWork& work, CudaStream stream) {
  LaunchStates(ShardTakeRows, work.round.row_count, 32, stream, work);
}

void LaunchFinish(const ShardRow* states, int64_t rows, const SampleOutputs& outputs, CudaStream stream) {
  LaunchStates(ShardFinishRows, (rows + kThreads - 1) / kThreads, kThreads, stream, states, rows, outputs);
}

}  // namespace fire::kernels
