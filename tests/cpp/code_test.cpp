#include "definition/code.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "chi_square.h"
#include "definition/reference.h"
#include "oracle.h"
#include "test_support.h"

namespace fire::definition {
namespace {

__extension__ using Wide = unsigned __int128;

using Row = std::vector<float>;
using Coded = ReferenceRow::Coded;

Record Grouped(Design design, uint32_t size, uint32_t member, uint64_t seed) {
  return MemberRecord(test::OpenRecord(design, seed), size, member);
}

Coded SampleCoded(const Row& row, const Record& record, int64_t step, uint64_t code) {
  return ReferenceRow(row.data(), static_cast<uint32_t>(row.size()), record, step).SampleCoded(code);
}

std::vector<double> Probabilities(const Row& row) {
  const test::Oracle oracle(row, Grouped(Design::kIid, 1, 0, 0), 0);
  std::vector<double> out;
  for (uint32_t id = 0; id < row.size(); ++id) out.push_back(static_cast<double>(std::exp(oracle.LogProb(id))));
  return out;
}

TEST(Code, DivideWideIsTheQuotientOfAHundredAndTwentyEightBitsOrTheLargestNumber) {
  test::Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const bool largest = i % 7 == 0;
    const uint64_t divisor = (random.Bits() >> (2 + random.Below(62))) | 1;
    const uint64_t high = largest ? divisor : (i % 5 ? random.Bits() % divisor : divisor - 1);
    const uint64_t low = (i % 3 ? random.Bits() : ~uint64_t{0}) >> largest;
    const Wide quotient = ((static_cast<Wide>(high) << 64) + low) / divisor;
    ASSERT_EQ(DivideWide(high, low, divisor), quotient > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(quotient));
  }
}

TEST(Code, OfADecidedRowStays) {
  const uint64_t code = 0x123456789ABCDEF;
  Record record = Grouped(Design::kLattice, 4, 1, 5);
  EXPECT_EQ(SampleCoded({-test::kInfinity, -test::kInfinity}, record, 0, code).code, code);
  EXPECT_EQ(SampleCoded({0.0f, test::kInfinity}, record, 0, code).code, code);
  record.hot_temperature = 0.0f;
  EXPECT_EQ(SampleCoded({0.0f, 1.0f}, record, 0, code).code, code);
  EXPECT_EQ(SampleCoded({0.0f, 1.0f}, Grouped(Design::kEnumerated, 2, 1, 5), 0, code).code, code);
}

TEST(Code, OfTheOnlyKeptTokenStaysWithinOneUnit) {
  Record record = Grouped(Design::kIid, 4, 1, 5);
  record.hot_top_k = 1;
  for (uint64_t code : {uint64_t{0}, uint64_t{0x8000000000000000}, ~uint64_t{0}}) {
    const Coded coded = SampleCoded({0.0f, 1.0f}, record, 0, code);
    EXPECT_EQ(coded.token, 1);
    EXPECT_EQ(coded.code, code);  // the fresh bits lie below the code's own
  }
}

TEST(Code, ABeginningCodeIsTheDrawOfTheDesign) {
  for (Design design : {Design::kNone, Design::kIid, Design::kStratified, Design::kLattice}) {
    for (int64_t step : {0, 1}) {
      const Record record = design == Design::kNone ? test::OpenRecord(design, 8) : Grouped(design, 7, 3, 8);
      EXPECT_EQ(FirstCode(record, step), DrawBits(record, step));
    }
  }
}

TEST(Code, MembersAndStepsRefreshWithBitsOfTheirOwn) {
  std::map<uint64_t, int> seen;
  for (uint32_t member = 0; member < 64; ++member)
    for (int64_t step = 0; step < 64; ++step) {
      const Record record = Grouped(Design::kLattice, 64, member, 8);
      ++seen[FreshBits(record, step)];
      ++seen[DrawBits(record, step)];
    }
  EXPECT_EQ(seen.size(), 2u * 64 * 64);
  Record ungrouped = test::OpenRecord(Design::kNone, 8);
  ungrouped.group = 0xDEADBEEF;
  EXPECT_EQ(FreshBits(ungrouped, 3), FreshBits(Grouped(Design::kIid, 5, 0, 8), 3));
}

constexpr int kCells = 8;

// After `steps` draws from the same row: how often which token came with which eighth of the codes.
std::vector<double> TokenAndCode(const Row& row, int steps, int sequences) {
  std::vector<double> observed(row.size() * kCells);
  for (int i = 0; i < sequences; ++i) {
    const Record record = Grouped(Design::kIid, 3, 1, 1000 + static_cast<uint64_t>(i));
    Coded coded = {0, FirstCode(record, 0)};
    for (int64_t step = 0; step < steps; ++step) coded = SampleCoded(row, record, step, coded.code);
    ++observed[static_cast<size_t>(coded.token) * kCells + (coded.code >> 61)];
  }
  return observed;
}

TEST(Code, IsUniformAndIndependentOfTheTokenThatItDrew) {
  const Row row = {0.0f, 1.0f, -0.5f, 0.3f};
  for (int steps : {1, 2, 64}) {
    const int sequences = steps == 64 ? 4000 : 20000;
    std::vector<double> expected;
    for (double share : Probabilities(row)) expected.insert(expected.end(), kCells, share * sequences / kCells);
    test::ExpectChiSquare(TokenAndCode(row, steps, sequences), expected);
  }
}

// Codes of the share that belongs to a token of probability about 1e-6, spread over it at random.
TEST(Code, IsUniformAfterATokenOfOneInAMillion) {
  const Row row = {13.8f, 0.0f, 13.0f};
  const std::vector<double> share = Probabilities(row);
  EXPECT_LT(share[1], 1e-6);
  test::Random random(6);
  std::vector<double> observed(16);
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws;) {
    const uint64_t code = static_cast<uint64_t>(std::ldexp(share[0] + share[1] * random.Uniform(), 64));
    const Coded coded = SampleCoded(row, Grouped(Design::kIid, 1, 0, random.Bits()), 0, code);
    if (coded.token != 1) continue;  // an end of the share, rounded
    ++observed[coded.code >> 60];
    ++i;
  }
  test::ExpectChiSquare(observed, std::vector<double>(16, kDraws / 16.0));
}

// Three tokens, whose logits depend on the one before.
constexpr int kChainSteps = 3;
const Row kChain[] = {{0.0f, 1.0f, -1.0f}, {0.5f, -0.5f, 0.2f}, {-2.0f, 0.0f, 0.3f}};

int DrawChain(const Record& record) {
  Coded coded = {0, FirstCode(record, 0)};
  int sequence = 0;
  for (int64_t step = 0; step < kChainSteps; ++step) {
    coded = SampleCoded(kChain[coded.token], record, step, coded.code);
    sequence = sequence * 3 + static_cast<int>(coded.token);
  }
  return sequence;
}

std::vector<double> ChainProbabilities() {
  std::vector<double> out;
  for (int sequence = 0; sequence < 27; ++sequence) {
    const std::array<size_t, kChainSteps> tokens = {
        static_cast<size_t>(sequence) / 9, static_cast<size_t>(sequence) / 3 % 3, static_cast<size_t>(sequence) % 3};
    double product = 1;
    for (size_t i = 0; i < tokens.size(); ++i) product *= Probabilities(kChain[i == 0 ? 0 : tokens[i - 1]])[tokens[i]];
    out.push_back(product);
  }
  return out;
}

TEST(Code, SequencesOfEachMemberHaveTheChainsProbabilities) {
  std::vector<double> expected = ChainProbabilities();
  constexpr int kSequences = 20000;
  for (double& share : expected) share *= kSequences;
  for (Design design : {Design::kIid, Design::kStratified, Design::kLattice}) {
    std::vector<double> observed(27);
    for (uint64_t seed = 0; seed < kSequences; ++seed)
      ++observed[static_cast<size_t>(DrawChain(Grouped(design, 16, 5, seed)))];
    test::ExpectChiSquare(observed, expected);
  }
}

// The lattice goes through the whole sequences: what spreads first tokens spreads them too.
TEST(Code, ALatticeDrawsEachSequenceSoOftenAsItsShareOfTheGroupRoundedDownOrUp) {
  const std::vector<double> probabilities = ChainProbabilities();
  for (uint32_t size : {2u, 7u, 16u, 64u}) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      std::vector<int> count(27);
      for (uint32_t member = 0; member < size; ++member)
        ++count[static_cast<size_t>(DrawChain(Grouped(Design::kLattice, size, member, seed)))];
      for (size_t sequence = 0; sequence < count.size(); ++sequence) {
        EXPECT_GE(count[sequence], std::floor(probabilities[sequence] * size - 1e-6));
        EXPECT_LE(count[sequence], std::ceil(probabilities[sequence] * size + 1e-6));
      }
    }
  }
}

}  // namespace
}  // namespace fire::definition
