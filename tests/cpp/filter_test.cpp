#include "definition/filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "test_support.h"

namespace fire::definition {
namespace {

using test::FloatOf;
using test::kInfinity;
using test::kNan;

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kNoFit = ~uint64_t{0};

// A natural number of any size, as base-2^32 digits: enough of one for exact products.
class Natural {
 public:
  explicit Natural(uint64_t value) : digits_{static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)} {}

  Natural Times(uint32_t factor) const {
    Natural out = *this;
    uint64_t carry = 0;
    for (uint32_t& digit : out.digits_) {
      carry += static_cast<uint64_t>(digit) * factor;
      digit = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    out.digits_.push_back(static_cast<uint32_t>(carry));
    return out;
  }
  Natural TimesPowerOfTwo(int power) const {
    Natural out = *this;
    out.digits_.insert(out.digits_.begin(), static_cast<size_t>(power / 32), 0);
    return out.Times(1u << power % 32);
  }
  // ceil(this / 2^power), or kNoFit where that takes more than 64 bits.
  uint64_t CeilOfShift(int power) const {
    uint64_t quotient = 0;
    bool remainder = false, overflow = false;
    for (size_t bit = 0; bit < 32 * digits_.size(); ++bit) {
      if ((digits_[bit / 32] >> bit % 32 & 1) == 0) continue;
      const int place = static_cast<int>(bit) - power;
      remainder |= place < 0;
      overflow |= place >= 64;
      if (place >= 0 && place < 64) quotient |= uint64_t{1} << place;
    }
    return overflow || (remainder && quotient == kNoFit) ? kNoFit : quotient + (remainder ? 1 : 0);
  }

 private:
  std::vector<uint32_t> digits_;
};

// fraction = mantissa · 2^(exponent − 150), the exponent of a subnormal counting as 1.
uint64_t ExactCeilOfProduct(uint32_t fraction_bits, uint64_t mass) {
  const uint32_t exponent = fraction_bits >> 23;
  const uint32_t mantissa = (fraction_bits & 0x7FFFFF) + (exponent != 0 ? 0x800000 : 0);
  const int power = static_cast<int>(exponent != 0 ? exponent : 1) - 150;
  const Natural product = Natural(mass).Times(mantissa);
  return power < 0 ? product.CeilOfShift(-power) : product.TimesPowerOfTwo(power).CeilOfShift(0);
}

TEST(CeilOfProduct, IsExactForEveryExponentOfTheFraction) {
  test::Random random(1);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (int i = 0; i < 400; ++i) {
      const uint32_t mantissas[] = {0, 1, 0x400000, 0x7FFFFF, static_cast<uint32_t>(random.Bits()) & 0x7FFFFF};
      const uint64_t masses[] = {
          0, 1, 3, uint64_t{1} << 44, 0x5A82799999999999, uint64_t{1} << 63, kNoFit, random.Bits() >> random.Below(64)};
      const uint32_t bits = exponent << 23 | random.Pick(mantissas);
      const uint64_t mass = random.Pick(masses);
      ASSERT_EQ(CeilOfProduct(bits, mass), ExactCeilOfProduct(bits, mass))
          << std::hex << "bits " << bits << " mass " << mass;
    }
  }
}

TEST(CeilOfProduct, SaturatesAtTheLastIntegerInsteadOfWrappingToZero) {
  int saturated = 0;
  for (uint32_t mantissa = 0x800001; mantissa < 0x1000000; mantissa += 202) {
    // fraction = mantissa / 2^22, and the product falls short of 2^64 by less than four.
    const uint64_t mass = static_cast<uint64_t>((static_cast<Wide>(1) << 86) / mantissa);
    const uint32_t bits = (150u - 22u) << 23 | (mantissa & 0x7FFFFF);
    ASSERT_EQ(CeilOfProduct(bits, mass), ExactCeilOfProduct(bits, mass)) << mantissa;
    saturated += ExactCeilOfProduct(bits, mass) == kNoFit;
  }
  EXPECT_GT(saturated, 0);
}

TEST(CeilOfProduct, OfInfinityIsTheLargestAndOfZeroIsZero) {
  EXPECT_EQ(CeilOfProduct(kInfinityBits, 1), kNoFit);
  EXPECT_EQ(CeilOfProduct(kInfinityBits, 0), 0u);
  EXPECT_EQ(CeilOfProduct(0, kNoFit), 0u);
}

TEST(CeilOfProduct, OfTheSmallestFractionIsOneSoThatAPositiveMinPAlwaysCuts) {
  EXPECT_EQ(CeilOfProduct(1, 1), 1u);
  EXPECT_EQ(CeilOfProduct(1, kNoFit), 1u);
}

TEST(TopP, IsOffFromOneUpwardsAndForNan) {
  for (float off : {1.0f, 1.5f, kInfinity, kNan, -kNan}) EXPECT_FALSE(TopPIsOn(off)) << off;
  for (float on : {-kInfinity, -1.0f, -0.0f, 0.0f, 0x1p-149f, 0.5f, FloatOf(0x3F7FFFFF)})
    EXPECT_TRUE(TopPIsOn(on)) << on;
}

TEST(TopP, AtZeroAndBelowAsksForWhatTheFirstTokenAloneHas) {
  for (float p : {-kInfinity, -1.0f, -0.0f, 0.0f}) EXPECT_EQ(TopPTarget(p, 1000), 1u) << p;
}

TEST(TopP, TargetNeverExceedsTheMassSoThatEveryRowReachesIt) {
  for (uint64_t mass : {uint64_t{1}, uint64_t{3}, uint64_t{1} << 44, uint64_t{0x5A827999FCEF3242}})
    EXPECT_LE(TopPTarget(FloatOf(0x3F7FFFFF), mass), mass);
}

TEST(MinP, IsOffAtZeroBelowAndForNan) {
  for (float off : {0.0f, -0.0f, -0.5f, -kInfinity, kNan, -kNan}) EXPECT_EQ(MinPThreshold(off, 1000), 0u) << off;
}

TEST(MinP, AboveOneIsAboveEveryWeight) {
  EXPECT_EQ(MinPThreshold(1.0f, 1000), 1000u);
  EXPECT_GT(MinPThreshold(FloatOf(0x3F800001), uint64_t{1} << 44), uint64_t{1} << 44);
  EXPECT_EQ(MinPThreshold(kInfinity, 1000), kNoFit);
}

float Between(test::Random& random, float low, float high) {
  return low + (high - low) * static_cast<float>(random.Uniform());
}

// A row's settings, as MinPBounds sees them.
struct BoundedCase {
  uint32_t vocabulary;
  float maximum, temperature, min_p;

  Phase phase() const {
    Record record = test::PlainRecord();
    record.temperature = temperature;
    record.min_p = min_p;
    return PhaseOf(record, 0, vocabulary);
  }
  WeightScale scale() const { return MakeWeightScale(maximum, temperature, vocabulary); }
  uint64_t whole() const { return WeightOfMaximum(vocabulary); }
  uint64_t least() const { return MinPThreshold(min_p, whole()); }
  MinPBounds bounds() const { return MinPBoundsOf(phase(), least(), whole()); }
};

// As likely as not of ordinary sizes; else of any.
BoundedCase RandomBoundedCase(test::Random& random) {
  const auto power = [&](int ordinary, int any) {
    const int most = random.Below(2) == 0 ? ordinary : any;
    return static_cast<int>(random.Below(static_cast<uint32_t>(2 * most + 1))) - most;
  };
  return {.vocabulary = 1u << random.Below(22),
          .maximum = std::ldexp(Between(random, -1.0f, 1.0f), power(6, 120)),
          .temperature = std::ldexp(Between(random, 1.0f, 2.0f), power(3, 63)),
          .min_p = std::ldexp(Between(random, 0.5f, 1.0f), -std::abs(power(5, 60)))};
}

TEST(MinPBounds, NoLogitBelowThemPassesAndNoneAboveThemFails) {
  test::Random random(11);
  for (int i = 0; i < 20000; ++i) {
    const BoundedCase one = RandomBoundedCase(random);
    const MinPBounds bounds = one.bounds();
    // As the backends round them: the CPU to nearest, the device away from what must not be passed.
    float below = one.maximum + bounds.below, above = one.maximum + bounds.above;
    for (int step = 0; step < 64; ++step) {
      below = std::nextafter(below, -kInfinity);
      if (!std::isfinite(below)) break;
      ASSERT_LT(Weight(below, one.scale()), one.least())
          << "V " << one.vocabulary << " m " << one.maximum << " T " << one.temperature << " min_p " << one.min_p;
    }
    for (int step = 0; step < 64; ++step) {
      above = std::nextafter(above, kInfinity);
      if (above > one.maximum) break;
      ASSERT_GE(Weight(above, one.scale()), one.least())
          << "V " << one.vocabulary << " m " << one.maximum << " T " << one.temperature << " min_p " << one.min_p;
    }
  }
}

TEST(MinPBounds, TheLogarithmOfAWeightErrsByLessThanTheyAllowFor) {
  test::Random random(12);
  double largest = 0;
  for (int i = 0; i < 200000; ++i) {
    const WeightScale scale = MakeWeightScale(Between(random, -30.0f, 30.0f), Between(random, 0.25f, 4.0f), 4096);
    const float logit = scale.maximum + Between(random, 0.0f, 0.5f) * scale.floor;
    const uint64_t weight = Weight(logit, scale);
    if (weight < uint64_t{1} << 22) continue;  // what truncation takes of a smaller one shows
    const double exact =
        static_cast<double>(scale.slope) * (static_cast<double>(logit) - static_cast<double>(scale.maximum));
    const double found = std::log2(static_cast<double>(weight) / static_cast<double>(WeightOfMaximum(4096)));
    largest = std::max(largest, std::fabs(found - exact));
  }
  EXPECT_LT(largest, static_cast<double>(kLog2WeightError));
  EXPECT_GT(largest, 0);
}

TEST(MinPBounds, TellNothingWhereMinPIsOffOrNoLogitMatters) {
  for (const BoundedCase& one : {BoundedCase{1000, 3.0f, 1.0f, 0.0f},       // off
                                 BoundedCase{1000, 3.0f, kInfinity, 0.5f},  // every finite logit weighs the same
                                 BoundedCase{1000, 3.0f, 0.0f, 0.5f},       // greedy
                                 BoundedCase{1000, 3.0f, 1.0f, 2.0f}}) {    // nothing passes
    EXPECT_EQ(one.bounds().below, -kInfinity);
    EXPECT_EQ(one.bounds().above, -kInfinity);
  }
}

}  // namespace
}  // namespace fire::definition
