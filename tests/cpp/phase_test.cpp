#include "definition/phase.h"

#include <gtest/gtest.h>

#include <limits>

#include "test_support.h"

namespace fire::definition {
namespace {

using test::FloatOf;
using test::kInfinity;
using test::kMax;
using test::kNan;

constexpr int32_t kInt32Max = std::numeric_limits<int32_t>::max();
constexpr int32_t kInt32Min = std::numeric_limits<int32_t>::min();
constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

Record HotWindow(int32_t begin, int32_t steps) {
  Record record = test::PlainRecord();
  record.hot_begin = begin;
  record.hot_steps = steps;
  return record;
}

TEST(Phase, TemperaturesBelowTwoToTheMinus64AreGreedyWhateverTheirBits) {
  for (float greedy : {0.0f, -0.0f, -1.0f, -kInfinity, 0x1p-149f, FloatOf(0x1F7FFFFF), kNan, -kNan})
    EXPECT_EQ(HeatOf(greedy), Heat::kGreedy) << greedy;
}

TEST(Phase, TemperaturesAboveTwoToThe120AreInfinite) {
  for (float infinite : {FloatOf(0x7B800001), kMax, kInfinity}) EXPECT_EQ(HeatOf(infinite), Heat::kInfinite);
}

TEST(Phase, TheEndsOfTheFiniteTemperaturesAreFinite) {
  for (float finite : {0x1p-64f, 1.0f, 30.0f, 0x1p120f}) EXPECT_EQ(HeatOf(finite), Heat::kFinite) << finite;
}

TEST(Phase, HotWindowIsHalfOpen) {
  const Record record = HotWindow(3, 2);
  for (int64_t step : {-1, 0, 2, 5, 6}) EXPECT_FALSE(IsHot(record, step)) << step;
  for (int64_t step : {3, 4}) EXPECT_TRUE(IsHot(record, step)) << step;
}

TEST(Phase, HotWindowThatEndsBeyond32BitsIsNotWrapped) {
  const Record record = HotWindow(kInt32Max, kInt32Max);
  EXPECT_FALSE(IsHot(record, int64_t{kInt32Max} - 1));
  EXPECT_TRUE(IsHot(record, kInt32Max));
  EXPECT_TRUE(IsHot(record, 2 * int64_t{kInt32Max} - 1));
  EXPECT_FALSE(IsHot(record, 2 * int64_t{kInt32Max}));
}

TEST(Phase, StepsAtTheEndsOf64BitsAreNotHotByOverflow) {
  for (const Record& record : {HotWindow(kInt32Min, kInt32Max), HotWindow(kInt32Max, kInt32Max), HotWindow(0, 1)}) {
    EXPECT_FALSE(IsHot(record, kInt64Max));
    EXPECT_FALSE(IsHot(record, kInt64Min));
  }
}

TEST(Phase, NegativeStepsAreLikeAnyOther) {
  EXPECT_TRUE(IsHot(HotWindow(-5, 3), -4));
  EXPECT_FALSE(IsHot(HotWindow(-5, 3), -2));
}

TEST(Phase, WithoutHotStepsNothingIsHot) {
  for (int32_t steps : {0, -1, kInt32Min})
    for (int64_t step : {int64_t{-1}, int64_t{0}, int64_t{kInt32Min}, kInt64Min})
      EXPECT_FALSE(IsHot(HotWindow(0, steps), step)) << steps;
}

TEST(Phase, TakesEveryFieldFromItsOwnPhase) {
  Record record = HotWindow(1, 1);
  record.temperature = 0.5f;
  record.top_k = 5;
  record.top_p = 0.6f;
  record.min_p = 0.7f;
  record.hot_temperature = 8.0f;
  record.hot_top_k = 9;
  record.hot_top_p = 0.1f;
  record.hot_min_p = 0.2f;
  const Phase regular = PhaseOf(record, 0, 100), hot = PhaseOf(record, 1, 100);
  EXPECT_EQ(regular.temperature, 0.5f);
  EXPECT_EQ(regular.top_k, 5u);
  EXPECT_EQ(regular.top_p, 0.6f);
  EXPECT_EQ(regular.min_p, 0.7f);
  EXPECT_FALSE(regular.hot);
  EXPECT_EQ(hot.temperature, 8.0f);
  EXPECT_EQ(hot.top_k, 9u);
  EXPECT_EQ(hot.top_p, 0.1f);
  EXPECT_EQ(hot.min_p, 0.2f);
  EXPECT_TRUE(hot.hot);
}

TEST(Phase, TopKOffOrBeyondTheVocabularyIsTheVocabulary) {
  for (int32_t off : {0, -1, kInt32Min, 7, 8, kInt32Max}) EXPECT_EQ(EffectiveTopK(off, 7), 7u) << off;
  EXPECT_EQ(EffectiveTopK(6, 7), 6u);
  EXPECT_EQ(EffectiveTopK(1, 1), 1u);
}

TEST(Phase, TheOtherFlagBitsChangeNeitherOrderNorTies) {
  Record record = test::PlainRecord();
  for (uint32_t order = 0; order < 4; ++order) {
    for (uint32_t ties = 0; ties < 4; ++ties) {
      for (uint32_t others : {0u, 0xFFFFFFE0u, 0xF0000000u, 0x20u}) {
        record.flags = test::Flags(order, ties) | others;
        EXPECT_EQ(OrderOf(record), order == 3 ? Order::kHf : static_cast<Order>(order));
        EXPECT_EQ(TiesOf(record), ties == 3 ? Ties::kKeep : static_cast<Ties>(ties));
      }
    }
  }
}

TEST(Phase, ReferenceTemperatureIsTheRegularOneUnlessGivenAndGreedyCountsAsOne) {
  Record record = test::PlainRecord();
  record.temperature = 0.5f;
  record.ref_temperature = 2.0f;
  EXPECT_EQ(ReferenceTemperature(record), 0.5f);
  record.flags = kRefTemperatureGiven;
  EXPECT_EQ(ReferenceTemperature(record), 2.0f);
  for (float greedy : {0.0f, -1.0f, kNan, 0x1p-65f}) {
    record.ref_temperature = greedy;
    EXPECT_EQ(ReferenceTemperature(record), 1.0f);
  }
  record.flags = 0;
  record.temperature = 0.0f;
  EXPECT_EQ(ReferenceTemperature(record), 1.0f);
  record.temperature = kInfinity;
  EXPECT_EQ(ReferenceTemperature(record), kInfinity);
}

TEST(Phase, SeedIsTheHighWordAboveTheLowWord) {
  EXPECT_EQ(SeedOf(test::PlainRecord(0x0123456789ABCDEFu)), 0x0123456789ABCDEFu);
}

TEST(Phase, SlotsOutOfRangeAreClampedAndReported) {
  for (int64_t slot : {int64_t{-1}, int64_t{kInt32Min}}) {
    EXPECT_EQ(ClampSlot(slot, 3).index, 0);
    EXPECT_TRUE(ClampSlot(slot, 3).out_of_range);
  }
  for (int64_t slot : {int64_t{3}, int64_t{kInt32Max}}) {
    EXPECT_EQ(ClampSlot(slot, 3).index, 2);
    EXPECT_TRUE(ClampSlot(slot, 3).out_of_range);
  }
  for (int64_t slot : {0, 1, 2}) {
    EXPECT_EQ(ClampSlot(slot, 3).index, slot);
    EXPECT_FALSE(ClampSlot(slot, 3).out_of_range);
  }
}

}  // namespace
}  // namespace fire::definition
