// What the operators of sharded rows take, as arguments.h has it for the others. Their refusals are in the table of
// tests/python/operators/test_shard_bad_calls.py; python/fire_sampling/_shard_fakes.py has those that no size decides.
#pragma once

#include <cstdint>
#include <string>

#include "definition/shard.h"
#include "shard_checks.h"
#include "torch/arguments.h"

namespace fire::operators {

inline constexpr int64_t kStateWords = sizeof(ShardState) / sizeof(int64_t);

// A type that all have whose elements are 64 bits of no dtype of torch's.
inline void CheckWords(const View& view, const View& beside) {
  CheckDevice(kWords, view, beside);
  CheckDtype(view, {"int64"});
}

inline void CheckShard(const View& logits, int64_t first_id, Access access = Access::kRead) {
  CheckLogits(kWords, logits, access);
  CheckRange("first_id", first_id, 0, kMaxVocabulary - VocabularyOf(logits));
}

// What shard_begin gave, contiguous, as it may be written in place; of so many rows, which belong to `beside`.
inline void CheckState(const View& state, const View& beside) {
  CheckWords(state, beside);
  const std::string words = std::to_string(kStateWords);
  const bool is_itself = std::string(state.argument) == beside.argument;
  const std::string shape =
      "[" + (is_itself ? "R" : std::to_string(beside.sizes[0])) + ", " + words + "] as made by shard_begin";
  if (state.dim != 2 || state.sizes[1] != kStateWords || state.sizes[0] != beside.sizes[0]) RefuseShape(state, shape);
  CheckRowsAreDense(state, "a contiguous state, as made by shard_begin");
}

inline int64_t CountOf(const View& entries) { return entries.sizes[1] - 1; }

// The first entries of whole rows, with their flags behind them.
inline void CheckEntries(const View& entries, const View& beside) {
  CheckWords(entries, beside);
  if (entries.dim != 2 || CountOf(entries) < 1 || CountOf(entries) > kMaxShardEntries ||
      entries.sizes[0] != beside.sizes[0])
    RefuseShape(entries, "[" + std::to_string(beside.sizes[0]) +
                             ", count + 1] with 1 <= count <= " + std::to_string(kMaxShardEntries));
}

inline void CheckWeights(const View& weights, const View& entries) {
  CheckWords(weights, entries);
  if (weights.dim != 2 || weights.sizes[0] != entries.sizes[0] || weights.sizes[1] != CountOf(entries))
    RefuseShape(weights, "[" + std::to_string(entries.sizes[0]) + ", " + std::to_string(CountOf(entries)) +
                             "] as made by shard_begin");
}

inline void CheckRows(const OptionalTensor& rows_tensor, const View& state) {
  if (!rows_tensor.has_value()) return;
  const View rows = ViewOf("rows", *rows_tensor);
  CheckWords(rows, state);
  if (rows.dim != 1) RefuseShape(rows, "[n], the rows that take part");
  if (rows.sizes[0] > 0 && state.sizes[0] == 0) RefuseShape(rows, "[0], as there is no row of state");
}

inline void CheckSlots(int64_t slots) {
  CheckRange("slots", slots, definition::kFirstSlot, definition::kFirstSlot + kMaxShardRanks);
}

// The answers of `count` rows.
inline void CheckAnswers(const View& answers, const View& state, int64_t count) {
  CheckWords(answers, state);
  if (answers.dim != 3 || answers.sizes[0] != count || answers.sizes[2] != 2)
    RefuseShape(answers, "[" + std::to_string(count) + ", slots, 2], a row's answer each");
  if (count > 0) {
    const int64_t slots = answers.sizes[1];
    if (slots < definition::kFirstSlot || slots > definition::kFirstSlot + kMaxShardRanks)
      RefuseShape(answers, "[" + std::to_string(count) + ", slots, 2] with " + std::to_string(definition::kFirstSlot) +
                               " <= slots <= " + std::to_string(definition::kFirstSlot + kMaxShardRanks));
  }
}

// The type whose keys have so many bits.
inline LogitsType TypeOfKeys(int64_t key_bits) {
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kFloat16, LogitsType::kBFloat16})
    if (definition::KeyBitsOf(type) == key_bits) return type;
  throw Refusal{Refusal::Kind::kValue, "key_bits",
                "is " + std::to_string(key_bits) + ", expected 32 for float32, 19 for float16 or 16 for bfloat16"};
}

inline ShardBatch MakeShard(const Tensor& logits, int64_t first_id, Access access = Access::kRead) {
  ShardBatch shard;
  shard.logits = access == Access::kWrite ? logits.mutable_data_ptr() : logits.const_data_ptr();
  shard.logits_type = LogitsTypeOf(logits);
  shard.rows = logits.size(0);
  shard.size = logits.size(1);
  shard.row_stride = logits.stride(0);
  shard.first_id = first_id;
  return shard;
}

}  // namespace fire::operators
