// `heat_logits_`: what an engine that filters afterwards receives.
#include "definition/heat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "definition/reference.h"
#include "test_support.h"

namespace fire::definition {
namespace {

using test::BitsOf;
using test::FloatOf;
using test::kInfinity;
using test::kMax;
using test::kNan;

Record HotRecord() {
  Record record = test::PlainRecord(3);
  record.temperature = 0.5f;
  record.top_k = 3;
  record.hot_temperature = 2.0f;
  record.hot_top_k = 2;
  record.hot_steps = 1;
  return record;
}

std::vector<float> Heated(const std::vector<float>& logits, const Record& record, int64_t step = 0) {
  return ReferenceRow(logits.data(), static_cast<uint32_t>(logits.size()), record, step).HeatedLogits(logits.data());
}

int64_t Sampled(const std::vector<float>& logits, const Record& record) {
  return ReferenceRow(logits.data(), static_cast<uint32_t>(logits.size()), record, 0).Sample().token;
}

bool IsOneHot(const std::vector<float>& row, int64_t token) {
  for (size_t id = 0; id < row.size(); ++id)
    if (row[id] != (static_cast<int64_t>(id) == token ? 0.0f : -kInfinity)) return false;
  return true;
}

TEST(Heat, ARowThatIsNotHotKeepsEveryBitNansIncluded) {
  const std::vector<float> logits = {1.0f, -0.0f, kNan, FloatOf(0xFFC12345), -kInfinity, kInfinity};
  const std::vector<float> heated = Heated(logits, HotRecord(), 1);
  for (size_t id = 0; id < logits.size(); ++id) EXPECT_EQ(BitsOf(heated[id]), BitsOf(logits[id]));
}

TEST(Heat, HandsOverTheFirstHotTopKTimesTheRatioOfTemperatures) {
  EXPECT_EQ(Heated({1.0f, 8.0f, 4.0f, 2.0f}, HotRecord()), (std::vector<float>{-kInfinity, 2.0f, 1.0f, -kInfinity}));
}

TEST(Heat, KeepsLogitsThatTieWithTheLastUnlessTiesAreExact) {
  Record record = HotRecord();
  const std::vector<float> logits = {4.0f, 8.0f, 4.0f};
  EXPECT_EQ(Heated(logits, record), (std::vector<float>{1.0f, 2.0f, -kInfinity}));
  for (uint32_t ties : {1u, 2u, 3u}) {
    record.flags = test::Flags(0, ties);
    EXPECT_EQ(Heated(logits, record), (std::vector<float>{1.0f, 2.0f, 1.0f}));
  }
}

TEST(Heat, NeverMakesAMaskedOrNanLogitFinite) {
  Record record = HotRecord();
  record.top_k = record.hot_top_k = 0;
  EXPECT_EQ(Heated({1.0f, -kInfinity, kNan}, record), (std::vector<float>{0.25f, -kInfinity, -kInfinity}));
  EXPECT_EQ(Heated({-kInfinity, kNan}, record), (std::vector<float>{-kInfinity, -kInfinity}));
  record.hot_temperature = 0;  // the one-hot branch
  EXPECT_EQ(Heated({-kInfinity, kNan}, record), (std::vector<float>{-kInfinity, -kInfinity}));
}

TEST(Heat, ARowWithPositiveInfinityBecomesOneHot) {
  EXPECT_TRUE(IsOneHot(Heated({1.0f, kInfinity, 2.0f}, HotRecord()), 1));
}

TEST(Heat, AProductThatOverflowsIsTheLargestFloatOfItsSign) {
  Record record = HotRecord();
  record.top_k = record.hot_top_k = 0;
  record.temperature = 30.0f;
  record.hot_temperature = 0.5f;
  EXPECT_EQ(Heated({kMax, -kMax}, record), (std::vector<float>{kMax, -kMax}));
}

struct OneHotCase {
  const char* name;
  std::function<void(Record&)> change;
};

void PrintTo(const OneHotCase& one_hot, std::ostream* out) { *out << one_hot.name; }

// Whatever the engine's later filters would cut differently.
const OneHotCase kOneHotCases[] = {
    {"GreedyRegularPhase", [](Record& r) { r.temperature = 0; }},
    {"GreedyHotPhase", [](Record& r) { r.hot_temperature = 0; }},
    {"InfiniteRegularTemperature", [](Record& r) { r.temperature = kInfinity; }},
    {"InfiniteHotTemperature", [](Record& r) { r.hot_temperature = 0x1.8p120f; }},
    {"RatioThatOverflows", [](Record& r) { r.temperature = 0x1p100f, r.hot_temperature = 0x1p-60f; }},
    {"SubnormalRatio", [](Record& r) { r.temperature = 0x1p-60f, r.hot_temperature = 0x1p100f; }},
    {"JointOrder", [](Record& r) { r.flags = test::Flags(2, 0); }},
    {"AnotherTopP", [](Record& r) { r.hot_top_p = 0.5f; }},
    {"TopPEqualInValueButNotInBits", [](Record& r) { r.top_p = 0.0f, r.hot_top_p = -0.0f; }},
    {"AnotherMinP", [](Record& r) { r.hot_min_p = 0.1f; }},
    {"LargerHotTopK", [](Record& r) { r.hot_top_k = 4; }},
    {"HotTopKOff", [](Record& r) { r.hot_top_k = 0; }},
};

class HeatOneHot : public testing::TestWithParam<OneHotCase> {};

TEST_P(HeatOneHot, IsOnTheTokenThatSampleDraws) {
  test::Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> logits(8);
    for (float& logit : logits) logit = static_cast<float>(random.Bell());
    Record record = HotRecord();
    record.seed_low = static_cast<uint32_t>(i);
    GetParam().change(record);
    ASSERT_FALSE(HandsOver(record, 8));
    ASSERT_TRUE(IsOneHot(Heated(logits, record), Sampled(logits, record)));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, HeatOneHot, testing::ValuesIn(kOneHotCases),
                         [](const auto& info) { return info.param.name; });

TEST(Heat, HandsOverWhenBothTopKsAreOffOrBeyondTheVocabulary) {
  Record record = HotRecord();
  record.top_k = 0;
  for (int32_t hot_top_k : {-1, 0, 1, 8, 9}) {
    record.hot_top_k = hot_top_k;
    EXPECT_TRUE(HandsOver(record, 8)) << hot_top_k;
  }
  record.top_k = 9;  // off as well, for eight logits
  record.hot_top_k = 0;
  EXPECT_TRUE(HandsOver(record, 8));
  EXPECT_FALSE(HandsOver(record, 10));
}

TEST(Heat, HandsOverForNanFractionsThatAreTheSameBits) {
  Record record = HotRecord();
  record.top_p = record.hot_top_p = kNan;
  EXPECT_TRUE(HandsOver(record, 8));
}

// The claim of the hand-over branch: the engine's own temperature, top-k, top-p and min-p, applied to the heated row,
// keep what `sample` keeps of the original at the hot settings. Exact where the products are: a power of two.
TEST(Heat, AfterTheHandOverTheEnginesOwnFiltersKeepTheHotKeptSet) {
  test::Random random(2);
  for (int i = 0; i < 5000; ++i) {
    std::vector<float> logits(2 + random.Below(30));
    for (float& logit : logits) logit = static_cast<float>(4 * random.Bell());
    const uint32_t size = static_cast<uint32_t>(logits.size());
    Record hot = HotRecord();
    hot.temperature = 1.0f;
    hot.hot_temperature = random.Below(2) ? 4.0f : 16.0f;
    hot.hot_top_k = static_cast<int32_t>(1 + random.Below(size));
    hot.top_k = hot.hot_top_k + static_cast<int32_t>(random.Below(4));
    hot.top_p = hot.hot_top_p = static_cast<float>(random.Uniform());
    hot.min_p = hot.hot_min_p = random.Below(2) ? 0.0f : static_cast<float>(random.Uniform());
    hot.flags = test::Flags(random.Below(2), random.Below(3));
    Record engine = hot;
    engine.hot_steps = 0;
    const std::vector<float> heated = Heated(logits, hot);
    const ReferenceSample direct = ReferenceRow(logits.data(), size, hot, 0).Sample();
    const ReferenceSample by_engine = ReferenceRow(heated.data(), size, engine, 0).Sample();
    ASSERT_EQ(by_engine.kept_ids, direct.kept_ids) << test::Describe(hot);
    ASSERT_EQ(by_engine.mass, direct.mass);
    ASSERT_EQ(by_engine.token, direct.token);
  }
}

}  // namespace
}  // namespace fire::definition
