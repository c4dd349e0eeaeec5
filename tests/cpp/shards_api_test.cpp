// The C++ API of sharded rows: batches of ranks that share their entries and answers, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "batch_support.h"
#include "fire/shards.h"
#include "test_support.h"

namespace fire::test {
namespace {

constexpr int64_t kVocabulary = 210, kRows = 15, kCount = 12;
const std::vector<int64_t> kSizes = {64, 3, 143};

// A batch cut into shards, which are columns of its rows, and what its ranks have exchanged.
class ShardedBatch {
 public:
  explicit ShardedBatch(const BatchRows& rows, ParallelFor parallel_for = {})
      : rows_(rows), parallel_for_(std::move(parallel_for)) {
    int64_t first = 0;
    for (const int64_t size : kSizes) {
      ShardBatch shard;
      shard.logits = rows.logits.data() + first;
      shard.rows = rows.rows;
      shard.size = size;
      shard.row_stride = rows.vocabulary;
      shard.first_id = first;
      shards_.push_back(shard);
      first += size;
    }
  }

  const std::vector<ShardBatch>& shards() const { return shards_; }
  const std::vector<ShardState>& state() const { return state_; }

  void Exchange(int64_t count) {
    std::vector<uint64_t> of_rank(At(rows_.rows * (count + 1)));
    std::vector<std::vector<uint64_t>> all(At(rows_.rows), std::vector<uint64_t>(1, 0));
    for (const ShardBatch& shard : shards_) {
      ShardEntriesCpu(shard, count, of_rank.data(), parallel_for_);
      for (int64_t row = 0; row < rows_.rows; ++row) {
        const uint64_t* const told = of_rank.data() + row * (count + 1);
        all[At(row)][0] |= told[count];
        all[At(row)].insert(all[At(row)].end(), told, told + count);
      }
    }
    merged_.clear();
    for (std::vector<uint64_t>& row : all) {
      std::sort(row.begin() + 1, row.end(), std::greater<>());
      merged_.insert(merged_.end(), row.begin() + 1, row.begin() + 1 + count);
      merged_.push_back(row[0]);
    }
    weights_.assign(At(rows_.rows * count), 7);
    entries_ = {count, merged_.data(), weights_.data()};
    state_.assign(At(rows_.rows), ShardState{});
  }

  // Solves all rows, those that ask by name where `names_rows`.
  void Solve(const Batch& batch, const ShardQuery& query, bool names_rows) {
    ShardBeginCpu(batch, entries_, query, state_.data(), parallel_for_);
    for (;;) {
      uint32_t questions = 0;
      std::vector<int64_t> asking;
      for (int64_t row = 0; row < rows_.rows; ++row) {
        questions |= state_[At(row)].questions;
        if (state_[At(row)].questions != 0) asking.push_back(row);
      }
      if (questions == 0) return;
      ShardRound round;
      round.slots = ShardSlots(questions, query.ranks);
      if (names_rows) {
        round.rows = asking.data();
        round.row_count = static_cast<int64_t>(asking.size());
      }
      const size_t answers = (names_rows ? asking.size() : At(rows_.rows)) * At(round.slots);
      std::vector<ShardAnswer> sum(answers, {0, 0}), own(answers, {7, 7});
      for (size_t rank = 0; rank < shards_.size(); ++rank) {
        ShardAnswerCpu(shards_[rank], state_.data(), round, static_cast<int64_t>(rank), own.data(), parallel_for_);
        for (size_t i = 0; i < answers; ++i) sum[i] = {sum[i].count + own[i].count, sum[i].mass + own[i].mass};
      }
      ShardTakeCpu(state_.data(), rows_.rows, entries_, round, sum.data(), parallel_for_);
    }
  }

 private:
  static size_t At(int64_t index) { return static_cast<size_t>(index); }

  const BatchRows& rows_;
  ParallelFor parallel_for_;
  std::vector<ShardBatch> shards_;
  std::vector<uint64_t> merged_, weights_;
  ShardEntries entries_;
  std::vector<ShardState> state_;
};

ShardQuery QueryOf(uint32_t wants) {
  ShardQuery query;
  query.ranks = static_cast<int64_t>(kSizes.size());
  query.wants = wants;
  return query;
}

void ExpectTheReferencesSamples(const ShardedBatch& sharded, const BatchRows& rows) {
  std::vector<int64_t> token(kRows);
  std::vector<float> logprob(kRows), ref_logprob(kRows);
  std::vector<int32_t> rank(kRows), kept(kRows), status(kRows);
  ShardFinishCpu(sharded.state().data(), kRows,
                 {token.data(), logprob.data(), ref_logprob.data(), rank.data(), kept.data(), status.data(), true});
  for (size_t row = 0; row < token.size(); ++row) {
    const definition::ReferenceSample want = rows.Reference(static_cast<int64_t>(row)).Sample();
    EXPECT_EQ(token[row], want.token) << row;
    EXPECT_EQ(logprob[row], want.logprob) << row;
    EXPECT_EQ(ref_logprob[row], want.ref_logprob) << row;
    EXPECT_EQ(rank[row], want.rank) << row;
    EXPECT_EQ(kept[row], want.kept) << row;
    EXPECT_EQ(status[row], want.status) << row;
  }
}

TEST(ShardsApi, ABatchOfShardsGivesTheWholeRowsSamples) {
  const BatchRows rows(kRows, kVocabulary);
  for (const bool names_rows : {false, true}) {
    ShardedBatch sharded(rows);
    sharded.Exchange(kCount);
    sharded.Solve(rows.ToBatch(), QueryOf(kShardWantsDraw | kShardWantsReference), names_rows);
    ExpectTheReferencesSamples(sharded, rows);
  }
}

TEST(ShardsApi, RowsAreSpreadOverTheThreadsOfTheCaller) {
  BatchRows rows(kRows, kVocabulary);
  int calls = 0;
  const ParallelFor threads = [&](int64_t count, const ParallelForBody& body) {
    ++calls;
    std::thread first([&] { body(0, count / 2); });
    body(count / 2, count);
    first.join();
  };
  ShardedBatch sharded(rows, threads);
  sharded.Exchange(kMaxShardEntries);  // so that the lists alone are work for threads
  EXPECT_EQ(calls, 0) << "three short shards are not";
  sharded.Solve(rows.ToBatch(), QueryOf(kShardWantsDraw | kShardWantsReference), false);
  EXPECT_GT(calls, 0);
  ExpectTheReferencesSamples(sharded, rows);
}

TEST(ShardsApi, EachRankWritesItsColumnsOfWhatIsWrittenPerToken) {
  const BatchRows rows(kRows, kVocabulary);
  ShardedBatch sharded(rows);
  sharded.Exchange(kCount);
  std::vector<int64_t> token = rows.ExpectedTokens();
  std::vector<float> grad(kRows);
  for (size_t row = 0; row < grad.size(); ++row) grad[row] = static_cast<float>(row) - 4;
  ShardQuery query = QueryOf(kShardWantsLogProb);
  query.token = token.data();
  sharded.Solve(rows.ToBatch(), query, true);
  std::vector<float> processed(rows.logits.size()), slopes(rows.logits.size());
  for (const ShardBatch& shard : sharded.shards()) {
    ShardProcessCpu(shard, sharded.state().data(), processed.data() + shard.first_id, kVocabulary);
    ShardLogProbBackwardCpu(shard, sharded.state().data(), grad.data(), 1, slopes.data() + shard.first_id, kVocabulary);
  }
  sharded.Solve(rows.ToBatch(), QueryOf(kShardWantsHeat), true);
  std::vector<float> heated = rows.logits;
  for (ShardBatch shard : sharded.shards()) {
    float* const logits = heated.data() + shard.first_id;
    shard.logits = logits;
    ShardHeatCpu(shard, sharded.state().data(), logits);
  }
  for (int64_t row = 0; row < kRows; ++row) {
    const auto reference = rows.Reference(row);
    const auto begin = rows.logits.begin() + row * kVocabulary;
    const std::vector<float> want_processed = reference.ProcessedLogits(),
                             want_heated = reference.HeatedLogits(&*begin),
                             want_slopes = reference.LogProbGradient(token[static_cast<size_t>(row)],
                                                                     grad[static_cast<size_t>(row)]);
    for (int64_t id = 0; id < kVocabulary; ++id) {
      const auto at = static_cast<size_t>(row * kVocabulary + id), i = static_cast<size_t>(id);
      ASSERT_EQ(processed[at], want_processed[i]);
      ASSERT_EQ(heated[at], want_heated[i]);
      ASSERT_EQ(slopes[at], want_slopes[i]);
    }
  }
}

TEST(ShardsApi, ShardsThatNameNoTokensOrNoMemoryAreRefusedByName) {
  const float logit = 0;
  uint64_t entries[9];
  ShardBatch shard;
  shard.logits = &logit;
  shard.rows = 1;
  const auto message = [&](int64_t count) { return RefusalOf([&] { ShardEntriesCpu(shard, count, entries); }); };
  EXPECT_EQ(message(8), "ShardBatch::size is 0, expected 1 to 2097152 (an empty shard has nothing to tell)");
  shard.size = 1;
  EXPECT_EQ(message(8), kNothingThrown);
  EXPECT_EQ(message(0), "count is 0, expected 1 to 4096");
  EXPECT_EQ(message(4097), "count is 4097, expected 1 to 4096");
  shard.first_id = kMaxVocabulary;
  EXPECT_EQ(message(8), "ShardBatch::first_id is 2097152, expected 0 to 2097151");
  shard.first_id = 0;
  shard.logits = nullptr;
  EXPECT_EQ(message(8), "ShardBatch::logits is 0, expected memory");
  shard.rows = -1;
  EXPECT_EQ(message(8), "ShardBatch::rows is -1, expected 0 or more");
}

TEST(ShardsApi, QueriesAndRoundsOutOfRangeAreRefusedByName) {
  const BatchRows rows(2, kVocabulary);
  ShardedBatch sharded(rows);
  sharded.Exchange(kCount);
  std::vector<uint64_t> list(2 * (kCount + 1)), weights(2 * kCount);
  std::vector<ShardState> state(2);
  const ShardEntries entries = {kCount, list.data(), weights.data()};
  const auto begin = [&](const ShardQuery& query, const ShardEntries& told) {
    return RefusalOf([&] { ShardBeginCpu(rows.ToBatch(), told, query, state.data()); });
  };
  ShardQuery query = QueryOf(kShardWantsDraw);
  EXPECT_EQ(begin(query, entries), kNothingThrown);
  EXPECT_EQ(begin(query, {0, list.data(), weights.data()}), "ShardEntries::count is 0, expected 1 to 4096");
  EXPECT_EQ(begin(query, {kCount, nullptr, weights.data()}), "ShardEntries::entries is 0, expected memory");
  EXPECT_EQ(begin(query, {kCount, list.data(), nullptr}), "ShardEntries::weights is 0, expected memory");
  query.ranks = 257;
  EXPECT_EQ(begin(query, entries), "ShardQuery::ranks is 257, expected 1 to 256");
  query = QueryOf(16);
  EXPECT_EQ(begin(query, entries), "ShardQuery::wants is 16, expected kShardWants... bits");
  query = QueryOf(kShardWantsLogProb);
  EXPECT_EQ(begin(query, entries), "ShardQuery::token is 0, expected memory");
  EXPECT_EQ(ShardSlots(0, 3), 2);
  EXPECT_EQ(ShardSlots(1, 3), 5);
  EXPECT_EQ(ShardSlots(3, 3), 258);

  state[0] = state[1] = ShardState{};
  state[1].questions = 1;  // masses of a state of one rank
  std::vector<ShardAnswer> answers(600);
  const auto answer = [&](const ShardRound& round, int64_t rank) {
    return RefusalOf([&] { ShardAnswerCpu(sharded.shards()[0], state.data(), round, rank, answers.data()); });
  };
  const int64_t first_row = 0, beyond = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(answer({1}, 0), "ShardRound::slots is 1, expected 2 to 258");
  EXPECT_EQ(answer({2}, 0), "ShardRound::slots is 2, expected 3 or more, as row 1 asks");
  EXPECT_EQ(answer({2, &first_row, 1}, 0), kNothingThrown) << "the row that asks takes no part";
  EXPECT_EQ(answer({2, &beyond, 1}, 0), "ShardRound::slots is 2, expected 3 or more, as row 1 asks") << "clamped";
  EXPECT_EQ(answer({3}, 1), "ShardAnswerCpu::rank is 1, expected one of the 1 ranks of row 0");
  EXPECT_EQ(answer({3}, 256), "rank is 256, expected 0 to 255");
  EXPECT_EQ(answer({3, &first_row, -1}, 0), "ShardRound::row_count is -1, expected 0 or more");
  EXPECT_EQ(RefusalOf([&] { ShardTakeCpu(state.data(), 2, entries, {2}, answers.data()); }),
            "ShardRound::slots is 2, expected 3 or more, as row 1 asks");
}

TEST(ShardsApi, WhatIsWrittenPerTokenMustHaveRoomAndItsType) {
  const BatchRows rows(2, kVocabulary);
  ShardedBatch sharded(rows);
  sharded.Exchange(kCount);
  ShardBatch shard = sharded.shards()[0];
  std::vector<float> out(rows.logits.size());
  const ShardState* const state = sharded.state().data();
  EXPECT_EQ(RefusalOf([&] { ShardProcessCpu(shard, state, out.data(), 63); }),
            "out_stride is 63, expected the shard's size or more");
  EXPECT_EQ(RefusalOf([&] { ShardLogProbBackwardCpu(shard, state, out.data(), 1, out.data(), 63); }),
            "grad_logits_stride is 63, expected the shard's size or more");
  EXPECT_EQ(RefusalOf([&] { ShardHeatCpu(shard, state, out.data()); }),
            "whether logits are ShardBatch::logits is 0, expected 1: they are changed in place");
  shard.logits = out.data();
  shard.row_stride = 63;
  EXPECT_EQ(RefusalOf([&] { ShardHeatCpu(shard, state, out.data()); }),
            "ShardBatch::row_stride is 63, expected the shard's size or more: rows must not overlap");
  shard.logits_type = LogitsType::kFloat16;
  EXPECT_EQ(RefusalOf([&] { ShardHeatCpu(shard, state, out.data()); }),
            "ShardBatch::logits_type is 2, expected kFloat32");
}

TEST(ShardsApi, NoRowsTouchNothing) {
  ShardEntriesCpu({}, 4, nullptr);
  ShardBeginCpu({}, {}, {}, nullptr);
  ShardAnswerCpu({}, nullptr, {2}, 0, nullptr);
  ShardTakeCpu(nullptr, 0, {}, {2}, nullptr);
  ShardFinishCpu(nullptr, 0, {});
  ShardProcessCpu({}, nullptr, nullptr, 0);
  ShardLogProbBackwardCpu({}, nullptr, nullptr, 0, nullptr, 0);
  ShardHeatCpu({}, nullptr, nullptr);
}

}  // namespace
}  // namespace fire::test
