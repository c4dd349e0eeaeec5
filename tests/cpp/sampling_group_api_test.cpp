// The C++ API's groups and codes: which record, step and logits each row gets, and where its results go.
#include <gtest/gtest.h>

#include <vector>

#include "batch_support.h"
#include "fire/sampling.h"
#include "sample_arrays.h"

namespace fire::test {
namespace {

constexpr int64_t kVocabulary = 50;
constexpr int64_t kRows = 12;

// Rows of the designs in turn.
BatchRows GroupedRows(int64_t rows) {
  BatchRows out(rows, kVocabulary);
  for (size_t row = 0; row < out.records.size(); ++row) {
    out.records[row].flags |= static_cast<uint32_t>(row % 5) << kDesignShift;
    out.records[row].group = GroupWord(9, 4);  // of no account where the call says size and member
    out.steps[row] = row % 2 == 0 ? 0 : 1;
  }
  return out;
}

void ExpectTheMembers(const SampleArrays& out, const BatchRows& rows, int64_t size) {
  for (int64_t row = 0; row < rows.rows; ++row) {
    const auto at_row = static_cast<size_t>(row);
    for (int64_t member = 0; member < size; ++member) {
      const Record record =
          definition::MemberRecord(rows.records[at_row], static_cast<uint32_t>(size), static_cast<uint32_t>(member));
      const definition::ReferenceSample wanted = rows.Reference(row, record, rows.steps[at_row]).Sample();
      const auto at = static_cast<size_t>(row * size + member);
      ASSERT_EQ(out.token[at], wanted.token) << row << ", " << member;
      ASSERT_EQ(out.logprob[at], wanted.logprob);
      ASSERT_EQ(out.ref_logprob[at], wanted.ref_logprob);
      ASSERT_EQ(out.rank[at], wanted.rank);
      ASSERT_EQ(out.kept[at_row], wanted.kept);
      ASSERT_EQ(out.status[at_row], wanted.status);
    }
  }
}

TEST(SamplingGroupApi, EachRowsMembersLieOneBehindTheOther) {
  const BatchRows rows = GroupedRows(kRows);
  for (const int64_t size : {1, 2, 7, 64}) {
    SampleArrays out(kRows, size);
    SampleGroupCpu(rows.ToBatch(), size, out.Outputs());
    ExpectTheMembers(out, rows, size);
  }
}

TEST(SamplingGroupApi, RowsAndMembersAreSpreadOverTheThreadsOfTheCaller) {
  const BatchRows rows = GroupedRows(kRows);
  constexpr int64_t kSize = 200;  // short rows, whose members are worth a thread
  SampleArrays out(kRows, kSize);
  int calls = 0;
  SampleGroupCpu(rows.ToBatch(), kSize, out.Outputs(), InTwoThreads(&calls));
  EXPECT_EQ(calls, 1);
  ExpectTheMembers(out, rows, kSize);
}

TEST(SamplingGroupApi, WithoutReferenceOnlyRefLogprobAndRankAreMissing) {
  const BatchRows rows = GroupedRows(kRows);
  SampleArrays full(kRows, 3), lean(kRows, 3);
  SampleGroupCpu(rows.ToBatch(), 3, full.Outputs());
  SampleOutputs outputs = lean.Outputs();
  outputs.reference = false;
  SampleGroupCpu(rows.ToBatch(), 3, outputs);
  EXPECT_EQ(lean.token, full.token);
  EXPECT_EQ(lean.logprob, full.logprob);
  EXPECT_EQ(lean.kept, full.kept);
  EXPECT_EQ(lean.status, full.status);
  for (const float value : lean.ref_logprob) EXPECT_TRUE(value != value);
  for (const int32_t rank : lean.rank) EXPECT_EQ(rank, -1);
}

TEST(SamplingGroupApi, SlotsOutOfRangeAreClampedAndReportedOnceARow) {
  const BatchRows rows = GroupedRows(3);
  const int32_t slots[] = {7, 1, -1};
  Batch batch = rows.ToBatch();
  batch.slot = slots;
  SampleArrays out(3, 4);
  SampleGroupCpu(batch, 4, out.Outputs());
  BatchRows chosen = rows;
  for (const size_t row : {size_t{0}, size_t{2}}) {
    chosen.records[row] = rows.records[2 - row];
    EXPECT_NE(out.status[row] & kStatusSlotOutOfRange, 0);
    out.status[row] &= ~kStatusSlotOutOfRange;
  }
  ExpectTheMembers(out, chosen, 4);
}

TEST(SamplingGroupApi, SizesOutOfRangeAreRefusedByName) {
  const BatchRows rows = GroupedRows(2);
  SampleArrays out(2, 1);
  for (const int64_t size : {int64_t{0}, int64_t{-1}, int64_t{65537}, int64_t{1} << 40}) {
    EXPECT_EQ(RefusalOf([&] { SampleGroupCpu(rows.ToBatch(), size, out.Outputs()); }),
              "size is " + std::to_string(size) + ", expected 1 to 65536");
  }
  EXPECT_EQ(out.token[0], -7);
}

TEST(SamplingGroupApi, NoRowsTouchNothing) {
  SampleGroupCpu(Batch{}, 4, SampleOutputs{});
  SampleCodedCpu(Batch{}, nullptr, 1, nullptr, nullptr);
  FirstCodeCpu(Batch{}, nullptr);
}

TEST(SamplingCodeApi, MemoryThatIsMissingIsNamed) {
  const BatchRows rows = GroupedRows(2);
  uint64_t code[2] = {};
  int64_t token[2];
  const Batch batch = rows.ToBatch();
  EXPECT_EQ(RefusalOf([&] { SampleGroupCpu(batch, 2, SampleOutputs{}); }),
            "SampleOutputs::token is 0, expected memory");
  EXPECT_EQ(RefusalOf([&] { SampleCodedCpu(batch, nullptr, 1, token, code); }), "code is 0, expected memory");
  EXPECT_EQ(RefusalOf([&] { SampleCodedCpu(batch, code, 1, nullptr, code); }), "token is 0, expected memory");
  EXPECT_EQ(RefusalOf([&] { SampleCodedCpu(batch, code, 1, token, nullptr); }), "next_code is 0, expected memory");
  EXPECT_EQ(RefusalOf([&] { FirstCodeCpu(batch, nullptr); }), "code is 0, expected memory");
  Batch without_steps = batch;
  without_steps.step = nullptr;
  EXPECT_EQ(RefusalOf([&] { FirstCodeCpu(without_steps, code); }), "Batch::step is 0, expected memory");
}

TEST(SamplingCodeApi, AFirstCodeNeedsNoLogitsAndDrawsWhatSampleDraws) {
  const BatchRows rows = GroupedRows(kRows);
  Batch batch = rows.ToBatch();
  batch.logits = nullptr;
  batch.vocabulary = 0;
  std::vector<uint64_t> code(kRows);
  FirstCodeCpu(batch, code.data());
  for (size_t row = 0; row < code.size(); ++row)
    EXPECT_EQ(code[row], definition::FirstCode(rows.records[row], rows.steps[row])) << row;
  std::vector<int64_t> token(kRows);
  std::vector<uint64_t> next(kRows);
  SampleCodedCpu(rows.ToBatch(), code.data(), 1, token.data(), next.data());
  EXPECT_EQ(token, Tokens(rows.ToBatch()));
}

TEST(SamplingCodeApi, SlotsAndStepsOfAFirstCodeAreThoseOfASample) {
  const BatchRows rows = GroupedRows(3);
  const int32_t slots[] = {2, 9, 2, 1, -4};
  const int32_t step = 0;
  Batch batch = rows.ToBatch();
  batch.rows = 3;
  batch.slot = slots;
  batch.slot_stride = 2;
  batch.step = &step;
  batch.step_is_int64 = false;
  batch.step_stride = 0;
  uint64_t code[3];
  FirstCodeCpu(batch, code);
  const size_t records[] = {2, 2, 0};
  for (size_t row = 0; row < 3; ++row)
    EXPECT_EQ(code[row], definition::FirstCode(rows.records[records[row]], 0)) << row;
}

TEST(SamplingCodeApi, CodesMayBeStridedAndTheirTokensFollowTheReferenceStepByStep) {
  BatchRows rows = GroupedRows(kRows);
  std::vector<uint64_t> code(2 * kRows, 99), next(kRows), wanted(kRows);
  std::vector<int64_t> token(kRows);
  for (size_t row = 0; row < wanted.size(); ++row)
    code[2 * row] = wanted[row] = definition::FirstCode(rows.records[row], rows.steps[row]);
  SampleCodedCpu(rows.ToBatch(), code.data(), 2, token.data(), next.data());
  for (int step = 0; step < 5; ++step) {
    if (step > 0) SampleCodedCpu(rows.ToBatch(), next.data(), 1, token.data(), next.data());  // in place
    for (size_t row = 0; row < wanted.size(); ++row) {
      const auto coded = rows.Reference(static_cast<int64_t>(row)).SampleCoded(wanted[row]);
      wanted[row] = coded.code;
      ASSERT_EQ(token[row], coded.token) << row << ", step " << step;
      ASSERT_EQ(next[row], coded.code) << row << ", step " << step;
      ++rows.steps[row];
    }
  }
}

}  // namespace
}  // namespace fire::test
