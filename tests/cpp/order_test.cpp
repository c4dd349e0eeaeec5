// The order of tokens, and the bit patterns it is made of.
#include "definition/order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "test_support.h"

namespace fire::definition {
namespace {

using test::kInfinity;
using test::kMax;
using test::kNan;

TEST(Key, IsMonotoneOverTheWholeFloatLine) {
  std::vector<float> ascending = {-kInfinity, -kMax, -1e30f, -1.5f, -1.0f, -0x1p-126f, -0x1p-149f};
  ascending.insert(ascending.end(), {0.0f, 0x1p-149f, 0x1p-126f, 1.0f, 1.5f, 1e30f, kMax, kInfinity});
  for (size_t i = 1; i < ascending.size(); ++i)
    EXPECT_LT(Key(ascending[i - 1]), Key(ascending[i])) << ascending[i - 1] << " and " << ascending[i];
}

TEST(Key, OfNeighbouringFloatsAreNeighboursAlsoAcrossZero) {
  test::Random random(1);
  for (int i = 0; i < 100000; ++i) {
    const float x = test::FloatOf(static_cast<uint32_t>(random.Bits()));
    if (std::isnan(x) || x == kInfinity || x == 0) continue;
    const float above = std::nextafter(x, kInfinity);
    // −2^-149, then zero: −0 has no key of its own, so the place before +0 is empty.
    ASSERT_EQ(Key(above) - Key(x), above == 0 ? 2u : 1u) << x;
  }
}

TEST(Key, MinusZeroIsZeroSoThatNoSignDecidesATie) {
  EXPECT_EQ(Key(-0.0f), Key(0.0f));
  EXPECT_EQ(test::BitsOf(Sanitised(-0.0f)), 0u);
}

TEST(Key, EveryNanOfEitherSignReadsAsMasked) {
  for (uint32_t bits : {0x7F800001u, 0x7FC00000u, 0x7FFFFFFFu, 0xFF800001u, 0xFFC00000u, 0xFFFFFFFFu}) {
    EXPECT_TRUE(IsNanBits(bits));
    EXPECT_EQ(KeyOfBits(SanitisedBits(bits)), kMaskedKey);
  }
  EXPECT_FALSE(IsNanBits(kInfinityBits));
  EXPECT_FALSE(IsNanBits(kNegativeInfinityBits));
  EXPECT_EQ(Key(-kInfinity), kMaskedKey);
  EXPECT_EQ(Key(kInfinity), kInfinityKey);
}

TEST(Key, ConvertsBackToTheLogit) {
  test::Random random(2);
  for (int i = 0; i < 100000; ++i) {
    const float x = Sanitised(test::FloatOf(static_cast<uint32_t>(random.Bits())));
    ASSERT_EQ(test::BitsOf(KeyToFloat(Key(x))), test::BitsOf(x));
  }
}

TEST(Bits, EveryBFloat16IsItsFloat32) {
  for (uint32_t half = 0; half < 0x10000; ++half)
    ASSERT_EQ(BFloat16ToFloatBits(static_cast<uint16_t>(half)), half << 16);
}

// sign · mantissa · 2^exponent, from the fields of IEEE binary16.
double ValueOfFloat16(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 0x1F);
  const int mantissa = static_cast<int>(half & 0x3FF) | (exponent != 0 ? 0x400 : 0);
  const double magnitude = std::ldexp(mantissa, (exponent != 0 ? exponent : 1) - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(Bits, EveryFloat16IsItsFloat32SubnormalsAndNansIncluded) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = test::FloatOf(Float16ToFloatBits(static_cast<uint16_t>(half)));
    if ((half & 0x7C00) != 0x7C00) {
      ASSERT_EQ(static_cast<double>(value), ValueOfFloat16(half)) << half;
      ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
    } else if ((half & 0x3FF) == 0) {
      ASSERT_EQ(value, half & 0x8000 ? -kInfinity : kInfinity);
    } else {
      ASSERT_TRUE(std::isnan(value)) << half;
    }
  }
}

TEST(Bits, MulHigh64IsTheUpperHalfOfTheProduct) {
  test::Random random(3);
  EXPECT_EQ(MulHigh64(~uint64_t{0}, ~uint64_t{0}), ~uint64_t{0} - 1);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t a = random.Bits(), b = random.Bits() >> random.Below(64);
    const uint64_t a1 = a >> 32, a0 = a & 0xFFFFFFFF, b1 = b >> 32, b0 = b & 0xFFFFFFFF;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    ASSERT_EQ(MulHigh64(a, b), a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & 0xFFFFFFFF)) >> 32));
  }
}

TEST(Bits, BitWidthCountsTheBitsOfEveryPowerOfTwoAndItsNeighbours) {
  EXPECT_EQ(BitWidth(0), 0);
  for (int power = 0; power < 32; ++power) {
    EXPECT_EQ(BitWidth(1u << power), power + 1);
    EXPECT_EQ(BitWidth((1u << power) - 1), power);
  }
}

}  // namespace
}  // namespace fire::definition
