// Rows whose vocabulary lies in shards, one a rank: the same tokens and log-probabilities as those of the whole rows,
// bit for bit, and no rank ever holds more than its own shard. Rank by rank the shards are the row's tokens in the
// order of their ids. How bytes get from rank to rank is the caller's affair:
//
//   1. Every rank tells the first entries of its shard (ShardEntries…); the ranks exchange them, and each keeps the
//   first
//      `count` of all ranks' in descending order, and the flags or-ed.
//   2. ShardBegin… makes of these, alike on every rank, a state a row.
//   3. While a row has questions, every rank answers them for its shard (ShardAnswer…), the ranks add their answers up,
//      and each lets its states take in the sums (ShardTake…).
//   4. ShardFinish… tells what sampling.h tells of a row. What is written per token, each rank writes for its shard.
//
// A rank whose shard is empty has no entries and answers zeros: nothing below is called with its logits.
#pragma once

#include <cstdint>

#include "fire/sampling.h"

namespace fire {

inline constexpr int64_t kMaxShardRanks = 256;
inline constexpr int64_t kMaxShardEntries = 4096;

// What is asked of a row that lies in shards: bits.
inline constexpr uint32_t kShardWantsDraw = 1;       // a token
inline constexpr uint32_t kShardWantsReference = 2;  // ref_logprob and rank
inline constexpr uint32_t kShardWantsLogProb = 4;    // the log-probability of a given token
inline constexpr uint32_t kShardWantsHeat = 8;       // what HeatLogits leaves

// The flag behind a row's entries.
inline constexpr uint64_t kShardHasNan = 1;

// A rank's shard of a batch of rows.
struct ShardBatch {
  const void* logits = nullptr;  // row r begins at r · row_stride; consecutive along the vocabulary
  LogitsType logits_type = LogitsType::kFloat32;
  int64_t rows = 0;
  int64_t size = 0;  // tokens of the shard, 1 … kMaxVocabulary
  int64_t row_stride = kContiguous;
  int64_t first_id = 0;  // of its first token, which then is below kMaxVocabulary with all that follow
};

// The first tokens of each row in their order, of all shards.
struct ShardEntries {
  int64_t count = 0;                  // places a row, 1 … kMaxShardEntries
  const uint64_t* entries = nullptr;  // row r's begin at r · (count + 1): descending, 0 behind them, then the flags
  uint64_t* weights = nullptr;        // row r's begin at r · count: ShardBegin… writes them, ShardTake… reads them
};

// What all ranks know of a row, the same on every rank: plain bits without a pointer, to be kept and handed back.
struct alignas(8) ShardState {
  uint32_t questions;  // what the row asks; 0: nothing
  uint32_t rest[65];
};

// What ShardBegin… is to find out.
struct ShardQuery {
  int64_t ranks = 1;               // 1 … kMaxShardRanks
  uint32_t wants = 0;              // kShardWants… bits
  const int64_t* token = nullptr;  // of each row, where its log-probability is wanted
  int64_t token_stride = 1;
};

// One exchange of answers, which are pairs of integers: the i-th row's begin at i · slots.
struct ShardRound {
  int64_t slots = 0;              // ShardSlots() of what all its rows ask, or more
  const int64_t* rows = nullptr;  // which rows take part, each once, clamped; null: all
  int64_t row_count = 0;          // how many they are; of all rows not read
};

// A slot of an answer. Over the ranks both integers add up modulo 2^64, as signed ones do too.
struct ShardAnswer {
  uint64_t count;  // of tokens, and their mass; in the second slot a token's entry and weight
  uint64_t mass;
};

// The slots of an answer to these questions, those of several rows or-ed.
int64_t ShardSlots(uint32_t questions, int64_t ranks);

// All below throw as the functions of sampling.h do.

// The shard's first `count` tokens above −inf in their order, 0 behind them, then the flags: as ShardEntries::entries.
void ShardEntriesCpu(const ShardBatch& shard, int64_t count, uint64_t* entries, const ParallelFor& parallel_for = {});

// A state a row. Of the batch, whose vocabulary is that of all shards, the logits are not read, but their type.
void ShardBeginCpu(const Batch& batch, const ShardEntries& entries, const ShardQuery& query, ShardState* state,
                   const ParallelFor& parallel_for = {});

// The shard's answers to what the states ask, `rank` being whose shard it is.
void ShardAnswerCpu(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                    ShardAnswer* answers, const ParallelFor& parallel_for = {});

// Lets the states, of `rows` rows, take in the answers of all ranks, added up.
void ShardTakeCpu(ShardState* state, int64_t rows, const ShardEntries& entries, const ShardRound& round,
                  const ShardAnswer* answers, const ParallelFor& parallel_for = {});

// What is told of rows. `logprob` is the given token's where that was wanted. A row that still asks has
// kStatusUnsettled, a token of the vocabulary, and NaN and −1 for what the logits decide otherwise.
void ShardFinishCpu(const ShardState* state, int64_t rows, const SampleOutputs& outputs);

// The shard's part of ProcessLogitsCpu's `out`, of states that wanted nothing or a token. `out_stride` ≥ the size.
void ShardProcessCpu(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride,
                     const ParallelFor& parallel_for = {});

// The shard's part of LogProbBackwardCpu's gradient, of states that wanted a log-probability.
void ShardLogProbBackwardCpu(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                             void* grad_logits, int64_t grad_logits_stride, const ParallelFor& parallel_for = {});

// The shard's part of HeatLogitsCpu, of states that wanted it. `logits` is shard.logits, writable and float32; rows
// must not overlap.
void ShardHeatCpu(const ShardBatch& shard, const ShardState* state, float* logits,
                  const ParallelFor& parallel_for = {});

}  // namespace fire
