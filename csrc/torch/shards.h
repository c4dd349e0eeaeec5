// The kernels of sharded rows, for any backend, as operators.h has the others: private operators, which
// fire_sampling.distributed calls. Integers of 64 bits without a sign are int64 tensors, bit for bit, which torch
// exchanges and adds everywhere. The Backend has a member for each function of fire/shards.h.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <tuple>

#include "torch/operators.h"
#include "torch/shard_arguments.h"

namespace fire::operators {

template <typename Backend>
Tensor ShardEntriesOf(const Tensor& logits, int64_t count, int64_t first_id) {
  Checked("shard_entries", [&] {
    CheckShard(ViewOf("logits", logits), first_id);
    CheckRange("count", count, 1, kMaxShardEntries);
  });
  const Backend backend("fire::shard_entries", logits);
  Tensor entries = NewTensor(logits, {logits.size(0), count + 1}, aoti_torch_dtype_int64());
  backend.ShardEntries(MakeShard(logits, first_id), count, Data<uint64_t>(entries));
  return entries;
}

template <typename Backend>
std::tuple<Tensor, Tensor> ShardBegin(const Tensor& entries, const Tensor& step, const Tensor& records,
                                      const OptionalTensor& slot, int64_t vocabulary, int64_t ranks, int64_t wants,
                                      int64_t key_bits, const OptionalTensor& token) {
  const bool wants_logprob = (wants & kShardWantsLogProb) != 0;
  Batch batch;
  Checked("shard_begin", [&] {
    const View list = ViewOf("entries", entries);
    CheckEntries(list, list);
    CheckStep(kWords, ViewOf("step", step), list);
    CheckRecords(kWords, ViewOf(kRecords, records), list, slot.has_value(), {"int32"});
    if (slot.has_value()) CheckOneARow(kWords, ViewOf("slot", *slot), list, {"int32"});
    CheckRange("vocabulary", vocabulary, 1, kMaxVocabulary);
    CheckRange("ranks", ranks, 1, kMaxShardRanks);
    CheckRange("wants", wants, 0, kAllShardWants);
    batch.logits_type = TypeOfKeys(key_bits);
    if (token.has_value()) CheckOneARow(kWords, ViewOf("token", *token), list, {"int64"});
    if (wants_logprob && !token.has_value())
      throw Refusal{Refusal::Kind::kValue, "token",
                    "is None, expected one a row, as wants asks for its log-probability"};
  });
  const Backend backend("fire::shard_begin", entries);
  const LogitsType type = batch.logits_type;
  batch = MakeBatch(step, records, slot);
  batch.logits_type = type;
  batch.rows = entries.size(0);
  batch.vocabulary = vocabulary;
  const Tensor list = torch::stable::contiguous(entries);
  const int64_t count = entries.size(1) - 1;
  Tensor state = NewTensor(entries, {batch.rows, kStateWords}, aoti_torch_dtype_int64());
  Tensor weights = NewTensor(entries, {batch.rows, count}, aoti_torch_dtype_int64());
  ShardQuery query;
  query.ranks = ranks;
  query.wants = static_cast<uint32_t>(wants);
  if (wants_logprob) {
    query.token = ConstData<int64_t>(*token);
    query.token_stride = token->stride(0);
  }
  backend.ShardBegin(batch, {count, ConstData<uint64_t>(list), Data<uint64_t>(weights)}, query,
                     Data<ShardState>(state));
  return {state, weights};
}

// Borrows `rows`, which must be contiguous.
inline ShardRound MakeRound(const OptionalTensor& rows, int64_t slots) {
  ShardRound round;
  round.slots = slots;
  if (rows.has_value() && rows->size(0) > 0) {
    round.rows = ConstData<int64_t>(*rows);
    round.row_count = rows->size(0);
  }
  return round;
}

inline OptionalTensor Dense(const OptionalTensor& tensor) {
  return tensor.has_value() ? OptionalTensor(torch::stable::contiguous(*tensor)) : tensor;
}

template <typename Backend>
Tensor ShardAnswerOf(const Tensor& logits, const Tensor& state, const OptionalTensor& rows, int64_t first_id,
                     int64_t rank, int64_t slots) {
  Checked("shard_answer", [&] {
    const View view = ViewOf("logits", logits);
    CheckShard(view, first_id);
    CheckState(ViewOf("state", state), view);
    CheckRows(rows, ViewOf("state", state));
    CheckRange("rank", rank, 0, kMaxShardRanks - 1);
    CheckSlots(slots);
  });
  const Backend backend("fire::shard_answer", logits);
  const OptionalTensor chosen = Dense(rows);
  const int64_t count = rows.has_value() ? rows->size(0) : logits.size(0);
  Tensor answers = NewTensor(logits, {count, slots, 2}, aoti_torch_dtype_int64());
  if (count > 0)
    backend.ShardAnswers(MakeShard(logits, first_id), ConstData<ShardState>(state), MakeRound(chosen, slots), rank,
                         Data<ShardAnswer>(answers));
  return answers;
}

template <typename Backend>
void ShardTake(const Tensor& state, const Tensor& entries, const Tensor& weights, const Tensor& answers,
               const OptionalTensor& rows) {
  int64_t count = 0;
  Checked("shard_take", [&] {
    const View view = ViewOf("state", state);
    CheckState(view, view);
    CheckEntries(ViewOf("entries", entries), view);
    CheckWeights(ViewOf("weights", weights), ViewOf("entries", entries));
    CheckRows(rows, view);
    count = rows.has_value() ? rows->size(0) : state.size(0);
    CheckAnswers(ViewOf("answers", answers), view, count);
  });
  if (count == 0) return;
  const Backend backend("fire::shard_take", state);
  const OptionalTensor chosen = Dense(rows);
  const Tensor list = torch::stable::contiguous(entries), list_weights = torch::stable::contiguous(weights);
  const Tensor sums = torch::stable::contiguous(answers);
  // The weights are only read: shard_begin wrote them.
  backend.ShardTake(
      Data<ShardState>(state), state.size(0),
      {entries.size(1) - 1, ConstData<uint64_t>(list), const_cast<uint64_t*>(ConstData<uint64_t>(list_weights))},
      MakeRound(chosen, answers.size(1)), ConstData<ShardAnswer>(sums));
}

template <typename Backend>
Outputs ShardFinish(const Tensor& state, bool reference) {
  Checked("shard_finish", [&] { CheckState(ViewOf("state", state), ViewOf("state", state)); });
  const Backend backend("fire::shard_finish", state);
  SampleOutputs outputs;
  outputs.reference = reference;
  Outputs tensors = NewOutputs(state, &outputs);
  backend.ShardFinish(ConstData<ShardState>(state), state.size(0), outputs);
  return tensors;
}

template <typename Backend>
Tensor ShardProcess(const Tensor& logits, const Tensor& state, int64_t first_id) {
  Checked("shard_process", [&] {
    CheckShard(ViewOf("logits", logits), first_id);
    CheckState(ViewOf("state", state), ViewOf("logits", logits));
  });
  const Backend backend("fire::shard_process", logits);
  const ShardBatch shard = MakeShard(logits, first_id);
  Tensor out = NewTensor(logits, {shard.rows, shard.size}, aoti_torch_dtype_float32());
  backend.ShardProcess(shard, ConstData<ShardState>(state), Data<float>(out), shard.size);
  return out;
}

template <typename Backend>
Tensor ShardLogProbBackward(const Tensor& grad, const Tensor& logits, const Tensor& state, int64_t first_id) {
  Checked("shard_log_prob_backward", [&] {
    const View view = ViewOf("logits", logits);
    CheckShard(view, first_id);
    CheckState(ViewOf("state", state), view);
    CheckOneARow(kWords, ViewOf("grad", grad), view, {"float32"});
  });
  const Backend backend("fire::shard_log_prob_backward", logits);
  const ShardBatch shard = MakeShard(logits, first_id);
  Tensor grad_logits = NewTensor(logits, {shard.rows, shard.size}, DtypeOf(logits));
  backend.ShardLogProbBackward(shard, ConstData<ShardState>(state), ConstData<float>(grad), grad.stride(0),
                               grad_logits.mutable_data_ptr(), shard.size);
  return grad_logits;
}

template <typename Backend>
void ShardHeat(const Tensor& logits, const Tensor& state, int64_t first_id) {
  Checked("shard_heat_", [&] {
    CheckShard(ViewOf("logits", logits), first_id, Access::kWrite);
    CheckState(ViewOf("state", state), ViewOf("logits", logits));
  });
  const Backend backend("fire::shard_heat_", logits);
  backend.ShardHeat(MakeShard(logits, first_id, Access::kWrite), ConstData<ShardState>(state), Data<float>(logits));
}

template <typename Backend, typename Library>
void ImplementShards(Library& library) {
  library.impl("shard_entries", TORCH_BOX(&ShardEntriesOf<Backend>));
  library.impl("shard_begin", TORCH_BOX(&ShardBegin<Backend>));
  library.impl("shard_answer", TORCH_BOX(&ShardAnswerOf<Backend>));
  library.impl("shard_take", TORCH_BOX(&ShardTake<Backend>));
  library.impl("shard_finish", TORCH_BOX(&ShardFinish<Backend>));
  library.impl("shard_process", TORCH_BOX(&ShardProcess<Backend>));
  library.impl("shard_log_prob_backward", TORCH_BOX(&ShardLogProbBackward<Backend>));
  library.impl("shard_heat_", TORCH_BOX(&ShardHeat<Backend>));
}

}  // namespace fire::operators
