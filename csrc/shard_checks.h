// What both backends refuse of a shard before they touch it: batch_checks.h for fire/shards.h.
#pragma once

#include "batch_checks.h"
#include "fire/shards.h"

namespace fire {

inline constexpr uint32_t kAllShardWants =
    kShardWantsDraw | kShardWantsReference | kShardWantsLogProb | kShardWantsHeat;

inline int64_t RowStride(const ShardBatch& shard) {
  return shard.row_stride == kContiguous ? shard.size : shard.row_stride;
}

// Its tokens then have ids of a vocabulary.
inline void Check(const ShardBatch& shard) {
  Require(shard.rows >= 0, "ShardBatch::rows", shard.rows, "0 or more");
  if (shard.rows == 0) return;
  Require(IsVocabulary(shard.size), "ShardBatch::size", shard.size,
          "1 to " + std::to_string(kMaxVocabulary) + " (an empty shard has nothing to tell)");
  Require(shard.first_id >= 0 && shard.first_id <= kMaxVocabulary - shard.size, "ShardBatch::first_id", shard.first_id,
          "0 to " + std::to_string(kMaxVocabulary - shard.size));
  RequireMemory(shard.logits, "ShardBatch::logits");
}

inline void CheckEntryCount(int64_t count, const char* argument) {
  Require(count >= 1 && count <= kMaxShardEntries, argument, count, "1 to " + std::to_string(kMaxShardEntries));
}

inline void CheckRanks(int64_t ranks, const char* argument) {
  Require(ranks >= 1 && ranks <= kMaxShardRanks, argument, ranks, "1 to " + std::to_string(kMaxShardRanks));
}

inline void Check(const ShardEntries& entries) {
  CheckEntryCount(entries.count, "ShardEntries::count");
  RequireMemory(entries.entries, "ShardEntries::entries");
  RequireMemory(entries.weights, "ShardEntries::weights");
}

inline void CheckShardEntries(const ShardBatch& shard, int64_t count, const uint64_t* entries) {
  Check(shard);
  CheckEntryCount(count, "count");
  if (shard.rows > 0) RequireMemory(entries, "entries");
}

inline void CheckShardBegin(const Batch& batch, const ShardEntries& entries, const ShardQuery& query,
                            const ShardState* state) {
  CheckRanks(query.ranks, "ShardQuery::ranks");
  Require((query.wants & ~kAllShardWants) == 0, "ShardQuery::wants", query.wants, "kShardWants... bits");
  CheckSequences(batch);
  if (batch.rows == 0) return;
  Require(IsVocabulary(batch.vocabulary), "Batch::vocabulary", batch.vocabulary,
          "1 to " + std::to_string(kMaxVocabulary));
  Check(entries);
  if ((query.wants & kShardWantsLogProb) != 0) RequireMemory(query.token, "ShardQuery::token");
  RequireMemory(state, "state");
}

// The rows of a round.
inline int64_t RowCount(const ShardRound& round, int64_t rows) {
  return round.rows == nullptr ? rows : round.row_count;
}

inline void Check(const ShardRound& round, int64_t rows) {
  Require(round.slots >= 2 && round.slots <= 2 + kMaxShardRanks, "ShardRound::slots", round.slots,
          "2 to " + std::to_string(2 + kMaxShardRanks));
  if (round.rows == nullptr) return;
  Require(round.row_count >= 0, "ShardRound::row_count", round.row_count, "0 or more");
  if (round.row_count > 0) Require(rows > 0, "rows", rows, "1 or more, as the round names some");
}

inline void CheckShardAnswer(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                             const ShardAnswer* answers) {
  Check(shard);
  Check(round, shard.rows);
  Require(rank >= 0 && rank < kMaxShardRanks, "rank", rank, "0 to " + std::to_string(kMaxShardRanks - 1));
  if (RowCount(round, shard.rows) == 0) return;
  RequireMemory(state, "state");
  RequireMemory(answers, "answers");
}

inline void CheckShardTake(const ShardState* state, int64_t rows, const ShardEntries& entries, const ShardRound& round,
                           const ShardAnswer* answers) {
  Require(rows >= 0, "rows", rows, "0 or more");
  Check(round, rows);
  if (RowCount(round, rows) == 0) return;
  Check(entries);
  RequireMemory(state, "state");
  RequireMemory(answers, "answers");
}

inline void CheckShardFinish(const ShardState* state, int64_t rows) {
  Require(rows >= 0, "rows", rows, "0 or more");
  if (rows > 0) RequireMemory(state, "state");
}

inline void CheckShardProcess(const ShardBatch& shard, const ShardState* state, const float* out, int64_t out_stride) {
  Check(shard);
  if (shard.rows == 0) return;
  RequireMemory(state, "state");
  RequireMemory(out, "out");
  if (shard.rows > 1) Require(out_stride >= shard.size, "out_stride", out_stride, "the shard's size or more");
}

inline void CheckShardLogProbBackward(const ShardBatch& shard, const ShardState* state, const float* grad,
                                      const void* grad_logits, int64_t grad_logits_stride) {
  Check(shard);
  if (shard.rows == 0) return;
  RequireMemory(state, "state");
  RequireMemory(grad, "grad");
  RequireMemory(grad_logits, "grad_logits");
  if (shard.rows > 1)
    Require(grad_logits_stride >= shard.size, "grad_logits_stride", grad_logits_stride, "the shard's size or more");
}

inline void CheckShardHeat(const ShardBatch& shard, const ShardState* state, const float* logits) {
  Check(shard);
  Require(shard.logits_type == LogitsType::kFloat32, "ShardBatch::logits_type", static_cast<int64_t>(shard.logits_type),
          "kFloat32");
  Require(logits == shard.logits, "whether logits are ShardBatch::logits", 0, "1: they are changed in place");
  if (shard.rows == 0) return;
  if (shard.rows > 1)
    Require(RowStride(shard) >= shard.size, "ShardBatch::row_stride", shard.row_stride,
            "the shard's size or more: rows must not overlap");
  RequireMemory(state, "state");
}

}  // namespace fire
