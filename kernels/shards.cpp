// The C++ API of rows in shards on CUDA: checks, a plan, a launch.
#include "kernels/shards.h"

#include <cuda_runtime.h>

#include "kernels/launch.h"
#include "kernels/shard_storage.h"
#include "shard_checks.h"

namespace fire {
namespace kernels {
namespace {

using definition::ShardRow;

const ShardRow* RowsOf(const ShardState* state) { return reinterpret_cast<const ShardRow*>(state); }
ShardRow* RowsOf(ShardState* state) { return reinterpret_cast<ShardRow*>(state); }

Batch BatchOf(const ShardBatch& shard, int64_t rows) {
  Batch batch;
  batch.logits = shard.logits, batch.logits_type = shard.logits_type;
  batch.rows = rows, batch.vocabulary = shard.size, batch.row_stride = RowStride(shard);
  return batch;
}

Plan AnswerPlan(const Batch& batch) {
  return PlanFor(Task::kShardAnswer, batch.rows, batch.vocabulary, batch.logits_type, CurrentDevice());
}

// One block a row.
Plan EntriesPlan(int64_t count) {
  Plan plan;
  plan.threads = kMostThreads;
  plan.shared_bytes = EntryStorageBytes(static_cast<uint32_t>(count));
  plan.overlaps_prior = CanOverlapPrior(CurrentDevice());
  return plan;
}

ShardAnswerWork AnswerWork(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                           ShardAnswer* answers) {
  CheckShardAnswer(shard, state, round, rank, answers);
  return {.batch = BatchOf(shard, RowCount(round, shard.rows)),
          .first_id = static_cast<uint32_t>(shard.first_id),
          .states = RowsOf(state),
          .state_count = shard.rows,
          .round = round,
          .rank = static_cast<uint32_t>(rank),
          .answers = answers};
}

ShardOutputWork OutputWork(const ShardBatch& shard, const ShardState* state, ShardOutput output, void* out,
                           int64_t out_stride) {
  ShardOutputWork work = {};
  work.batch = BatchOf(shard, shard.rows);
  work.first_id = static_cast<uint32_t>(shard.first_id);
  work.states = RowsOf(state);
  work.output = output, work.out = out, work.out_stride = out_stride;
  return work;
}

// The blocks of an answer's plan, which here never meet.
void LaunchOutput(const ShardOutputWork& work, CudaStream stream) {
  if (work.batch.rows == 0) return;
  Plan plan = AnswerPlan(work.batch);
  plan.shared_bytes = sizeof(ShardStorage);
  Launch(work, plan, stream);
}

}  // namespace

void ShardAnswerWithPlan(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                         ShardAnswer* answers, const Plan& plan, CudaStream stream) {
  const ShardAnswerWork work = AnswerWork(shard, state, round, rank, answers);
  if (work.batch.rows > 0) Launch(work, plan, stream);
}

}  // namespace kernels

using kernels::RowsOf;
using kernels::ShardOutput;

void ShardEntriesCuda(const ShardBatch& shard, int64_t count, uint64_t* entries, CudaStream stream) {
  CheckShardEntries(shard, count, entries);
  if (shard.rows == 0) return;
  const kernels::ShardEntriesWork work = {.batch = kernels::BatchOf(shard, shard.rows),
                                          .first_id = static_cast<uint32_t>(shard.first_id),
                                          .count = count,
                                          .entries = entries};
  kernels::Launch(work, kernels::EntriesPlan(count), stream);
}

void ShardBeginCuda(const Batch& batch, const ShardEntries& entries, const ShardQuery& query, ShardState* state,
                    CudaStream stream) {
  CheckShardBegin(batch, entries, query, state);
  if (batch.rows == 0) return;
  kernels::Launch(kernels::ShardBeginWork{batch, entries, query, RowsOf(state)}, stream);
}

void ShardAnswerCuda(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                     ShardAnswer* answers, CudaStream stream) {
  const kernels::ShardAnswerWork work = kernels::AnswerWork(shard, state, round, rank, answers);
  if (work.batch.rows > 0) kernels::Launch(work, kernels::AnswerPlan(work.batch), stream);
}

void ShardTakeCuda(ShardState* state, int64_t rows, const ShardEntries& entries, const ShardRound& round,
                   const ShardAnswer* answers, CudaStream stream) {
  CheckShardTake(state, rows, entries, round, answers);
  ShardRound counted = round;
  counted.row_count = RowCount(round, rows);
  if (counted.row_count > 0)
    kernels::Launch(kernels::ShardTakeWork{RowsOf(state), rows, entries, counted, answers}, stream);
}

void ShardFinishCuda(const ShardState* state, int64_t rows, const SampleOutputs& outputs, CudaStream stream) {
  CheckShardFinish(state, rows);
  if (rows > 0) kernels::LaunchFinish(RowsOf(state), rows, outputs, stream);
}

void ShardProcessCuda(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride,
                      CudaStream stream) {
  CheckShardProcess(shard, state, out, out_stride);
  kernels::LaunchOutput(kernels::OutputWork(shard, state, ShardOutput::kProcessedLogits, out, out_stride), stream);
}

void ShardLogProbBackwardCuda(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                              void* grad_logits, int64_t grad_logits_stride, CudaStream stream) {
  CheckShardLogProbBackward(shard, state, grad, grad_logits, grad_logits_stride);
  kernels::ShardOutputWork work =
      kernels::OutputWork(shard, state, ShardOutput::kGradient, grad_logits, grad_logits_stride);
  work.grad = grad, work.grad_stride = grad_stride;
  kernels::LaunchOutput(work, stream);
}

void ShardHeatCuda(const ShardBatch& shard, const ShardState* state, float* logits, CudaStream stream) {
  CheckShardHeat(shard, state, logits);
  kernels::LaunchOutput(kernels::OutputWork(shard, state, ShardOutput::kHeatedLogits, logits, RowStride(shard)),
                        stream);
}

}  // namespace fire
