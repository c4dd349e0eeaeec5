// What the kernels of rows in shards are told of their work. Device pointers.
#pragma once

#include "definition/shard.h"
#include "fire/cuda.h"
#include "kernels/plan.h"

namespace fire::kernels {

// A shard as a batch of its own: its size in place of a vocabulary, and as many rows as take part. No step, no record.
struct ShardEntriesWork {
  Batch batch;
  uint32_t first_id;
  int64_t count;
  uint64_t* entries;
};

struct ShardAnswerWork {
  Batch batch;
  uint32_t first_id;
  const definition::ShardRow* states;
  int64_t state_count;
  ShardRound round;
  uint32_t rank;
  ShardAnswer* answers;
};

enum class ShardOutput : uint32_t { kProcessedLogits, kHeatedLogits, kGradient };

// What a shard's logits become, one by one.
struct ShardOutputWork {
  Batch batch;
  uint32_t first_id;
  const definition::ShardRow* states;
  ShardOutput output;
  void* out;
  int64_t out_stride;
  const float* grad;  // kGradient
  int64_t grad_stride;
};

// A state a row, from the first entries of all shards.
struct ShardBeginWork {
  Batch batch;  // of the whole vocabulary; its logits are not read
  ShardEntries entries;
  ShardQuery query;
  definition::ShardRow* states;
};

struct ShardTakeWork {
  definition::ShardRow* states;
  int64_t state_count;
  ShardEntries entries;
  ShardRound round;  // whose row_count is a number
  const ShardAnswer* answers;
};

void Launch(const ShardEntriesWork& work, const Plan& plan, CudaStream stream);
void Launch(const ShardAnswerWork& work, const Plan& plan, CudaStream stream);
void Launch(const ShardOutputWork& work, const Plan& plan, CudaStream stream);

void Launch(const ShardBeginWork& work, CudaStream stream);
void Launch(const ShardTakeWork& work, CudaStream stream);
void LaunchFinish(const definition::ShardRow* states, int64_t rows, const SampleOutputs& outputs, CudaStream stream);

// ShardAnswerCuda with a plan of the caller's choice: whichever it is, the answers are the same.
void ShardAnswerWithPlan(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                         ShardAnswer* answers, const Plan& plan, CudaStream stream);

}  // namespace fire::kernels
