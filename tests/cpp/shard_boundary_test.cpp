// Where a sharded row's answers meet exactly: points at the edge of a share, weights at that of min-p. Rows drawn by
// luck do not come there.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "definition/design.h"
#include "definition/reference.h"
#include "dipping_weights.h"
#include "shard_ranks.h"

namespace fire::test {
namespace {

using definition::OneThread;
using definition::ShardList;
using definition::ShardRow;
using Solver = definition::ShardRowSolver<OneThread>;

Record RecordOf(uint64_t seed) {
  Record record = PlainRecord(seed);
  record.hot_steps = 0;
  return record;
}

ShardRow Asked(const Record& record, uint32_t vocabulary, uint32_t ranks) {
  ShardRow row = {};
  row.wants = definition::kWantsDraw;
  row.vocabulary = vocabulary;
  row.ranks = ranks;
  row.key_bits = 32;
  row.record = record;
  return row;
}

TEST(ShardBoundary, APointAtTheEndOfAShardsMassIsTheNextShardsFirst) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Record record = RecordOf(seed);
    constexpr uint64_t kMass = uint64_t{1} << 50;
    const uint64_t point = definition::DrawPoint(definition::DrawBits(record, 0), kMass);
    for (const uint64_t in_front : {point, point + 1}) {
      const std::vector<uint64_t> entries = {definition::Entry(definition::Key(2.0f), 0)};
      std::vector<uint64_t> weights(1);
      const ShardList list = {entries.data(), weights.data(), 1};
      ShardRow row = Asked(record, 100, 2);
      Solver(OneThread(), list, &row).Begin(false, false);
      ASSERT_EQ(row.questions, definition::kAskMasses);
      std::vector<ShardAnswer> answers(definition::kFirstSlot + 2, ShardAnswer{0, 0});
      answers[definition::kFirstSlot] = {40, in_front};
      answers[definition::kFirstSlot + 1] = {60, kMass - in_front};
      Solver(OneThread(), list, &row).Take(answers.data());
      EXPECT_EQ(row.questions, definition::kAskToken);
      EXPECT_EQ(row.owner, in_front == point ? 1u : 0u);
      EXPECT_EQ(row.point, in_front == point ? 0 : point);
    }
  }
}

TEST(ShardBoundary, APointAtTheEndOfAListedTokensShareIsTheNextTokens) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Record record = RecordOf(seed);
    record.top_p = 0.999f;
    constexpr uint64_t kMass = 1000000;
    const uint64_t point = definition::DrawPoint(definition::DrawBits(record, 0), kMass);
    if (point >= 990000) continue;  // the first token alone would be the nucleus
    for (const uint64_t in_front : {point, point + 1}) {
      const std::vector<uint64_t> entries = {definition::Entry(definition::Key(2.0f), 5),
                                             definition::Entry(definition::Key(1.0f), 9)};
      std::vector<uint64_t> weights(2);
      const ShardList list = {entries.data(), weights.data(), 2};
      ShardRow row = Asked(record, 100, 1);
      Solver(OneThread(), list, &row).Begin(false, false);
      ASSERT_EQ(row.questions, definition::kAskMasses);
      weights = {in_front, kMass - in_front};  // in place of those of any logits
      std::vector<ShardAnswer> answers(definition::kFirstSlot + 1, ShardAnswer{0, 0});
      answers[definition::kFirstSlot] = {2, kMass};
      Solver(OneThread(), list, &row).Take(answers.data());
      ASSERT_EQ(row.questions, 0u);
      EXPECT_EQ(row.token, in_front == point ? 9 : 5);
    }
  }
}

TEST(ShardBoundary, AnUnlistedTokenThatWeighsMoreThanALargerLogitIsKeptByMinP) {
  constexpr uint32_t kVocabulary = 40;
  const std::optional<Dip> dip = FindDip(kVocabulary);
  ASSERT_TRUE(dip);
  std::vector<float> logits(kVocabulary, -100.0f);
  logits[3] = 0.0f;
  logits[7] = dip->refused;
  logits[30] = dip->kept;
  for (const Order order : {Order::kHf, Order::kVllm, Order::kJoint}) {
    Record record = RecordOf(1);
    record.min_p = dip->min_p;
    record.flags = static_cast<uint32_t>(order) << kOrderShift;
    const definition::ReferenceSample want = definition::ReferenceRow(logits.data(), kVocabulary, record, 0).Sample();
    ASSERT_EQ(want.kept, 2);
    for (const uint32_t count : {1u, 2u, 3u}) {  // of two, the last one listed is refused
      ShardedRow sharded(logits, {20, 20});
      const ShardRow row = sharded.Solve(record, 0, definition::kWantsDraw, count);
      EXPECT_EQ(row.kept, 2u) << count;
      EXPECT_EQ(row.token, want.token);
      EXPECT_EQ(BitsOf(definition::LogProbOf(row)), BitsOf(want.logprob));
    }
  }
}

TEST(ShardBoundary, AnUnlistedTokenMayWeighOneMoreThanTheLastListedOne) {
  // Of weights so small that a part in 2^22 of them is none.
  const std::vector<uint64_t> entries = {definition::Entry(definition::Key(2.0f), 5),
                                         definition::Entry(definition::Key(1.0f), 9)};
  for (const uint64_t last : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, (uint64_t{1} << 22) - 1}) {
    std::vector<uint64_t> weights = {uint64_t{1} << 40, last};
    const definition::ListedTokens<OneThread> listed(OneThread(), {entries.data(), weights.data(), 2}, 100);
    const uint64_t all = definition::KeepAll().last;
    EXPECT_FALSE(listed.HoldAll({all, last + 1})) << "one that weighs as much as min-p asks for may follow";
    EXPECT_TRUE(listed.HoldAll({all, last + 2}));
  }
}

}  // namespace
}  // namespace fire::test
