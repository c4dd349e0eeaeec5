#include "definition/philox.h"

#include <gtest/gtest.h>

#include <set>

#include "oracle.h"
#include "test_support.h"

namespace fire::definition {
namespace {

struct KnownAnswer {
  const char* name;
  Philox counter;
  uint32_t key_low, key_high;
  Philox expected;
};

void PrintTo(const KnownAnswer& answer, std::ostream* out) { *out << answer.name; }

// tests/kat_vectors of Random123 1.14, the lines that begin "philox4x32 10".
const KnownAnswer kRandom123[] = {
    {"zeros", {{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
    {"ones",
     {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
     0xffffffff,
     0xffffffff,
     {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
    {"pi",
     {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
     0xa4093822,
     0x299f31d0,
     {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
};

class PhiloxKnownAnswer : public testing::TestWithParam<KnownAnswer> {};

TEST_P(PhiloxKnownAnswer, EqualsThePublishedVector) {
  const KnownAnswer& answer = GetParam();
  const Philox out = Philox4x32(answer.counter, answer.key_low, answer.key_high);
  for (int word = 0; word < 4; ++word) EXPECT_EQ(out.word[word], answer.expected.word[word]) << "word " << word;
}

TEST_P(PhiloxKnownAnswer, IsAlsoWhatTheOraclesOwnPhiloxReturns) {
  const KnownAnswer& answer = GetParam();
  const uint32_t key[2] = {answer.key_low, answer.key_high};
  uint32_t out[4];
  test::OraclePhilox(answer.counter.word, key, out);
  for (int word = 0; word < 4; ++word) EXPECT_EQ(out[word], answer.expected.word[word]) << "word " << word;
}

INSTANTIATE_TEST_SUITE_P(Random123, PhiloxKnownAnswer, testing::ValuesIn(kRandom123),
                         [](const auto& info) { return info.param.name; });

TEST(Philox, DrawBitsAreWordOneAboveWordZeroOfTheCounterStepStreamZero) {
  const uint64_t seed = 0x0123456789ABCDEFu;
  const int64_t step = 0x1122334455667788;
  const Philox block = Philox4x32({{0x55667788, 0x11223344, 0xCAFEBABE, 0}}, 0x89ABCDEF, 0x01234567);
  EXPECT_EQ(DrawBits(seed, step, 0xCAFEBABE), static_cast<uint64_t>(block.word[1]) << 32 | block.word[0]);
}

TEST(Philox, ANegativeStepIsSignExtendedSoThatInt32AndInt64StepsDrawAlike) {
  const Philox block = Philox4x32({{0xFFFFFFFF, 0xFFFFFFFF, 3, 0}}, 7, 0);
  EXPECT_EQ(DrawBits(7, int64_t{int32_t{-1}}, 3), static_cast<uint64_t>(block.word[1]) << 32 | block.word[0]);
}

TEST(Philox, SpreadSeedCountsInWordsZeroAndOneAndNeverMeetsADraw) {
  const Philox block = Philox4x32({{5, 9, 0, 1}}, 0x89ABCDEF, 0x01234567);
  EXPECT_EQ(SpreadSeed(0x0123456789ABCDEFu, (uint64_t{9} << 32) + 5),
            static_cast<uint64_t>(block.word[1]) << 32 | block.word[0]);
  EXPECT_NE(SpreadSeed(1, 5), DrawBits(1, 5, 0));  // the last counter word separates them
}

TEST(Philox, SpreadSeedsOfAMillionRowsAreDistinct) {
  std::set<uint64_t> seeds;
  for (uint64_t row = 0; row < 1000000; ++row) seeds.insert(SpreadSeed(42, row));
  EXPECT_EQ(seeds.size(), 1000000u);
}

}  // namespace
}  // namespace fire::definition
