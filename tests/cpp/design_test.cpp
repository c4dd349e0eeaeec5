#include "definition/design.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "chi_square.h"
#include "definition/reference.h"
#include "oracle.h"
#include "test_support.h"

namespace fire::definition {
namespace {

__extension__ using Wide = unsigned __int128;

const uint32_t kSizes[] = {1, 2, 3, 7, 16, 64, 40000, 65536};

Record Grouped(Design design, uint32_t size, uint32_t member, uint64_t seed) {
  Record record = test::OpenRecord(design, seed);
  record.group = test::GroupWord(size, member);
  return record;
}

int64_t Token(const std::vector<float>& logits, const Record& record, int64_t step = 0) {
  return ReferenceRow(logits.data(), static_cast<uint32_t>(logits.size()), record, step).Sample().token;
}

TEST(Design, IsReadFromFlagBitsFiveToSevenAndOthersAreNone) {
  Record record = test::PlainRecord(1);
  for (uint32_t field = 0; field < 8; ++field) {
    record.flags = field << 5 | 0xFFFFFF1Fu;
    EXPECT_EQ(static_cast<uint32_t>(DesignOf(record)), field <= 4 ? field : 0) << field;
  }
}

TEST(Design, AMemberBeyondTheSizeCountsFromTheBeginning) {
  for (uint32_t size : kSizes) {
    for (uint32_t member : {0u, 1u, size - 1, size, 65535u}) {
      const Member found = MemberOf(Grouped(Design::kIid, size, member & 0xFFFFu, 1));
      EXPECT_EQ(found.size, size);
      EXPECT_EQ(found.index, (member & 0xFFFFu) % size);
    }
  }
}

TEST(Design, WithoutOneTheGroupWordIsIgnored) {
  for (uint32_t field : {0u, 5u, 6u, 7u}) {
    Record record = test::PlainRecord(7);
    const uint64_t bits = DrawBits(record, 3);
    EXPECT_EQ(bits, DrawBits(SeedOf(record), 3, record.stream));
    record.flags |= field << kDesignShift;
    record.group = 0xDEADBEEF;
    EXPECT_EQ(DrawBits(record, 3), bits) << field;
  }
}

TEST(Design, BeyondTheHotStepsEveryDesignDrawsIndependently) {
  for (uint32_t member : {0u, 1u, 6u}) {
    const uint64_t iid = DrawBits(Grouped(Design::kIid, 7, member, 9), 5);
    for (Design design : {Design::kStratified, Design::kLattice, Design::kEnumerated})
      EXPECT_EQ(DrawBits(Grouped(design, 7, member, 9), 5), iid);
  }
}

TEST(Design, DivideBySizeIsTheQuotientOfAHundredAndTwentyEightBits) {
  test::Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const uint32_t size = 1 + random.Below(i % 2 ? 65536 : 9);
    const uint32_t high = random.Below(size);
    const uint64_t low = i % 3 ? random.Bits() : ~uint64_t{0} - random.Below(3);
    ASSERT_EQ(DivideBySize(high, low, size), static_cast<uint64_t>(((static_cast<Wide>(high) << 64) + low) / size));
  }
}

TEST(Design, TheRecordOfAMemberKeepsItsDesignAndIsIidWithoutOne) {
  for (uint32_t field = 0; field < 8; ++field) {
    Record record = test::PlainRecord(4);
    record.flags = field << kDesignShift | 0xF1F;
    record.group = 0xDEADBEEF;
    const Record member = MemberRecord(record, 65536, 65535);
    EXPECT_EQ(member.group, 0xFFFFFFFFu);
    EXPECT_EQ(static_cast<uint32_t>(DesignOf(member)), field >= 1 && field <= 4 ? field : 1) << field;
    EXPECT_EQ(member.flags & ~(kDesignMask << kDesignShift), 0xF1Fu);
  }
}

TEST(Design, EachStratumIsDrawnFromByExactlyOneMember) {
  for (uint32_t size : kSizes) {
    std::vector<int> hits(size);
    for (uint32_t member = 0; member < size; ++member) {
      const uint64_t bits = DrawBits(Grouped(Design::kStratified, size, member, 100 + size), 0);
      ++hits[static_cast<size_t>(static_cast<Wide>(bits) * size >> 64)];
    }
    for (int hit : hits) ASSERT_EQ(hit, 1) << size;
  }
}

TEST(Design, ALatticeLiesAtEqualDistances) {
  for (uint32_t size : kSizes) {
    std::set<uint64_t> points;
    for (uint32_t member = 0; member < size; ++member)
      points.insert(DrawBits(Grouped(Design::kLattice, size, member, 200 + size), 0));
    ASSERT_EQ(points.size(), size);
    uint64_t last = *points.begin();
    for (auto point = std::next(points.begin()); point != points.end(); last = *point++)
      ASSERT_LE(*point - last - (~uint64_t{0} / size), 1u) << size;  // floors of equal distances differ by at most 1
  }
}

std::vector<float> SomeRow(uint32_t size, uint64_t seed) {
  test::Random random(seed);
  std::vector<float> row(size);
  for (float& logit : row) logit = static_cast<float>(2 * random.Bell());
  return row;
}

TEST(Design, ALatticeTakesEachTokenSoOftenAsItsShareOfTheGroupRoundedDownOrUp) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const std::vector<float> row = SomeRow(30, seed);
    for (uint32_t size : {1u, 2u, 3u, 7u, 16u, 64u}) {
      std::map<int64_t, int> count;
      for (uint32_t member = 0; member < size; ++member)
        ++count[Token(row, Grouped(Design::kLattice, size, member, seed))];
      for (uint32_t id = 0; id < row.size(); ++id) {
        const test::Oracle oracle(row, Grouped(Design::kIid, 1, 0, 0), 0);
        const long double share = std::exp(oracle.LogProb(id)) * size;
        EXPECT_GE(count[id], std::floor(share - 1e-9L)) << size;
        EXPECT_LE(count[id], std::ceil(share + 1e-9L)) << size;
      }
    }
  }
}

TEST(Design, AnEnumeratedGroupIsTheKeptSetInItsOrderRoundAndRound) {
  const std::vector<float> row = {0.5f, 3.0f, -1.0f, 3.0f, 2.0f};
  const int64_t order[] = {1, 3, 4, 0};  // top-k 4
  for (uint32_t member = 0; member < 9; ++member) {
    Record record = Grouped(Design::kEnumerated, 9, member, 5);
    record.hot_top_k = 4;
    const ReferenceSample sample = ReferenceRow(row.data(), 5, record, 0).Sample();
    EXPECT_EQ(sample.token, order[member % 4]);
    EXPECT_EQ(sample.kept, 4);
    EXPECT_EQ(sample.logprob, 0.0f);
    EXPECT_EQ(sample.status, kStatusHot | kStatusDecided);
  }
}

TEST(Design, EachMemberByItselfFollowsTheRowsDistribution) {
  const std::vector<float> row = {0.0f, 1.0f, -0.5f, 0.3f, 0.9f, -1.2f};
  const test::Oracle oracle(row, Grouped(Design::kIid, 1, 0, 0), 0);
  constexpr int kDraws = 20000;
  for (Design design : {Design::kIid, Design::kStratified, Design::kLattice}) {
    for (uint32_t size : {2u, 7u, 16u}) {
      for (uint32_t member : {0u, size - 1}) {
        std::vector<double> observed(row.size()), expected;
        for (uint32_t id = 0; id < row.size(); ++id)
          expected.push_back(kDraws * static_cast<double>(std::exp(oracle.LogProb(id))));
        for (uint64_t seed = 0; seed < kDraws; ++seed)
          ++observed[static_cast<size_t>(Token(row, Grouped(design, size, member, seed)))];
        test::ExpectChiSquare(observed, expected);
      }
    }
  }
}

// How often which of four tokens comes with which, of two records made from each seed.
template <typename First, typename Second>
void ExpectIndependent(const First& first, const Second& second) {
  const std::vector<float> row = {0.0f, 1.0f, -0.5f, 0.3f};
  const test::Oracle oracle(row, Grouped(Design::kIid, 1, 0, 0), 0);
  constexpr int kDraws = 40000;
  std::vector<double> observed(16), expected;
  for (int64_t a = 0; a < 4; ++a)
    for (int64_t b = 0; b < 4; ++b)
      expected.push_back(kDraws * static_cast<double>(std::exp(oracle.LogProb(a) + oracle.LogProb(b))));
  for (uint64_t seed = 0; seed < kDraws; ++seed)
    ++observed[static_cast<size_t>(4 * Token(row, first(seed)) + Token(row, second(seed)))];
  test::ExpectChiSquare(observed, expected);
}

TEST(Design, MembersOfAnIidGroupAreIndependentOfEachOther) {
  ExpectIndependent([](uint64_t seed) { return Grouped(Design::kIid, 4, 1, seed); },
                    [](uint64_t seed) { return Grouped(Design::kIid, 4, 2, seed); });
}

TEST(Design, BlocksOfAPromptAreIndependentOfEachOther) {
  for (Design design : {Design::kStratified, Design::kLattice})
    for (uint32_t member : {2u, 3u})  // the same one of the next block, and a neighbour
      ExpectIndependent([&](uint64_t seed) { return Grouped(design, 4, 2, SpreadSeed(7, 2 * seed)); },
                        [&](uint64_t seed) { return Grouped(design, 4, member, SpreadSeed(7, 2 * seed + 1)); });
}

}  // namespace
}  // namespace fire::definition
