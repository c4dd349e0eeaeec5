// The C++ API around the rows: which record, step and logits each row gets, and where its results go. What happens
// within a row is compared with definition/reference.h.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "batch_support.h"
#include "fire/sampling.h"
#include "test_support.h"

namespace fire::test {
namespace {

constexpr int64_t kVocabulary = 50;

TEST(SamplingApi, NoRowsTouchNothing) {
  EXPECT_TRUE(Tokens(Batch{}).empty());
  EXPECT_TRUE(Tokens(BatchRows(0, kVocabulary).ToBatch()).empty());
  SampleCpu(Batch{}, SampleOutputs{});
  ProcessLogitsCpu(Batch{}, nullptr, 0);
  HeatLogitsCpu(Batch{}, nullptr);
}

TEST(SamplingApi, StepsMayBeInt32OrInt64StridedOrOneForAllAndNegative) {
  const BatchRows rows(40, kVocabulary);
  Batch batch = rows.ToBatch();
  EXPECT_EQ(Tokens(batch), rows.ExpectedTokens());

  const std::vector<int32_t> narrow(rows.steps.begin(), rows.steps.end());
  batch.step = narrow.data();
  batch.step_is_int64 = false;
  EXPECT_EQ(Tokens(batch), rows.ExpectedTokens());

  std::vector<int64_t> spaced(120, -5);
  for (size_t row = 0; row < 40; ++row) spaced[3 * row] = rows.steps[row];
  batch.step = spaced.data();
  batch.step_is_int64 = true;
  batch.step_stride = 3;
  EXPECT_EQ(Tokens(batch), rows.ExpectedTokens());

  batch.step_stride = 0;
  for (const int64_t step : {-3, 0, 1}) {
    BatchRows same = rows;
    same.steps.assign(40, step);
    spaced[0] = step;
    EXPECT_EQ(Tokens(batch), same.ExpectedTokens()) << step;
  }
}

TEST(SamplingApi, ABatchThatNamesNoRowStrideReadsEachRowAndNotTheFirstForAll) {
  const BatchRows rows(9, kVocabulary);
  Batch batch = rows.ToBatch();
  batch.row_stride = Batch().row_stride;
  EXPECT_EQ(Tokens(batch), rows.ExpectedTokens());

  std::vector<float> heated = rows.logits;
  batch.logits = heated.data();
  HeatLogitsCpu(batch, heated.data());
  for (int64_t row = 0; row < 9; ++row) {
    const std::vector<float> expected = rows.Reference(row).HeatedLogits(rows.logits.data() + row * kVocabulary);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), heated.begin() + row * kVocabulary)) << row;
  }
}

TEST(SamplingApi, ARowAloneNeedsNoRowStrideAndMayHaveAny) {
  const BatchRows rows(1, kVocabulary);
  Batch batch = rows.ToBatch();
  for (const int64_t stride : {Batch().row_stride, int64_t{0}, int64_t{-7}, kVocabulary}) {
    batch.row_stride = stride;
    EXPECT_EQ(Tokens(batch), rows.ExpectedTokens()) << stride;
  }
}

TEST(SamplingApi, StepsThatNameNoStrideAreOneARow) {
  const BatchRows rows(9, kVocabulary);
  Batch batch = rows.ToBatch();
  batch.step_stride = Batch().step_stride;
  batch.step_is_int64 = Batch().step_is_int64;
  batch.logits_type = Batch().logits_type;
  EXPECT_EQ(Tokens(batch), rows.ExpectedTokens());
}

TEST(SamplingApi, ABatchThatForgotItsRecordCountIsRefusedByName) {
  const BatchRows rows(3, kVocabulary);
  Batch batch = rows.ToBatch();
  batch.record_count = Batch().record_count;
  EXPECT_THROW(Tokens(batch), std::invalid_argument);
}

TEST(SamplingApi, SlotsChooseTheRecordAndThoseOutOfRangeAreClampedAndReported) {
  const BatchRows rows(7, kVocabulary);
  const int32_t slots[] = {5, 0, 0, -1, 7, 2147483647, 2};
  const size_t clamped[] = {5, 0, 0, 0, 6, 6, 2};
  Batch batch = rows.ToBatch();
  batch.slot = slots;
  std::vector<int64_t> token(7);
  std::vector<int32_t> status(7);
  SampleOutputs outputs;
  outputs.token = token.data();
  outputs.status = status.data();
  SampleCpu(batch, outputs);
  for (size_t row = 0; row < 7; ++row) {
    const auto expected =
        rows.Reference(static_cast<int64_t>(row), rows.records[clamped[row]], rows.steps[row]).Sample();
    EXPECT_EQ(token[row], expected.token) << row;
    EXPECT_EQ(status[row], expected.status | (row >= 3 && row < 6 ? kStatusSlotOutOfRange : 0)) << row;
  }
}

TEST(SamplingApi, RecordsNeedNoMoreThanFourByteAlignmentAndStepsAndLogitsNone) {
  const BatchRows rows(4, kVocabulary);
  std::vector<uint32_t> words(1 + 4 * kRecordWords);
  std::memcpy(words.data() + 1, rows.records.data(), 4 * sizeof(Record));
  std::vector<char> steps(1 + 4 * sizeof(int64_t)), logits(1 + rows.logits.size() * sizeof(float));
  std::memcpy(steps.data() + 1, rows.steps.data(), 4 * sizeof(int64_t));
  std::memcpy(logits.data() + 1, rows.logits.data(), rows.logits.size() * sizeof(float));
  Batch batch = rows.ToBatch();
  const std::vector<int64_t> aligned = Tokens(batch);
  batch.records = reinterpret_cast<const Record*>(words.data() + 1);
  batch.step = steps.data() + 1;
  batch.logits = logits.data() + 1;
  EXPECT_EQ(Tokens(batch), aligned);
}

TEST(SamplingApi, LargeBatchesGoThroughTheCallersThreadsAndSmallOnesDoNot) {
  const BatchRows few(2, kVocabulary), many(2000, kVocabulary);
  std::atomic<int> calls{0};
  const ParallelFor backwards = [&](int64_t count, const ParallelForBody& body) {
    ++calls;
    for (int64_t row = count; row-- > 0;) body(row, row + 1);
  };
  EXPECT_EQ(Tokens(few.ToBatch(), backwards), Tokens(few.ToBatch()));
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(Tokens(many.ToBatch(), backwards), Tokens(many.ToBatch()));
  EXPECT_EQ(calls, 1);
}

TEST(SamplingApi, ADrawOnTheBoundaryOfTwoTokensGoesToTheSecondAtAnyVocabulary) {
  const std::vector<float> logits(size_t{kMaxVocabulary}, 1.0f);
  for (const ChosenDraw& draw : {kDrawOfTheHalf, kDrawBelowTheHalf}) {
    Record record = PlainRecord(draw.seed);
    record.stream = draw.stream;
    Batch batch;
    batch.logits = logits.data();
    batch.rows = batch.record_count = 1;
    batch.step = &draw.step;
    batch.records = &record;
    const bool half = draw.step == kDrawOfTheHalf.step;
    for (int64_t vocabulary : {int64_t{2}, int64_t{64}, int64_t{1000}, int64_t{151936}, kMaxVocabulary}) {
      batch.vocabulary = batch.row_stride = vocabulary;
      EXPECT_EQ(Tokens(batch)[0], vocabulary / 2 - (half ? 0 : 1)) << vocabulary;
    }
  }
}

TEST(SamplingApi, ProcessedRowsAreWrittenAtTheirStrideAndNothingBetween) {
  const BatchRows rows(5, kVocabulary);
  constexpr int64_t kOutStride = kVocabulary + 3;
  std::vector<float> out(5 * kOutStride, 123.0f);
  ProcessLogitsCpu(rows.ToBatch(), out.data(), kOutStride);
  for (int64_t row = 0; row < 5; ++row) {
    const std::vector<float> expected = rows.Reference(row).ProcessedLogits();
    for (int64_t id = 0; id < kOutStride; ++id)
      EXPECT_EQ(out[static_cast<size_t>(row * kOutStride + id)],
                id < kVocabulary ? expected[static_cast<size_t>(id)] : 123.0f);
  }
}

TEST(SamplingApi, OnlyHotRowsAreHeated) {
  const BatchRows rows(6, kVocabulary);
  BatchRows heated = rows;
  HeatLogitsCpu(heated.ToBatch(), heated.logits.data());
  for (int64_t row = 0; row < 6; ++row) {
    const std::vector<float> expected = rows.Reference(row).HeatedLogits(rows.logits.data() + row * kVocabulary);
    for (int64_t id = 0; id < kVocabulary; ++id)
      EXPECT_EQ(heated.logits[static_cast<size_t>(row * kVocabulary + id)], expected[static_cast<size_t>(id)]);
  }
}

TEST(SamplingApi, LogProbReadsItsTokensAtTheirStride) {
  const BatchRows rows(3, kVocabulary);
  const std::vector<int64_t> token = {7, -1, 49, -1, kVocabulary, -1};
  std::vector<float> logprob(3);
  LogProbCpu(rows.ToBatch(), token.data(), 2, logprob.data());
  EXPECT_FLOAT_EQ(logprob[0], rows.Reference(0).LogProb(7));
  EXPECT_FLOAT_EQ(logprob[1], rows.Reference(1).LogProb(49));
  EXPECT_EQ(logprob[2], -kInfinity);
}

TEST(SamplingApi, SpreadRecordsDifferInNothingButTheSeed) {
  const Record record = BatchRows::Filtered(123);
  EXPECT_NE(definition::SeedOf(SpreadRecord(record, 0)), definition::SeedOf(SpreadRecord(record, 1)));
  Record spread = SpreadRecord(record, 3);
  EXPECT_EQ(definition::SeedOf(spread), definition::SpreadSeed(definition::SeedOf(record), 3));
  spread.seed_low = record.seed_low;
  spread.seed_high = record.seed_high;
  EXPECT_EQ(std::memcmp(&spread, &record, sizeof record), 0);
}

}  // namespace
}  // namespace fire::test
