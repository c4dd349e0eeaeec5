#include "definition/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "definition/reference.h"
#include "test_support.h"

namespace fire::definition {
namespace {

using test::kInfinity;
using test::kMax;

long double Tolerance(long double truth) { return 1e-6L * std::max(1.0L, std::abs(truth)); }

TEST(DrawPoint, ReachesBothEndsOfTheMassAndNeverItsEnd) {
  for (uint64_t mass : {uint64_t{1}, uint64_t{2}, uint64_t{12345}, uint64_t{1} << 62}) {
    EXPECT_EQ(DrawPoint(0, mass), 0u);
    EXPECT_EQ(DrawPoint(~uint64_t{0}, mass), mass - 1);
  }
}

int64_t TokenOfEqualLogits(uint32_t size, const test::ChosenDraw& draw) {
  Record record = test::PlainRecord(draw.seed);
  record.stream = draw.stream;
  return ReferenceRow(std::vector<float>(size, 1.0f).data(), size, record, draw.step).Sample().token;
}

TEST(Draw, ThatFallsOnTheBoundaryOfTwoTokensGoesToTheSecond) {
  const auto bits = [](const test::ChosenDraw& draw) { return DrawBits(draw.seed, draw.step, draw.stream); };
  ASSERT_EQ(bits(test::kDrawOfTheHalf), uint64_t{1} << 63);
  ASSERT_EQ(bits(test::kDrawBelowTheHalf), (uint64_t{1} << 63) - 1);
  for (uint32_t size : {2u, 4u, 1000u}) {
    EXPECT_EQ(TokenOfEqualLogits(size, test::kDrawOfTheHalf), size / 2);
    EXPECT_EQ(TokenOfEqualLogits(size, test::kDrawBelowTheHalf), size / 2 - 1);
  }
}

TEST(LogRatio, IsWithinTheContractsToleranceOverAllShares) {
  test::Random random(1);
  for (int i = 0; i < 1000000; ++i) {
    const uint64_t whole = std::max<uint64_t>(1, random.Bits() >> (1 + random.Below(62)));
    uint64_t part = 1 + random.Bits() % whole;
    if (random.Below(3) == 0) part = std::max<uint64_t>(1, part >> random.Below(63));
    if (random.Below(3) == 0) part = whole - ((whole - part) >> random.Below(63));
    const long double truth = std::log(static_cast<long double>(part) / whole);
    ASSERT_NEAR(LogRatio(part, whole), truth, Tolerance(truth)) << part << " of " << whole;
  }
}

TEST(LogRatio, OfNearlyEverythingKeepsItsRelativeAccuracy) {
  const uint64_t whole = uint64_t{1} << 62;
  for (int power = 0; power < 60; ++power) {
    const uint64_t missing = uint64_t{1} << power;
    const long double truth = std::log1p(-static_cast<long double>(missing) / whole);
    EXPECT_NEAR(LogRatio(whole - missing, whole) / truth, 1, 1e-6L) << power;
  }
}

TEST(LogRatio, OfTheWholeIsZeroAlsoForOneToken) {
  for (uint64_t whole : {uint64_t{1}, uint64_t{3}, uint64_t{1} << 62}) EXPECT_EQ(LogRatio(whole, whole), 0.0f);
}

TEST(LogSoftmax, IsWithinTheContractsToleranceOverWideRanges) {
  test::Random random(2);
  for (int i = 0; i < 500000; ++i) {
    const float maximum = static_cast<float>(random.Bell() * std::exp(random.Uniform() * 20 - 10));
    const float logit = maximum - static_cast<float>(random.Uniform() * std::exp(random.Uniform() * 30 - 15));
    const float temperature = static_cast<float>(std::exp(random.Uniform() * 40 - 20));
    const uint64_t weight = uint64_t{0xB504F5} << 21;
    const uint64_t mass = weight + (random.Bits() >> (2 + random.Below(60)));
    const long double scaled = (static_cast<long double>(logit) - maximum) / temperature;
    const long double truth = scaled - std::log(static_cast<long double>(mass) / weight);
    ASSERT_NEAR(LogSoftmax(logit, maximum, temperature, weight, mass), truth, Tolerance(truth));
  }
}

TEST(LogSoftmax, OfADifferenceThatOverflowsIsTheTrueQuotient) {
  EXPECT_FLOAT_EQ(LogSoftmax(-kMax, kMax, 0x1p119f, 1, 1), -0x1p10f);
  EXPECT_FLOAT_EQ(LogSoftmax(-1e38f, kMax, 1e4f, 1, 1), -4.4028235e34f);
}

TEST(LogSoftmax, IsNeverBelowTheLowestFloatNorNan) {
  for (float temperature : {0x1p-64f, 1.0f, 0x1p120f, kInfinity}) {
    const float value = LogSoftmax(-kMax, kMax, temperature, 1, uint64_t{1} << 62);
    EXPECT_GE(value, -kMax);
    EXPECT_FALSE(std::isnan(value));
  }
  EXPECT_EQ(LogSoftmax(-kMax, kMax, 1.0f, 1, 1), -kMax);
}

TEST(ScaledLogit, IsTheIeeeQuotientAndFiniteWhereverTheLogitIs) {
  EXPECT_EQ(ScaledLogit(1.0f, 3.0f), 1.0f / 3.0f);
  EXPECT_EQ(ScaledLogit(kMax, 0.5f), kMax);
  EXPECT_EQ(ScaledLogit(-kMax, 0x1p-64f), -kMax);
  EXPECT_EQ(ScaledLogit(-kMax, kInfinity), 0.0f);
  EXPECT_EQ(ScaledLogit(5.0f, 0x1.8p120f), 0.0f);  // as infinite
}

TEST(LogProbSlope, IsTheDerivativeAndSumsToZeroOverTheKeptSet) {
  const uint64_t weights[] = {uint64_t{0xB504F5} << 21, uint64_t{1} << 43, 12345, 1};
  uint64_t mass = 0;
  for (uint64_t weight : weights) mass += weight;
  for (float temperature : {0.01f, 1.0f, 30.0f}) {
    long double sum = 0;
    for (int i = 0; i < 4; ++i) {
      const float slope = LogProbSlope(weights[i], mass, i == 1, temperature);
      const long double truth = ((i == 1) - static_cast<long double>(weights[i]) / mass) / temperature;
      EXPECT_NEAR(slope, truth, Tolerance(truth));
      sum += slope;
    }
    EXPECT_NEAR(sum, 0, 4 * Tolerance(1 / temperature));
  }
}

TEST(LogProbSlope, IsZeroAtInfiniteTemperature) { EXPECT_EQ(LogProbSlope(1, 2, true, kInfinity), 0.0f); }

TEST(Outputs, LogProbOfTheSampledTokenIsItsLogprob) {
  test::Random random(3);
  for (int i = 0; i < 3000; ++i) {
    std::vector<float> logits(1 + random.Below(100));
    for (float& logit : logits) logit = static_cast<float>(3 * random.Bell());
    Record record = test::PlainRecord(random.Bits());
    record.temperature = static_cast<float>(0.1 + 3 * random.Uniform());
    record.top_p = static_cast<float>(random.Uniform());
    const ReferenceRow row(logits.data(), static_cast<uint32_t>(logits.size()), record, i);
    const ReferenceSample sample = row.Sample();
    ASSERT_NEAR(sample.logprob, row.LogProb(sample.token), Tolerance(sample.logprob));
  }
}

}  // namespace
}  // namespace fire::definition
