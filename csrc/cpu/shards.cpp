// The C++ API of sharded rows on the CPU: what reads a shard is done by the row functions, what all ranks do alike by
// the definition's solver.
#include "fire/shards.h"

#include <cstring>

#include "cpu/for_rows.h"
#include "cpu/row_table.h"
#include "definition/batch.h"
#include "definition/one_thread.h"
#include "definition/shard_row_solver.h"
#include "refused_row.h"
#include "shard_checks.h"

namespace fire {
namespace {

using definition::OneThread;
using definition::ShardRow;
using Solver = definition::ShardRowSolver<OneThread>;

// The solver's passes over a row's list, as logits read.
constexpr int64_t kLogitsAnEntry = 16;

ShardRow Load(const ShardState& state) {
  ShardRow row;
  std::memcpy(static_cast<void*>(&row), &state, sizeof row);
  BringIntoRange(&row);
  return row;
}

void Store(const ShardRow& row, ShardState* state) { std::memcpy(state, &row, sizeof row); }

cpu::ShardTask TaskOf(const ShardBatch& shard, int64_t row) {
  const char* const logits = static_cast<const char*>(shard.logits);
  return {logits + row * RowStride(shard) * definition::BytesOf(shard.logits_type), shard.logits_type,
          static_cast<uint32_t>(shard.size), static_cast<uint32_t>(shard.first_id)};
}

definition::ShardList ListOf(const ShardEntries& entries, int64_t row) {
  return {entries.entries + row * (entries.count + 1), entries.weights + row * entries.count,
          static_cast<uint32_t>(entries.count)};
}

// Every row's answer must fit the slots, and `rank` be one of its ranks.
void CheckRows(const ShardState* state, int64_t rows, const ShardRound& round, int64_t rank) {
  for (int64_t i = 0; i < RowCount(round, rows); ++i) {
    const int64_t at = definition::RowAt(round, i, rows);
    const ShardRow row = Load(state[at]);
    const int64_t needed = definition::SlotsFor(row.questions, row.ranks);
    if (round.slots < needed)
      throw RefusedRow("ShardRound", "slots",
                       "is " + std::to_string(round.slots) + ", expected " + std::to_string(needed) +
                           " or more, as row " + std::to_string(at) + " asks");
    if (rank >= row.ranks)
      throw RefusedRow("ShardAnswerCpu", "rank",
                       "is " + std::to_string(rank) + ", expected one of the " + std::to_string(row.ranks) +
                           " ranks of row " + std::to_string(at));
  }
}

}  // namespace

int64_t ShardSlots(uint32_t questions, int64_t ranks) {
  CheckRanks(ranks, "ranks");
  return definition::SlotsFor(questions, static_cast<uint32_t>(ranks));
}

void ShardEntriesCpu(const ShardBatch& shard, int64_t count, uint64_t* entries, const ParallelFor& parallel_for) {
  CheckShardEntries(shard, count, entries);
  const cpu::ShardFunctions& functions = cpu::ChosenRowFunctions().shard;
  cpu::ForRows(shard.rows, shard.size, parallel_for, [&](int64_t row, cpu::Workspace& workspace) {
    functions.entries(TaskOf(shard, row), static_cast<uint32_t>(count), entries + row * (count + 1), workspace);
  });
}

void ShardBeginCpu(const Batch& batch, const ShardEntries& entries, const ShardQuery& query, ShardState* state,
                   const ParallelFor& parallel_for) {
  CheckShardBegin(batch, entries, query, state);
  cpu::ForRows(batch.rows, entries.count * kLogitsAnEntry, parallel_for, [&](int64_t at, cpu::Workspace&) {
    const definition::Slot slot = definition::SlotOf(batch, at);
    ShardRow row = {};
    row.wants = query.wants;
    row.vocabulary = static_cast<uint32_t>(batch.vocabulary);
    row.ranks = static_cast<uint32_t>(query.ranks);
    row.key_bits = definition::KeyBitsOf(batch.logits_type);
    row.record = cpu::RecordAt(batch, slot.index);
    row.step = definition::StepOf(batch, at);
    if ((query.wants & kShardWantsLogProb) != 0) row.asked = query.token[at * query.token_stride];
    const definition::ShardList list = ListOf(entries, at);
    Solver(OneThread(), list, &row).Begin((list.entry[list.size] & kShardHasNan) != 0, slot.out_of_range);
    Store(row, state + at);
  });
}

void ShardAnswerCpu(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                    ShardAnswer* answers, const ParallelFor& parallel_for) {
  CheckShardAnswer(shard, state, round, rank, answers);
  CheckRows(state, shard.rows, round, rank);
  const cpu::ShardFunctions& functions = cpu::ChosenRowFunctions().shard;
  cpu::ForRows(RowCount(round, shard.rows), shard.size, parallel_for, [&](int64_t i, cpu::Workspace&) {
    const int64_t row = definition::RowAt(round, i, shard.rows);
    functions.answer(TaskOf(shard, row), Load(state[row]), static_cast<uint32_t>(rank),
                     static_cast<uint32_t>(round.slots), answers + i * round.slots);
  });
}

void ShardTakeCpu(ShardState* state, int64_t rows, const ShardEntries& entries, const ShardRound& round,
                  const ShardAnswer* answers, const ParallelFor& parallel_for) {
  CheckShardTake(state, rows, entries, round, answers);
  CheckRows(state, rows, round, /*rank=*/0);
  cpu::ForRows(RowCount(round, rows), entries.count * kLogitsAnEntry, parallel_for, [&](int64_t i, cpu::Workspace&) {
    const int64_t at = definition::RowAt(round, i, rows);
    ShardRow row = Load(state[at]);
    Solver(OneThread(), ListOf(entries, at), &row).Take(answers + i * round.slots);
    Store(row, state + at);
  });
}

void ShardFinishCpu(const ShardState* state, int64_t rows, const SampleOutputs& outputs) {
  CheckShardFinish(state, rows);
  const cpu::DefaultFloatEnvironment environment;
  for (int64_t at = 0; at < rows; ++at) {
    Write(SampleOf(Load(state[at]), outputs.reference), at, outputs);
  }
}

void ShardProcessCpu(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride,
                     const ParallelFor& parallel_for) {
  CheckShardProcess(shard, state, out, out_stride);
  const cpu::ShardFunctions& functions = cpu::ChosenRowFunctions().shard;
  cpu::ForRows(shard.rows, shard.size, parallel_for, [&](int64_t row, cpu::Workspace&) {
    functions.process(TaskOf(shard, row), Load(state[row]), out + row * out_stride);
  });
}

void ShardLogProbBackwardCpu(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                             void* grad_logits, int64_t grad_logits_stride, const ParallelFor& parallel_for) {
  CheckShardLogProbBackward(shard, state, grad, grad_logits, grad_logits_stride);
  const cpu::ShardFunctions& functions = cpu::ChosenRowFunctions().shard;
  const int64_t row_bytes = grad_logits_stride * definition::BytesOf(shard.logits_type);
  cpu::ForRows(shard.rows, shard.size, parallel_for, [&](int64_t row, cpu::Workspace& workspace) {
    functions.log_prob_backward(TaskOf(shard, row), Load(state[row]), grad[row * grad_stride],
                                static_cast<char*>(grad_logits) + row * row_bytes, workspace);
  });
}

void ShardHeatCpu(const ShardBatch& shard, const ShardState* state, float* logits, const ParallelFor& parallel_for) {
  CheckShardHeat(shard, state, logits);
  const cpu::ShardFunctions& functions = cpu::ChosenRowFunctions().shard;
  cpu::ForRows(shard.rows, shard.size, parallel_for, [&](int64_t row, cpu::Workspace&) {
    functions.heat(TaskOf(shard, row), Load(state[row]), logits + row * RowStride(shard));
  });
}

}  // namespace fire
