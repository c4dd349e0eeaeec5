// A sharded row against the whole one: whatever the split and however few entries are told, the same bits.
#include "definition/shard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "definition/reference.h"
#include "shard_ranks.h"

namespace fire::test {
namespace {

using definition::ReferenceRow;
using definition::ReferenceSample;
using definition::ShardRow;

// A row, its split, a record and a step that look for trouble.
struct Trouble {
  explicit Trouble(Random& random)
      : vocabulary(1 + random.Below(random.Below(4) == 0 ? 3 : 400)),
        type(random.Pick(kLogitsTypes)),
        logits(TypedRow(TroublesomeRow(random, vocabulary), type).values()),
        sizes(TroublesomeSplit(random, vocabulary)),
        record(TroublesomeRecord(random, vocabulary)),
        step(random.Below(4)),
        count(1 + random.Below(random.Below(2) == 0 ? 4 : 80)) {}

  uint32_t vocabulary;
  LogitsType type;
  std::vector<float> logits;
  std::vector<uint32_t> sizes;
  Record record;
  int64_t step;
  uint32_t count;
};

TEST(Shard, ASampleIsThatOfTheWholeRowInEveryBit) {
  Random random(1801);
  int searched = 0, settled = 0, drawn = 0;
  for (int i = 0; i < 20000; ++i) {
    const Trouble trouble(random);
    const ReferenceSample want =
        ReferenceRow(trouble.logits.data(), trouble.vocabulary, trouble.record, trouble.step).Sample();
    ShardedRow sharded(trouble.logits, trouble.sizes);
    const ShardRow row =
        sharded.Solve(trouble.record, trouble.step, definition::kWantsDraw | definition::kWantsReference, trouble.count,
                      definition::KeyBitsOf(trouble.type));
    const std::string where =
        std::to_string(i) + ", " + std::to_string(trouble.count) + " entries, " + Describe(trouble.record);
    ASSERT_EQ(row.token, want.token) << where;
    ASSERT_EQ(BitsOf(definition::LogProbOf(row)), BitsOf(want.logprob)) << where;
    ASSERT_EQ(BitsOf(definition::RefLogProbOf(row)), BitsOf(want.ref_logprob)) << where;
    ASSERT_EQ(static_cast<int32_t>(row.rank), want.rank) << where;
    ASSERT_EQ(static_cast<int32_t>(row.kept), want.kept) << where;
    ASSERT_EQ(row.status, want.status) << where;
    searched += sharded.rounds() > 4;
    settled += sharded.rounds() <= 1;
    drawn += (want.status & kStatusDecided) == 0;
  }
  EXPECT_GT(searched, 1000);
  EXPECT_GT(settled, 1000);
  EXPECT_GT(drawn, 5000);
}

TEST(Shard, ALogProbabilityAndItsGradientAreThoseOfTheWholeRow) {
  Random random(1802);
  int finite = 0;
  for (int i = 0; i < 5000; ++i) {
    const Trouble trouble(random);
    const ReferenceRow whole(trouble.logits.data(), trouble.vocabulary, trouble.record, trouble.step);
    const int64_t token =
        random.Below(3) == 0 ? static_cast<int64_t>(random.Below(trouble.vocabulary + 4)) - 2 : whole.Sample().token;
    ShardedRow sharded(trouble.logits, trouble.sizes);
    const ShardRow row = sharded.Solve(trouble.record, trouble.step, definition::kWantsLogProb, trouble.count,
                                       definition::KeyBitsOf(trouble.type), token);
    ASSERT_EQ(BitsOf(definition::LogProbOf(row)), BitsOf(whole.LogProb(token))) << i << Describe(trouble.record);
    finite += whole.LogProb(token) > -kInfinity;
    std::vector<uint32_t> want, got;
    for (const float slope : whole.LogProbGradient(token, 0.75f)) want.push_back(BitsOf(slope));
    for (const definition::ReferenceShard& shard : sharded.shards())
      for (const float slope : shard.LogProbGradient(row, 0.75f)) got.push_back(BitsOf(slope));
    ASSERT_EQ(got, want) << i << Describe(trouble.record);
  }
  EXPECT_GT(finite, 1000);
}

TEST(Shard, RankAndReferenceWantedBesideALogProbabilityAreThoseOfTheTokenAskedFor) {
  Random random(1807);
  int decided = 0, drawn = 0;
  for (int i = 0; i < 5000; ++i) {
    const Trouble trouble(random);
    const ReferenceRow whole(trouble.logits.data(), trouble.vocabulary, trouble.record, trouble.step);
    const uint32_t token = random.Below(trouble.vocabulary);
    const float logit = definition::Sanitised(trouble.logits[token]);
    ShardedRow sharded(trouble.logits, trouble.sizes);
    const ShardRow row =
        sharded.Solve(trouble.record, trouble.step, definition::kWantsLogProb | definition::kWantsReference,
                      trouble.count, definition::KeyBitsOf(trouble.type), token);
    uint64_t rank = 0, mass = 0;
    for (const float other : trouble.logits) {
      rank += definition::Key(definition::Sanitised(other)) >= definition::Key(logit);
      if (HasFiniteMaximum(row)) mass += definition::Weight(other, ReferenceScaleOf(row));
    }
    ASSERT_EQ(BitsOf(definition::LogProbOf(row)), BitsOf(whole.LogProb(token))) << i << Describe(trouble.record);
    ASSERT_EQ(row.rank, rank) << i << Describe(trouble.record);
    if (!HasFiniteMaximum(row)) continue;
    const float want = definition::LogSoftmax(logit, row.maximum, definition::ReferenceTemperature(trouble.record),
                                              definition::WeightOfMaximum(trouble.vocabulary), mass);
    ASSERT_EQ(BitsOf(definition::RefLogProbOf(row)), BitsOf(want)) << i << Describe(trouble.record);
    (IsDecided(row) ? decided : drawn) += 1;
  }
  EXPECT_GT(decided, 300);
  EXPECT_GT(drawn, 1000);
}

TEST(Shard, ProcessedAndHeatedLogitsAreThoseOfTheWholeRow) {
  Random random(1803);
  int heated = 0;
  for (int i = 0; i < 10000; ++i) {
    const Trouble trouble(random);
    const ReferenceRow whole(trouble.logits.data(), trouble.vocabulary, trouble.record, trouble.step);
    ShardedRow sharded(trouble.logits, trouble.sizes);
    const uint32_t key_bits = definition::KeyBitsOf(trouble.type);
    const ShardRow row = sharded.Solve(trouble.record, trouble.step, 0, trouble.count, key_bits);
    const ShardRow hot = sharded.Solve(trouble.record, trouble.step, definition::kWantsHeat, trouble.count, key_bits);
    const std::vector<float> processed = whole.ProcessedLogits(), left = whole.HeatedLogits(trouble.logits.data());
    size_t at = 0;
    for (const definition::ReferenceShard& shard : sharded.shards()) {
      const std::vector<float> own_processed = shard.ProcessedLogits(row), own_left = shard.HeatedLogits(hot);
      for (size_t j = 0; j < own_left.size(); ++j, ++at) {
        ASSERT_EQ(BitsOf(own_processed[j]), BitsOf(processed[at])) << i << Describe(trouble.record);
        ASSERT_EQ(BitsOf(own_left[j]), BitsOf(left[at])) << i << Describe(trouble.record);
      }
    }
    heated += IsHandedOver(hot);
  }
  EXPECT_GT(heated, 100);
}

TEST(Shard, AFilteredRowWhoseEntriesHoldItsCandidatesAsksNothing) {
  Random random(1804);
  Record record = PlainRecord(7);
  record.top_k = 50;
  record.top_p = 0.9f;
  for (int i = 0; i < 100; ++i) {
    std::vector<float> logits(1000);
    for (float& x : logits) x = static_cast<float>(random.Bell());
    ShardedRow sharded(logits, {250, 250, 250, 250});
    sharded.Solve(record, 0, definition::kWantsDraw, 50);
    ASSERT_EQ(sharded.rounds(), 0);
    sharded.Solve(record, 0, definition::kWantsDraw | definition::kWantsReference, 51);
    ASSERT_EQ(sharded.rounds(), 1) << "the row's mass at the reference temperature, and perhaps the rank";
  }
}

TEST(Shard, ARowThatItsListHoldsWholeOrThatNothingHeatsAsksNothing) {
  Random random(1806);
  std::vector<float> logits(1000, -kInfinity), full(1000, 1.0f);
  for (int i = 0; i < 7; ++i) logits[random.Below(1000)] = static_cast<float>(random.Bell());
  Record record = PlainRecord(13);
  record.top_p = 0.9f;
  record.hot_steps = 0;
  ShardedRow masked(logits, {400, 600}), unlisted(full, {400, 600});
  masked.Solve(record, 0, definition::kWantsDraw | definition::kWantsReference, 8);
  EXPECT_EQ(masked.rounds(), 0);
  unlisted.Solve(record, 0, definition::kWantsHeat, 8);
  EXPECT_EQ(unlisted.rounds(), 0) << "a step that is not hot leaves its logits";
  masked.Solve(record, 0, definition::kWantsLogProb, 8, 32, 1000);
  EXPECT_EQ(masked.rounds(), 0) << "a token that the list of all does not hold is none";
  Record joint = record;
  joint.top_k = 4;
  joint.flags = static_cast<uint32_t>(Order::kJoint) << kOrderShift;
  unlisted.Solve(joint, 0, definition::kWantsDraw, 8);
  EXPECT_EQ(unlisted.rounds(), 1) << "the mass of the row: its nucleus ends behind top-k";
  record.hot_steps = 1;
  record.hot_top_k = record.top_k;
  record.hot_top_p = record.top_p;
  const ShardRow handed_over = unlisted.Solve(record, 0, definition::kWantsHeat, 8);
  EXPECT_TRUE(IsHandedOver(handed_over));
  EXPECT_EQ(unlisted.rounds(), 0) << "the engine weighs";
}

TEST(Shard, TheMassOfAnUnfilteredRowIsThatOfItsReferenceWhereTheTemperaturesAreEqual) {
  Random random(1805);
  std::vector<float> logits(1000);
  for (float& x : logits) x = static_cast<float>(random.Bell());
  ShardedRow sharded(logits, {400, 600});
  const auto asked = [&](const Record& record) {
    uint32_t questions = 0;
    sharded.Solve(record, 0, definition::kWantsDraw | definition::kWantsReference, 4, 32, 0,
                  [&](uint32_t rank, const ShardRow& row) {
                    questions |= row.questions;
                    return sharded.shards()[rank].Answer(row, rank);
                  });
    return questions & definition::kAskReference;
  };
  Record record = PlainRecord(11);
  EXPECT_EQ(asked(record), 0u);
  record.top_p = 0.9f;
  EXPECT_EQ(asked(record), 0u) << "which top-p counts";
  record.min_p = 0.1f;
  record.flags = static_cast<uint32_t>(Order::kVllm) << kOrderShift;
  EXPECT_NE(asked(record), 0u) << "of what min-p leaves";
  record = PlainRecord(11);
  record.flags = kRefTemperatureGiven;
  record.ref_temperature = 0.5f;
  EXPECT_NE(asked(record), 0u);
}

TEST(Shard, ARowThatIsToldBeforeItIsSettledSaysSo) {
  const std::vector<float> logits = {0.5f, 2.0f, 1.0f, 2.0f};
  ShardedRow sharded(logits, {2, 2});
  const Record record = PlainRecord(3);
  const ShardRow settled = sharded.Solve(record, 0, definition::kWantsDraw | definition::kWantsReference, 1);
  ASSERT_GT(sharded.rounds(), 1);
  EXPECT_EQ(SampleOf(settled, true).status, 0);
  ShardRow row = settled;
  row.token = 1;
  row.questions = definition::kAskToken;
  const RowSample told = SampleOf(row, true);
  EXPECT_EQ(told.status, kStatusUnsettled);
  EXPECT_EQ(told.token, 1);
  EXPECT_TRUE(std::isnan(told.logprob) && std::isnan(told.ref_logprob));
  EXPECT_EQ(told.rank, -1);
}

TEST(Shard, ASearchTakesNoMoreRoundsThanItsTypeHasDigits) {
  Record record = PlainRecord(9);
  record.top_p = 0.7f;
  const auto rounds = [&](const std::vector<float>& logits, uint32_t key_bits) {
    ShardedRow sharded(logits, {400, 600});
    sharded.Solve(record, 0, definition::kWantsDraw, 1, key_bits);
    return sharded.rounds();
  };
  const std::vector<float> equal(1000, 0.5f);
  EXPECT_EQ(rounds(equal, 32), 1 + 7 + 1 + 1) << "its mass, seven digits, the kept mass, the token";
  EXPECT_EQ(rounds(equal, 19), 1 + 6 + 1 + 1);
  EXPECT_EQ(rounds(equal, 16), 1 + 5 + 1 + 1);
}

}  // namespace
}  // namespace fire::test
