// The C++ API around the rows: which record, step and logits each row gets, and where its results go. What happens
// within a row is compared with definition/reference.h.
#include <gtest/gtest.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <atomic>
#include <cfenv>
#include <vector>

#include "batch_support.h"
#include "definition/reference.h"
#include "fire/sampling.h"
#include "test_support.h"

namespace fire {
namespace {

using definition::ReferenceRow;
using test::Tokens;

constexpr int64_t kVocabulary = 50;

struct Rows {
  explicit Rows(int64_t rows, int64_t row_stride = kVocabulary) : stride(row_stride) {
    test::Random random(1);
    logits.resize(static_cast<size_t>(rows * row_stride));
    for (float& logit : logits) logit = static_cast<float>(2 * random.Bell());
    for (int64_t row = 0; row < rows; ++row) {
      Record record = test::PlainRecord(random.Bits());
      record.hot_temperature = 30.0f;
      record.hot_steps = 1;
      records.push_back(record);
      steps.push_back(row % 3 - 1);
    }
  }

  Batch ToBatch() const {
    Batch batch;
    batch.logits = logits.data();
    batch.rows = static_cast<int64_t>(records.size());
    batch.vocabulary = kVocabulary;
    batch.row_stride = stride;
    batch.step = steps.data();
    batch.records = records.data();
    batch.record_count = batch.rows;
    return batch;
  }
  ReferenceRow Reference(int64_t row, const Record& record, int64_t step) const {
    return ReferenceRow(logits.data() + row * stride, kVocabulary, record, step);
  }
  ReferenceRow Reference(int64_t row) const {
    return Reference(row, records[static_cast<size_t>(row)], steps[static_cast<size_t>(row)]);
  }

  int64_t stride;
  std::vector<float> logits;
  std::vector<Record> records;
  std::vector<int64_t> steps;
};

TEST(SamplingApi, EachRowIsSampledWithItsOwnRecordAndStepAndPaddingIsSkipped) {
  const Rows rows(40, kVocabulary + 14);
  const std::vector<int64_t> token = Tokens(rows.ToBatch());
  for (int64_t row = 0; row < 40; ++row) EXPECT_EQ(token[static_cast<size_t>(row)], rows.Reference(row).Sample().token);
}

TEST(SamplingApi, NoRowsTouchNothing) {
  SampleCpu(Batch{}, SampleOutputs{});
  ProcessLogitsCpu(Batch{}, nullptr, 0);
  HeatLogitsCpu(Batch{}, nullptr);
}

TEST(SamplingApi, Int32StepsDrawWhatInt64StepsDrawNegativeOnesToo) {
  const Rows rows(40);
  const std::vector<int32_t> narrow(rows.steps.begin(), rows.steps.end());
  Batch batch = rows.ToBatch();
  const std::vector<int64_t> wide_tokens = Tokens(batch);
  batch.step = narrow.data();
  batch.step_is_int64 = false;
  EXPECT_EQ(Tokens(batch), wide_tokens);
}

TEST(SamplingApi, StrideZeroRepeatsTheFirstStepAndTheFirstRow) {
  const Rows rows(40);
  Batch batch = rows.ToBatch();
  batch.step_stride = 0;
  batch.row_stride = 0;
  const std::vector<int64_t> token = Tokens(batch);
  for (size_t row = 0; row < 40; ++row)
    EXPECT_EQ(token[row], rows.Reference(0, rows.records[row], rows.steps[0]).Sample().token);
}

TEST(SamplingApi, SlotsChooseTheRecordAndThoseOutOfRangeAreClampedAndReported) {
  const Rows rows(6);
  const int32_t slots[] = {5, 0, 0, -1, 6, 2147483647};
  const size_t clamped[] = {5, 0, 0, 0, 5, 5};
  Batch batch = rows.ToBatch();
  batch.slot = slots;
  std::vector<int64_t> token(6);
  std::vector<int32_t> status(6);
  SampleOutputs outputs;
  outputs.token = token.data();
  outputs.status = status.data();
  SampleCpu(batch, outputs);
  for (size_t row = 0; row < 6; ++row) {
    const auto expected =
        rows.Reference(static_cast<int64_t>(row), rows.records[clamped[row]], rows.steps[row]).Sample();
    EXPECT_EQ(token[row], expected.token) << row;
    EXPECT_EQ(status[row], expected.status | (row >= 3 ? kStatusSlotOutOfRange : 0)) << row;
  }
}

TEST(SamplingApi, RecordsNeedNoMoreThanFourByteAlignmentAndStepsAndLogitsNone) {
  const Rows rows(4);
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
  const Rows few(2), many(2000);
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

TEST(SamplingApi, ARowsTokenDependsOnNothingButTheRow) {
  const Rows rows(64);
  const std::vector<int64_t> together = Tokens(rows.ToBatch());
  for (size_t row = 0; row < 64; ++row) {
    Batch alone = rows.ToBatch();
    alone.rows = alone.record_count = 1;
    alone.logits = rows.logits.data() + row * kVocabulary;
    alone.records = &rows.records[row];
    alone.step = &rows.steps[row];
    EXPECT_EQ(Tokens(alone)[0], together[row]) << row;
  }
}

TEST(SamplingApi, ADrawOnTheBoundaryOfTwoTokensGoesToTheSecondAtAnyVocabulary) {
  const std::vector<float> logits(size_t{kMaxVocabulary}, 1.0f);
  for (const test::ChosenDraw& draw : {test::kDrawOfTheHalf, test::kDrawBelowTheHalf}) {
    Record record = test::PlainRecord(draw.seed);
    record.stream = draw.stream;
    Batch batch;
    batch.logits = logits.data();
    batch.rows = batch.record_count = 1;
    batch.step = &draw.step;
    batch.records = &record;
    const bool half = draw.step == test::kDrawOfTheHalf.step;
    for (int64_t vocabulary : {int64_t{2}, int64_t{64}, int64_t{1000}, int64_t{151936}, kMaxVocabulary}) {
      batch.vocabulary = batch.row_stride = vocabulary;
      EXPECT_EQ(Tokens(batch)[0], vocabulary / 2 - (half ? 0 : 1)) << vocabulary;
    }
  }
}

// torch.set_flush_denormal and -ffast-math programs set both flags for a whole process.
TEST(SamplingApi, AProcessThatRoundsUpAndFlushesSubnormalsGetsTheSameResults) {
  Rows rows(30);
  for (size_t i = 0; i < rows.logits.size(); ++i)
    if (i / kVocabulary % 2 == 0) rows.logits[i] *= 0x1p-128f;  // subnormal
  const std::vector<int64_t> token = Tokens(rows.ToBatch());
  std::vector<float> processed(rows.logits.size()), processed_then(rows.logits.size());
  ProcessLogitsCpu(rows.ToBatch(), processed.data(), kVocabulary);
  std::fenv_t environment;
  std::fegetenv(&environment);
  std::fesetround(FE_UPWARD);
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
  const std::vector<int64_t> token_then = Tokens(rows.ToBatch());
  ProcessLogitsCpu(rows.ToBatch(), processed_then.data(), kVocabulary);
  std::fesetenv(&environment);
  EXPECT_EQ(token_then, token);
  EXPECT_EQ(std::memcmp(processed.data(), processed_then.data(), processed.size() * sizeof(float)), 0);
}

TEST(SamplingApi, ProcessedRowsAreWrittenAtTheirStrideAndNothingBetween) {
  const Rows rows(5);
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
  const Rows rows(6);
  Rows heated = rows;
  HeatLogitsCpu(heated.ToBatch(), heated.logits.data());
  for (int64_t row = 0; row < 6; ++row) {
    const std::vector<float> expected = rows.Reference(row).HeatedLogits(rows.logits.data() + row * kVocabulary);
    for (int64_t id = 0; id < kVocabulary; ++id)
      EXPECT_EQ(heated.logits[static_cast<size_t>(row * kVocabulary + id)], expected[static_cast<size_t>(id)]);
  }
}

TEST(SamplingApi, LogProbReadsItsTokensAtTheirStride) {
  const Rows rows(3);
  const std::vector<int64_t> token = {7, -1, 49, -1, kVocabulary, -1};
  std::vector<float> logprob(3);
  LogProbCpu(rows.ToBatch(), token.data(), 2, logprob.data());
  EXPECT_FLOAT_EQ(logprob[0], rows.Reference(0).LogProb(7));
  EXPECT_FLOAT_EQ(logprob[1], rows.Reference(1).LogProb(49));
  EXPECT_EQ(logprob[2], -test::kInfinity);
}

TEST(SamplingApi, SpreadRecordsDifferInNothingButTheSeed) {
  const Record record = Rows(1).records[0];
  Record spread = SpreadRecord(record, 3);
  EXPECT_EQ(definition::SeedOf(spread), definition::SpreadSeed(definition::SeedOf(record), 3));
  spread.seed_low = record.seed_low;
  spread.seed_high = record.seed_high;
  EXPECT_EQ(std::memcmp(&spread, &record, sizeof record), 0);
}

}  // namespace
}  // namespace fire
