// Where rows lie in memory, which rows they stand beside and which blocks read them changes nothing.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

using kernels::PlanFor;
using kernels::Task;

std::vector<RowCase> ModelCases(uint64_t seed, uint32_t vocabulary, int rows) {
  Random random(seed);
  std::vector<RowCase> cases;
  for (int row = 0; row < rows; ++row) {
    RowCase one;
    for (uint32_t id = 0; id < vocabulary; ++id) one.logits.push_back(Model(random, vocabulary));
    one.record = TroublesomeRecord(random, vocabulary);
    one.step = row % 3;
    one.name = "row " + std::to_string(row);
    cases.push_back(std::move(one));
  }
  return cases;
}

// One plan of each kind of reading: streaming, from global memory again, resident, and split over most blocks.
std::vector<Plan> PlansOfEachKind(uint32_t vocabulary, LogitsType type) {
  std::vector<Plan> kinds;
  const auto same_kind = [](const Plan& a, const Plan& b) {
    return a.resident == b.resident && (a.pilot_shift != 0) == (b.pilot_shift != 0) &&
           (a.cluster > 1) == (b.cluster > 1);
  };
  for (const Plan& plan : PlansHere(Task::kSampleWithReference, vocabulary, type)) {
    bool is_new = plan.threads == 128;
    for (const Plan& kind : kinds) is_new = is_new && !same_kind(plan, kind);
    if (is_new) kinds.push_back(plan);
  }
  return kinds;
}

std::vector<int64_t> TokensOf(const DeviceBatch& rows) {
  const Wanted token_only = {false, false, false, false, false, false};
  DeviceOutputs out(rows.size(), token_only);
  SampleCuda(rows.batch(), out.outputs(), nullptr);
  ThrowOnError(cudaDeviceSynchronize(), "the sampling kernel");
  row_runs += static_cast<int64_t>(rows.size());
  return out.Token();
}

TEST(CudaLayout, AnyAlignmentOfTheFirstLogitServesEveryTypeAndPlan) {
  for (const LogitsType type : kLogitsTypes) {
    const std::vector<RowCase> cases = ModelCases(1, 1003, 2);
    for (size_t bytes = 0; bytes < 16; bytes += definition::BytesOf(type)) {
      Layout layout;
      layout.misaligned_by = 16 + bytes;
      const SampleCheck check(cases, type, layout);
      for (const Plan& plan : PlansOfEachKind(1003, type)) ASSERT_TRUE(ExpectEqualsReference(check, &plan));
    }
  }
}

// With every row at another alignment, and between them memory that nobody wrote.
TEST(CudaLayout, AnOddRowStrideMovesEveryRowAndPaddingIsNotRead) {
  for (const LogitsType type : kLogitsTypes)
    for (const bool is_nan : {false, true}) {
      Layout layout;
      layout.padding = 10, layout.padding_is_nan = is_nan;
      const SampleCheck check(ModelCases(2, 517, 9), type, layout);
      ASSERT_TRUE(ExpectEqualsReference(check, nullptr));
      for (const Plan& plan : PlansOfEachKind(517, type)) ASSERT_TRUE(ExpectEqualsReference(check, &plan));
    }
}

TEST(CudaLayout, ARowStrideOfZeroReadsOneRowManyTimes) {
  std::vector<RowCase> cases = ModelCases(3, 500, 20);
  for (RowCase& row : cases) row.logits = cases[0].logits;
  const SampleCheck check(cases, LogitsType::kBFloat16, {});
  Batch batch = check.batch().batch();
  batch.row_stride = 0;
  const Wanted all;
  DeviceOutputs out(cases.size(), all);
  SampleCuda(batch, out.outputs(), nullptr);
  const auto mismatch = check.Compare(out, all);
  EXPECT_FALSE(mismatch) << mismatch->row << ": " << mismatch->what;
}

TEST(CudaLayout, RowsMoreThanTwoToThe32ElementsApartAreFound) {
  constexpr int64_t kStride = (int64_t{1} << 32) + 7;
  const std::vector<RowCase> cases = ModelCases(4, 3000, 2);
  const SampleCheck check(cases, LogitsType::kBFloat16, {});
  DeviceMemory far(static_cast<size_t>(kStride + 3000) * 2);
  for (const size_t row : {0, 1})
    far.Write(row * static_cast<size_t>(kStride) * 2, check.batch().rows()[row].data(), 6000);
  Batch batch = check.batch().batch();
  batch.logits = far.at(0);
  batch.row_stride = kStride;
  const Wanted all;
  DeviceOutputs out(2, all);
  SampleCuda(batch, out.outputs(), nullptr);
  const auto mismatch = check.Compare(out, all);
  EXPECT_FALSE(mismatch) << mismatch->row << ": " << mismatch->what;
}

TEST(CudaLayout, StepsMayBeInt32SpacedOrOneForAll) {
  std::vector<RowCase> cases = ModelCases(5, 300, 9);
  cases[4].step = -3;  // an int32 is extended by its sign
  for (const bool is_int64 : {false, true})
    for (const int64_t stride : {1, 3}) {
      Layout layout;
      layout.step_is_int64 = is_int64, layout.step_stride = stride;
      EXPECT_TRUE(ExpectEqualsReference(SampleCheck(cases, LogitsType::kFloat32, layout), nullptr));
    }
  for (RowCase& row : cases) row.step = 1;
  const SampleCheck same(cases, LogitsType::kFloat32, {});
  Batch batch = same.batch().batch();
  const DeviceArray<int64_t> one(std::vector<int64_t>{1});
  batch.step = one.get(), batch.step_stride = 0;
  const Wanted all;
  DeviceOutputs out(cases.size(), all);
  SampleCuda(batch, out.outputs(), nullptr);
  EXPECT_FALSE(same.Compare(out, all));
}

TEST(CudaLayout, SlotsChooseRecordsAndAreClampedWithAStatusBit) {
  const std::vector<RowCase> cases = ModelCases(6, 300, 6);
  const DeviceBatch rows(cases, LogitsType::kFloat32, {});
  const std::vector<int32_t> slots = {4, 0, -1, 6, INT32_MAX, INT32_MIN};
  const size_t used[] = {4, 0, 0, 5, 5, 0};
  for (const size_t stride : {1, 2}) {
    std::vector<int32_t> spaced(slots.size() * stride);
    for (size_t row = 0; row < slots.size(); ++row) spaced[row * stride] = slots[row];
    const DeviceArray<int32_t> on_device(spaced);
    Batch batch = rows.batch();
    batch.slot = on_device.get(), batch.slot_stride = static_cast<int64_t>(stride);
    DeviceOutputs out(cases.size(), {});
    SampleCuda(batch, out.outputs(), nullptr);
    const std::vector<int64_t> token = out.Token();
    const std::vector<int32_t> status = out.Status();
    for (size_t row = 0; row < slots.size(); ++row) {
      const auto want =
          definition::ReferenceRow(cases[row].logits.data(), 300, cases[used[row]].record, cases[row].step).Sample();
      EXPECT_EQ(token[row], want.token) << "row " << row;
      EXPECT_EQ(status[row], want.status | (row >= 2 ? kStatusSlotOutOfRange : 0)) << "row " << row;
    }
  }
}

TEST(CudaLayout, RecordsAtAnyFourByteAlignmentAreRead) {
  for (const size_t bytes : {4, 8, 12}) {
    Layout layout;
    layout.records_misaligned_by = bytes;
    EXPECT_TRUE(ExpectEqualsReference(SampleCheck(ModelCases(7, 300, 3), LogitsType::kFloat32, layout), nullptr));
  }
}

TEST(CudaLayout, ARowsPlaceAndItsNeighboursChangeNothing) {
  const std::vector<RowCase> cases = ModelCases(8, 900, 24);
  const std::vector<int64_t> token = TokensOf(DeviceBatch(cases, LogitsType::kFloat16, {}));
  const std::vector<RowCase> backwards(cases.rbegin(), cases.rend());
  std::vector<int64_t> other = TokensOf(DeviceBatch(backwards, LogitsType::kFloat16, {}));
  std::reverse(other.begin(), other.end());
  EXPECT_EQ(other, token);
  for (size_t row = 0; row < cases.size(); ++row)
    EXPECT_EQ(TokensOf(DeviceBatch({cases[row]}, LogitsType::kFloat16, {})), std::vector<int64_t>(1, token[row]));
}

TEST(CudaLayout, MoreRowsThanAGridHoldsTakeSeveralLaunches) {
  for (const LogitsType type : kLogitsTypes) {
    const SampleCheck check(ModelCases(10, 700, 10), type, {});
    for (Plan plan : PlansOfEachKind(700, type)) {
      plan.blocks_a_launch = 3 * plan.cluster;
      ASSERT_TRUE(ExpectEqualsReference(check, &plan));
    }
  }
}

// PlanFor gives few rows clusters and many rows one block each; both must agree.
TEST(CudaLayout, ABatchOfManyRowsAndOfFewGetOtherPlansAndTheSameTokens) {
  std::vector<RowCase> cases = ModelCases(9, 9000, 2);
  const std::vector<int64_t> few = TokensOf(DeviceBatch(cases, LogitsType::kBFloat16, {}));
  const int64_t many = 2 * kernels::CurrentDevice().multiprocessors + 2;
  const DeviceBatch two(cases, LogitsType::kBFloat16, {});
  const DeviceArray<int32_t> slot(std::vector<int32_t>(static_cast<size_t>(many), 1));
  const DeviceArray<int64_t> step(std::vector<int64_t>{cases[1].step});
  Batch batch = two.batch();
  batch.logits = static_cast<const uint16_t*>(batch.logits) + batch.row_stride;
  batch.rows = many, batch.row_stride = 0, batch.slot = slot.get(), batch.step = step.get(), batch.step_stride = 0;
  const Wanted token_only = {false, false, false, false, false, false};
  DeviceOutputs out(static_cast<size_t>(many), token_only);
  SampleCuda(batch, out.outputs(), nullptr);
  row_runs += many;
  EXPECT_EQ(out.Token(), std::vector<int64_t>(static_cast<size_t>(many), few[1]));
}

}  // namespace
}  // namespace fire::test
