#include "definition/weight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "oracle.h"
#include "test_support.h"

namespace fire::definition {
namespace {

using test::FloatOf;
using test::kInfinity;
using test::kMax;
using test::kNan;

constexpr uint32_t kVocabulary = 151936;
constexpr float kTemperatures[] = {0.01f, 0.1f, 0.3f, 0.7f, 1.0f, 1.5f, 10.0f, 30.0f, 100.0f, 1e4f};

struct RowKind {
  const char* name;
  float (*logit)(uint32_t id, test::Random& random);
};

void PrintTo(const RowKind& kind, std::ostream* out) { *out << kind.name; }

const RowKind kRowKinds[] = {
    {"Bell", [](uint32_t, test::Random& r) { return static_cast<float>(2.5 * r.Bell()); }},
    {"Peaked",
     [](uint32_t id, test::Random& r) { return static_cast<float>(18 - 2.2 * std::log(1.0 + id) + 0.8 * r.Bell()); }},
    {"Flat", [](uint32_t, test::Random& r) { return static_cast<float>(3 + 1e-4 * r.Bell()); }},
    {"Equal", [](uint32_t, test::Random&) { return 3.25f; }},
    {"Tied", [](uint32_t, test::Random& r) { return 0.5f * static_cast<float>(r.Below(20)); }},
    {"BFloat16",
     [](uint32_t, test::Random& r) { return FloatOf(test::BitsOf(static_cast<float>(2.5 * r.Bell())) & 0xFFFF0000u); }},
    {"HalfMasked", [](uint32_t id, test::Random& r) { return id % 2 ? -kInfinity : static_cast<float>(4 * r.Bell()); }},
    {"HugeOffset", [](uint32_t, test::Random& r) { return static_cast<float>(1e4 + 3 * r.Bell()); }},
    {"HugeNegativeOffset", [](uint32_t, test::Random& r) { return static_cast<float>(-1e6 + 3 * r.Bell()); }},
    {"Ramp", [](uint32_t id, test::Random&) { return -100.0f * static_cast<float>(id) / kVocabulary; }},
    {"OnePeakOverAFlatTail", [](uint32_t id, test::Random&) { return id == 77 ? 0.0f : -21.8f; }},
    {"Extremes", [](uint32_t id, test::Random&) { return id % 3 == 0   ? kMax
                                                         : id % 3 == 1 ? -kMax
                                                                       : 1e30f; }},
};

class WeightAgainstSoftmax : public testing::TestWithParam<RowKind> {};

TEST_P(WeightAgainstSoftmax, IsWithinTotalVariation1e7OfTheFloat64Softmax) {
  test::Random random(11);
  std::vector<float> logits(kVocabulary);
  for (uint32_t id = 0; id < kVocabulary; ++id) logits[id] = GetParam().logit(id, random);
  const float maximum = *std::max_element(logits.begin(), logits.end());
  for (float temperature : kTemperatures) {
    const WeightScale scale = MakeWeightScale(maximum, temperature, kVocabulary);
    std::vector<double> exact(kVocabulary);
    double exact_mass = 0;
    uint64_t mass = 0;
    for (uint32_t id = 0; id < kVocabulary; ++id) {
      exact[id] = std::exp((static_cast<double>(logits[id]) - maximum) / temperature);
      exact_mass += exact[id];
      mass += Weight(logits[id], scale);
    }
    double variation = 0;
    for (uint32_t id = 0; id < kVocabulary; ++id)
      variation +=
          std::abs(exact[id] / exact_mass - static_cast<double>(Weight(logits[id], scale)) / static_cast<double>(mass));
    EXPECT_LE(variation / 2, 1e-7) << "temperature " << temperature;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, WeightAgainstSoftmax, testing::ValuesIn(kRowKinds),
                         [](const auto& info) { return info.param.name; });

// A weight is (mantissa · 2^(S − 23 + n)) truncated, where mantissa = bits(p(f)) − bits(1/2), f = d·c − n in
// [−1/2, 1/2]. With slope 1 and maximum 0 a logit in that range is f itself, so this reads the mantissa of any f.
constexpr WeightScale kMantissaScale = {0.0f, 1.0f, -47.0f, 44};

uint32_t MantissaAt(float f) { return static_cast<uint32_t>(Weight(f, kMantissaScale) >> 21); }

// As d = fl(x − m), z and f are monotone in x for any slope, this bounds every upward step of a weight: for x < y,
// weight(x) ≤ weight(y) + max(1, 2^(S − 23 + n)), a relative 2^-23 (1.2e-7) where weights are not truncated. Below
// 2^-27 nothing moves: f · C1 is under a quarter of C0's last place.
TEST(WeightMonotonicity, OverEveryFloatInAnOctaveNoMantissaDipsByMoreThanItsLastBit) {
  uint32_t largest = 0, deepest_dip = 0;
  const auto visit = [&](uint32_t bits) {
    const uint32_t mantissa = MantissaAt(FloatOf(bits));
    if (mantissa < largest) deepest_dip = std::max(deepest_dip, largest - mantissa);
    largest = std::max(largest, mantissa);
  };
  const uint32_t half = test::BitsOf(0.5f), tiny = test::BitsOf(0x1p-27f);
  for (uint32_t bits = half; bits >= tiny; --bits) visit(bits | kSignBit);
  for (uint32_t bits = tiny; bits <= half; ++bits) visit(bits);
  EXPECT_EQ(deepest_dip, 1u);
  EXPECT_EQ(largest, 0x1000000u);
}

TEST(WeightMonotonicity, AnOctaveEndsExactlyWhereTheNextBegins) {
  EXPECT_EQ(MantissaAt(0.5f), 2 * MantissaAt(-0.5f));
  uint32_t least = MantissaAt(-0.5f);
  for (uint32_t bits = test::BitsOf(0.5f); bits > test::BitsOf(0.49f); --bits)
    least = std::min(least, MantissaAt(FloatOf(bits | kSignBit)));
  EXPECT_EQ(least, 0x800000u);
}

TEST(WeightMonotonicity, OverNeighbouringLogitsNoWeightRisesByMoreThanItsBound) {
  test::Random random(12);
  for (float temperature : kTemperatures) {
    const WeightScale scale = MakeWeightScale(2.0f, temperature, kVocabulary);
    for (int i = 0; i < 200; ++i) {
      float logit = 2.0f - static_cast<float>(random.Uniform() * 34 * temperature);
      uint64_t above = Weight(logit, scale);
      for (int neighbour = 0; neighbour < 1000; ++neighbour) {
        logit = std::nextafter(logit, -kInfinity);
        const uint64_t weight = Weight(logit, scale);
        ASSERT_LE(weight, above + std::max<uint64_t>(1, (above >> 23) + 1)) << logit << " at T " << temperature;
        above = weight;
      }
    }
  }
}

TEST(Weight, OfTheMaximumIsRootTwoTimesTheScaleAtEveryTemperature) {
  for (float temperature : {0x1p-64f, 0.01f, 1.0f, 1e4f, 0x1p120f, kMax, kInfinity}) {
    for (float maximum : {-kMax, -1.0f, 0.0f, 0x1p-149f, 3.7f, kMax}) {
      const WeightScale scale = MakeWeightScale(maximum, temperature, kVocabulary);
      EXPECT_EQ(Weight(maximum, scale), uint64_t{0xB504F5} << 21);
    }
  }
}

TEST(Weight, EqualsTheOraclesForAnyLogitsAndTemperature) {
  test::Random random(13);
  for (int i = 0; i < 2000000; ++i) {
    const uint64_t bits = random.Bits();
    float logit = random.Below(2) ? FloatOf(static_cast<uint32_t>(bits)) : static_cast<float>(20 * random.Bell());
    float maximum = random.Below(2) ? FloatOf(static_cast<uint32_t>(bits >> 32)) : logit + 10;
    if (!std::isfinite(maximum)) maximum = 0;
    if (logit > maximum) std::swap(logit, maximum);
    if (!std::isfinite(maximum)) continue;
    // Exponents −64 … 122, so that the ends of the finite temperatures are met.
    const float temperature = FloatOf((63 + random.Below(187)) << 23 | (static_cast<uint32_t>(bits) & 0x7FFFFF));
    const uint32_t vocabulary = 1 + random.Below(1u << (1 + random.Below(21)));
    const WeightScale scale = MakeWeightScale(maximum, temperature, vocabulary);
    ASSERT_EQ(Weight(logit, scale), test::OracleWeight(logit, maximum, temperature, vocabulary))
        << std::hexfloat << logit << ' ' << maximum << ' ' << temperature << ' ' << vocabulary;
  }
}

TEST(Weight, OfMaskedAndNanLogitsIsZeroAlsoAtInfiniteTemperature) {
  for (float temperature : {0x1p-64f, 1.0f, 0x1p120f, kInfinity}) {
    const WeightScale scale = MakeWeightScale(1.0f, temperature, 8);
    for (float masked : {-kInfinity, kNan, -kNan}) EXPECT_EQ(Weight(masked, scale), 0u);
  }
}

TEST(Weight, OfADifferenceThatOverflowsIsFiniteWork) {
  EXPECT_EQ(Weight(-kMax, MakeWeightScale(kMax, 1.0f, 8)), 0u);
  EXPECT_EQ(Weight(-kMax, MakeWeightScale(kMax, 0x1p120f, 8)), 0u);
  const WeightScale infinite = MakeWeightScale(kMax, kInfinity, 8);
  EXPECT_EQ(Weight(-kMax, infinite), Weight(kMax, infinite));
}

TEST(Weight, VanishesAtTheFloorWhateverTheVocabulary) {
  for (uint32_t vocabulary : {1u, 1u << 18, (1u << 18) + 1, 1u << 21}) {
    const WeightScale scale = MakeWeightScale(0.0f, 1.0f, vocabulary);
    EXPECT_EQ(Weight(scale.floor, scale), 0u);
    EXPECT_GT(Weight(-0.693f * static_cast<float>(scale.bits), scale), 0u);
  }
}

TEST(WeightScale, ShrinksWithTheVocabularyFromTwoToThe18Upwards) {
  EXPECT_EQ(WeightScaleBits(1), 44);
  EXPECT_EQ(WeightScaleBits(1u << 18), 44);
  EXPECT_EQ(WeightScaleBits((1u << 18) + 1), 43);
  EXPECT_EQ(WeightScaleBits(1u << 19), 43);
  EXPECT_EQ(WeightScaleBits((1u << 20) + 1), 41);
  EXPECT_EQ(WeightScaleBits(1u << 21), 41);
}

TEST(WeightScale, MassOfTheLargestEqualRowsStaysBelowTwoToThe63) {
  for (uint32_t vocabulary : {1u << 18, 1u << 19, 1u << 20, 1u << 21}) {
    const WeightScale scale = MakeWeightScale(5.0f, 1.0f, vocabulary);
    uint64_t mass = 0;
    for (uint32_t id = 0; id < vocabulary; ++id) {
      mass += Weight(5.0f, scale);
      ASSERT_LT(mass, uint64_t{1} << 63);
    }
    // 2^62.5, rounded up as √2 is in the polynomial's constant term.
    EXPECT_EQ(mass, uint64_t{0xB504F5} << 39);
  }
}

}  // namespace
}  // namespace fire::definition
