// Rows that lie in shards on a device: entries, states, answers and what is written, each against the definition, and
// the end against the whole row's reference.
#include "tests/cuda/captured_graph.h"
#include "tests/cuda/shard_rows.h"

namespace fire::test {
namespace {

using kernels::Task;

constexpr uint32_t kDraw = kShardWantsDraw | kShardWantsReference;

ShardCases TroublesomeCases(Random& random, LogitsType type, uint32_t vocabulary, int rows) {
  ShardCases cases;
  cases.type = type, cases.sizes = TroublesomeSplit(random, vocabulary);
  cases.count = 1 + random.Below(random.Below(2) == 0 ? 4 : 80);
  for (int i = 0; i < rows; ++i) {
    RowCase row;
    row.logits = TroublesomeRow(random, vocabulary);
    row.record = TroublesomeRecord(random, vocabulary);
    row.step = random.Below(4);
    cases.rows.push_back(row);
    cases.asked.push_back(static_cast<int64_t>(random.Below(vocabulary + 4)) - 2);
  }
  return cases;
}

// Of most rows the token that is drawn.
void AskForDrawn(Random& random, ShardCases* cases) {
  for (size_t i = 0; i < cases->rows.size(); ++i) {
    if (random.Below(3) == 0) continue;
    const RowCase& row = cases->rows[i];
    const TypedRow typed(row.logits, cases->type);
    cases->asked[i] =
        definition::ReferenceRow(typed.values().data(), typed.size(), row.record, row.step).Sample().token;
  }
}

class Shards : public testing::TestWithParam<Shape> {};

TEST_P(Shards, EveryPlanAnswersAsTheDefinitionAndDrawsTheWholeRowsToken) {
  const auto [type, vocabulary] = GetParam();
  Random random(Seed() * 1000003 + vocabulary);
  for (const Plan& plan : PlansHere(Task::kShardAnswer, vocabulary, type)) {
    const ShardCases cases = TroublesomeCases(random, type, vocabulary, Scaled(plan.cluster < 4 ? 8 : 3));
    ShardedRows rows(random, cases);
    ASSERT_EQ(rows.Solve(kDraw, &plan), "") << Describe(plan);
    ASSERT_EQ(rows.FinishDifference(true), "") << Describe(plan);
    ASSERT_EQ(rows.ProcessDifference(), "");
  }
}

TEST_P(Shards, ALogProbabilityItsGradientAndTheHeatedLogitsAreThoseOfTheWholeRow) {
  const auto [type, vocabulary] = GetParam();
  Random random(Seed() * 1000033 + vocabulary);
  for (int turn = 0; turn < Scaled(4); ++turn) {
    ShardCases cases = TroublesomeCases(random, type, vocabulary, 6);
    AskForDrawn(random, &cases);
    ShardedRows rows(random, cases);
    const uint32_t more = turn % 2 == 0 ? 0 : kShardWantsReference;  // of a token that no shard has, too
    ASSERT_EQ(rows.Solve(kShardWantsLogProb | more), "");
    ASSERT_EQ(rows.LogProbDifference(), "");
    ASSERT_EQ(rows.GradientDifference(), "");
    if (type != LogitsType::kFloat32) continue;
    ASSERT_EQ(rows.Solve(kShardWantsHeat), "");
    ASSERT_EQ(rows.HeatDifference(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Shards,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 33},
                                         Shape{LogitsType::kFloat32, 700}, Shape{LogitsType::kBFloat16, 8},
                                         Shape{LogitsType::kBFloat16, 700}, Shape{LogitsType::kFloat16, 300}),
                         NameOfShape);

ShardCases BellCases(Random& random, LogitsType type, uint32_t vocabulary, std::vector<uint32_t> sizes,
                     const std::vector<Record>& records) {
  ShardCases cases;
  cases.type = type, cases.sizes = std::move(sizes), cases.count = 16;
  for (const Record& record : records) {
    RowCase row;
    for (uint32_t id = 0; id < vocabulary; ++id) row.logits.push_back(static_cast<float>(2 * random.Bell()));
    row.record = record;
    cases.rows.push_back(row);
    cases.asked.push_back(random.Below(vocabulary));
  }
  return cases;
}

Record TopP(float top_p, uint64_t seed) {
  Record record = PlainRecord(seed);
  record.top_p = top_p;
  return record;
}

TEST(CudaShards, LargeShardsAreReadToTheirEnds) {
  Random random(Seed());
  Record far = TopP(0.99f, 7);
  far.top_k = 9000;
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16}) {
    const ShardCases cases = BellCases(random, type, 70001, {40000, 30001}, {PlainRecord(5), TopP(0.9f, 6), far});
    ShardedRows rows(random, cases);
    ASSERT_EQ(rows.Solve(kDraw), "");
    ASSERT_EQ(rows.FinishDifference(true), "");
  }
}

// Weights of such a vocabulary have fewer bits, and no fast way.
TEST(CudaShards, AVocabularyBeyondTheFastWeightsHasTheSameBits) {
  Random random(Seed());
  const ShardCases cases = BellCases(random, LogitsType::kFloat16, 300000, {290000, 10000}, {TopP(0.3f, 6)});
  ShardedRows rows(random, cases);
  ASSERT_EQ(rows.Solve(kDraw), "");
  ASSERT_EQ(rows.FinishDifference(true), "");
}

TEST(CudaShards, EqualLogitsAreToldInTheOrderOfTheirIdsThoughTheyOverflowTheList) {
  Random random(Seed());
  for (const uint32_t count : {1u, 100u, 512u, 513u, 1500u}) {
    ShardCases cases = BellCases(random, LogitsType::kBFloat16, 6000, {5000, 1000}, {TopP(0.5f, 1), PlainRecord(2)});
    cases.count = count;
    for (float& x : cases.rows[0].logits) x = -1.25f;
    for (float& x : cases.rows[1].logits) x = random.Below(3) == 0 ? 2.0f : random.Below(3) == 0 ? -kInfinity : -2.0f;
    ShardedRows rows(random, cases);
    ASSERT_EQ(rows.Solve(kDraw), "");
    ASSERT_EQ(rows.FinishDifference(true), "");
  }
}

TEST(CudaShards, AsManyEntriesAsMayBeAskedForAreSorted) {
  Random random(Seed());
  ShardCases cases = BellCases(random, LogitsType::kFloat32, 9000, {5000, 4000}, {PlainRecord(1)});
  cases.count = kMaxShardEntries;
  ShardedRows rows(random, cases);
  ASSERT_EQ(rows.Solve(kDraw), "");
}

TEST(CudaShards, WithoutAReferenceItsOutputsSaySo) {
  Random random(Seed());
  const ShardCases cases = TroublesomeCases(random, LogitsType::kFloat32, 100, 6);
  ShardedRows rows(random, cases);
  ASSERT_EQ(rows.Solve(kShardWantsDraw), "");
  ASSERT_EQ(rows.FinishDifference(false), "");
}

TEST(CudaShards, OfRowsThatTheEngineFiltersTheLastTokenOfTopKIsHeated) {
  Random random(Seed());
  ShardCases cases;
  cases.sizes = {40, 0, 60};
  for (int i = 0; i < 6; ++i) {
    RowCase row;
    for (int id = 0; id < 100; ++id) row.logits.push_back(static_cast<float>(random.Bell()));
    row.record.top_k = row.record.hot_top_k = 1 + i;
    row.record.temperature = 0.7f, row.record.hot_temperature = 2.0f;
    row.record.hot_steps = 1;
    cases.rows.push_back(row);
    cases.asked.push_back(0);
  }
  ShardedRows rows(random, cases);
  ASSERT_EQ(rows.Solve(kShardWantsHeat), "");
  for (size_t i = 0; i < rows.rows(); ++i) EXPECT_TRUE(IsHandedOver(rows.row(i)));
  EXPECT_EQ(rows.HeatDifference(), "");
}

// One rank draws alone: what it tells and answers is all there is. Three rounds settle a row without a search; a row
// that asks nothing any more answers zeros and stays as it is.
TEST(CudaShards, ACapturedGraphDrawsWithWhatThenLiesInMemory) {
  constexpr uint32_t kRows = 3, kVocabulary = 2000, kCount = 24, kSlots = 3;
  Random random(5);
  std::vector<RowCase> cases(kRows);
  for (RowCase& row : cases)
    for (uint32_t id = 0; id < kVocabulary; ++id) row.logits.push_back(static_cast<float>(2 * random.Bell()));
  cases[1].record.top_k = 20;
  cases[2].record.min_p = 0.01f;
  const DeviceBatch rows(cases, LogitsType::kBFloat16, {});
  const DeviceArray<int64_t> step(1);
  const DeviceArray<uint64_t> list(kRows * (kCount + 1)), weights(kRows * kCount);
  const DeviceArray<ShardState> state(kRows);
  const DeviceArray<ShardAnswer> answers(kRows * kSlots);
  DeviceOutputs out(kRows, {});
  Batch batch = rows.batch();
  batch.step = step.get(), batch.step_stride = 0, batch.step_is_int64 = true;
  ShardBatch shard;
  shard.logits = batch.logits, shard.logits_type = batch.logits_type, shard.rows = kRows;
  shard.size = kVocabulary, shard.row_stride = batch.row_stride;
  const ShardEntries entries = {kCount, list.get(), weights.get()};
  ShardQuery query;
  query.wants = kDraw;
  const Stream stream;
  const CapturedGraph graph(stream, [&] {
    ShardEntriesCuda(shard, kCount, list.get(), stream.get());
    ShardBeginCuda(batch, entries, query, state.get(), stream.get());
    for (int round = 0; round < 3; ++round) {
      ShardAnswerCuda(shard, state.get(), {kSlots, nullptr, 0}, 0, answers.get(), stream.get());
      ShardTakeCuda(state.get(), kRows, entries, {kSlots, nullptr, 0}, answers.get(), stream.get());
    }
    ShardFinishCuda(state.get(), kRows, out.outputs(), stream.get());
  });
  for (const int64_t now : {1, 2, 77}) {
    ThrowOnError(cudaMemcpy(step.get(), &now, sizeof now, cudaMemcpyHostToDevice), "step");
    graph.Replay();
    row_runs += kRows;
    const auto token = out.Token();
    const auto logprob = out.LogProb(), ref_logprob = out.RefLogProb();
    const auto rank = out.Rank(), kept = out.Kept(), status = out.Status();
    for (size_t i = 0; i < kRows; ++i) {
      const RowSample got = {token[i], logprob[i], ref_logprob[i], rank[i], kept[i], status[i]};
      const auto want =
          definition::ReferenceRow(rows.rows()[i].values().data(), kVocabulary, cases[i].record, now).Sample();
      ASSERT_EQ(Differences(got, want, {}), "") << "row " << i << ", step " << now;
    }
  }
}

// What a state holds is a caller's to spoil: the simulated device sees that nothing outside the arrays is touched.
TEST(CudaShards, StatesListsAnswersAndRowsOfAnyBitsFaultNowhere) {
  Random random(Seed());
  const auto junk = [&](size_t words) {
    std::vector<uint64_t> values(words);
    for (uint64_t& value : values) value = random.Below(3) == 0 ? random.Below(4) : random.Bits();
    return values;
  };
  for (int turn = 0; turn < Scaled(20); ++turn) {
    const ShardCases cases = TroublesomeCases(random, LogitsType::kFloat32, 200, 4);
    ShardedRows rows(random, cases);
    ASSERT_EQ(rows.Solve(kDraw), "");
    const size_t state_words = sizeof(ShardState) / 8;
    const DeviceArray<uint64_t> states(junk(4 * state_words)), answers(junk(8 * 20)), list(junk(4 * 6));
    const DeviceArray<uint64_t> weights(junk(4 * 5));
    const DeviceArray<float> grad(std::vector<float>{0.5f});
    auto* const state = reinterpret_cast<ShardState*>(states.get());
    const DeviceArray<int64_t> named(std::vector<int64_t>{-5, 2, int64_t{1} << 40});
    const ShardRound round = {static_cast<int64_t>(2 + random.Below(9)), turn % 2 == 0 ? named.get() : nullptr, 3};
    for (size_t rank = 0; rank < rows.ranks(); ++rank) {
      if (cases.sizes[rank] == 0) continue;
      const ShardBatch shard = rows.BatchOf(rank);
      DeviceArray<ShardAnswer> out(4 * static_cast<size_t>(round.slots));
      DeviceArray<float> floats(4 * cases.sizes[rank]);
      ShardAnswerCuda(shard, state, round, static_cast<int64_t>(random.Below(256)), out.get(), nullptr);
      ShardProcessCuda(shard, state, floats.get(), shard.size, nullptr);
      ShardLogProbBackwardCuda(shard, state, grad.get(), 0, floats.get(), shard.size, nullptr);
      ShardHeatCuda(shard, state, static_cast<float*>(const_cast<void*>(shard.logits)), nullptr);
    }
    const ShardEntries entries = {5, list.get(), weights.get()};
    ShardTakeCuda(state, 4, entries, round, reinterpret_cast<const ShardAnswer*>(answers.get()), nullptr);
    DeviceOutputs out(4, {});
    ShardFinishCuda(state, 4, out.outputs(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernels of shards");
  }
}

TEST(CudaShards, WhatTheCpuRefusesIsRefusedInItsWords) {
  Random random(Seed());
  const ShardCases cases = TroublesomeCases(random, LogitsType::kBFloat16, 50, 2);
  ShardedRows rows(random, cases);
  ASSERT_EQ(rows.Solve(kDraw), "");
  ShardBatch shard = rows.BatchOf(rows.ranks() - 1);
  shard.size = 0;
  DeviceArray<uint64_t> out(100);
  EXPECT_THROW(ShardEntriesCuda(shard, 1, out.get(), nullptr), std::invalid_argument);
  shard.size = 1, shard.first_id = kMaxVocabulary;
  EXPECT_THROW(ShardProcessCuda(shard, rows.device_states(), nullptr, 1, nullptr), std::invalid_argument);
  shard.first_id = 0;
  EXPECT_THROW(ShardEntriesCuda(shard, kMaxShardEntries + 1, out.get(), nullptr), std::invalid_argument);
  EXPECT_THROW(ShardHeatCuda(shard, rows.device_states(), nullptr, nullptr), std::invalid_argument);
  EXPECT_THROW(ShardAnswerCuda(shard, rows.device_states(), {1, nullptr, 0}, 0, nullptr, nullptr),
               std::invalid_argument);
}

}  // namespace
}  // namespace fire::test
