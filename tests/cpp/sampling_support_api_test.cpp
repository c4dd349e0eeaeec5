// The C++ API's supports: where each row's goes, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "batch_support.h"
#include "fire/sampling.h"
#include "sample_arrays.h"

namespace fire::test {
namespace {

constexpr int64_t kVocabulary = 50;
constexpr int64_t kRows = 12;

// All outputs of a call, which begin at −7, and room behind the last row's support.
struct SupportArrays : SampleArrays {
  SupportArrays(int64_t rows, int64_t width_in)
      : SampleArrays(rows),
        width(width_in),
        support(static_cast<size_t>(rows * width + 1), -7),
        support_logprob(support.size(), -7.0f) {}

  SupportOutputs Support() { return {width, support.data(), support_logprob.data()}; }

  int64_t width;
  std::vector<int32_t> support;
  std::vector<float> support_logprob;
};

void ExpectTheReference(const SupportArrays& out, const BatchRows& rows) {
  for (int64_t row = 0; row < rows.rows; ++row) {
    const definition::ReferenceSample sample = rows.Reference(row).Sample();
    const auto wanted = rows.Reference(row).SupportOf(static_cast<size_t>(out.width));
    const auto at = static_cast<size_t>(row);
    ASSERT_EQ(out.token[at], sample.token) << row;
    ASSERT_EQ(out.logprob[at], sample.logprob) << row;
    ASSERT_EQ(out.ref_logprob[at], sample.ref_logprob) << row;
    ASSERT_EQ(out.rank[at], sample.rank) << row;
    ASSERT_EQ(out.kept[at], sample.kept) << row;
    ASSERT_EQ(out.status[at], wanted.status) << row;
    const auto first = static_cast<std::ptrdiff_t>(row * out.width);
    ASSERT_TRUE(std::equal(wanted.token.begin(), wanted.token.end(), out.support.begin() + first)) << row;
    ASSERT_TRUE(std::equal(wanted.logprob.begin(), wanted.logprob.end(), out.support_logprob.begin() + first)) << row;
  }
  EXPECT_EQ(out.support.back(), -7);
  EXPECT_EQ(out.support_logprob.back(), -7.0f);
}

TEST(SamplingSupportApi, EachRowsSupportLiesBehindTheOneBefore) {
  const BatchRows rows(kRows, kVocabulary);
  for (const int64_t width : {1, 3, 16, 50, 64}) {
    SupportArrays out(kRows, width);
    SampleWithSupportCpu(rows.ToBatch(), out.Support(), out.Outputs());
    ExpectTheReference(out, rows);
  }
}

TEST(SamplingSupportApi, RowsAreSpreadOverTheThreadsOfTheCaller) {
  const BatchRows rows(kRows, 4000);
  SupportArrays out(kRows, 20);
  int calls = 0;
  SampleWithSupportCpu(rows.ToBatch(), out.Support(), out.Outputs(), InTwoThreads(&calls));
  EXPECT_EQ(calls, 1);
  ExpectTheReference(out, rows);
}

TEST(SamplingSupportApi, WhatIsNotAskedForChangesNothingElse) {
  const BatchRows rows(kRows, kVocabulary);
  SupportArrays full(kRows, 8), lean(kRows, 8);
  SampleWithSupportCpu(rows.ToBatch(), full.Support(), full.Outputs());
  SampleOutputs token_only;
  token_only.token = lean.token.data();
  SupportOutputs ids_only = lean.Support();
  ids_only.logprob = nullptr;
  SampleWithSupportCpu(rows.ToBatch(), ids_only, token_only);
  EXPECT_EQ(lean.token, full.token);
  EXPECT_EQ(lean.support, full.support);
  for (const float value : lean.support_logprob) EXPECT_EQ(value, -7.0f);

  SampleOutputs without_reference = lean.Outputs();
  without_reference.reference = false;
  SampleWithSupportCpu(rows.ToBatch(), lean.Support(), without_reference);
  EXPECT_EQ(lean.support_logprob, full.support_logprob);
  EXPECT_EQ(lean.kept, full.kept);
  EXPECT_EQ(lean.status, full.status);
  for (const float value : lean.ref_logprob) EXPECT_TRUE(value != value);
  for (const int32_t rank : lean.rank) EXPECT_EQ(rank, -1);
}

TEST(SamplingSupportApi, ASlotOutOfRangeIsReportedBesideACutSupport) {
  const BatchRows rows(3, kVocabulary);
  const int32_t slots[] = {7, 1, -1};
  Batch batch = rows.ToBatch();
  batch.slot = slots;
  SupportArrays out(3, 2);
  SampleWithSupportCpu(batch, out.Support(), out.Outputs());
  BatchRows chosen = rows;
  for (const size_t row : {size_t{0}, size_t{2}}) {
    chosen.records[row] = rows.records[2 - row];
    EXPECT_NE(out.status[row] & kStatusSlotOutOfRange, 0);
    EXPECT_NE(out.status[row] & kStatusSupportCut, 0);
    out.status[row] &= ~kStatusSlotOutOfRange;
  }
  ExpectTheReference(out, chosen);
}

std::string Refusal(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs) {
  return RefusalOf([&] { SampleWithSupportCpu(batch, support, outputs); });
}

TEST(SamplingSupportApi, WidthsOutOfRangeAndMissingMemoryAreRefusedByName) {
  const BatchRows rows(2, kVocabulary);
  SupportArrays out(2, 4);
  SupportOutputs support = out.Support();
  for (const int64_t width : {int64_t{0}, int64_t{-1}, kMaxVocabulary + 1}) {
    support.width = width;
    EXPECT_EQ(Refusal(rows.ToBatch(), support, out.Outputs()),
              "SupportOutputs::width is " + std::to_string(width) + ", expected 1 to 2097152");
  }
  support = out.Support();
  support.token = nullptr;
  EXPECT_EQ(Refusal(rows.ToBatch(), support, out.Outputs()), "SupportOutputs::token is 0, expected memory");
  EXPECT_EQ(Refusal(rows.ToBatch(), out.Support(), SampleOutputs{}), "SampleOutputs::token is 0, expected memory");
  Batch without_records = rows.ToBatch();
  without_records.records = nullptr;
  EXPECT_EQ(Refusal(without_records, out.Support(), out.Outputs()), "Batch::records is 0, expected memory");
  EXPECT_EQ(out.support[0], -7);
}

TEST(SamplingSupportApi, NoRowsTouchNothing) { SampleWithSupportCpu(Batch{}, {.width = 4}, SampleOutputs{}); }

}  // namespace
}  // namespace fire::test
