// No record and no logits can make the definition fault, hang or leave the vocabulary. Built with the undefined
// behaviour sanitizer, which turns a shift, a cast or an overflow that merely happens to work into a failure.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "definition/reference.h"
#include "test_support.h"

namespace fire::definition {
namespace {

using test::FloatOf;

void ExpectSane(const std::vector<float>& logits, const Record& record, int64_t step) {
  const uint32_t size = static_cast<uint32_t>(logits.size());
  const ReferenceRow row(logits.data(), size, record, step);
  const ReferenceSample sample = row.Sample();
  ASSERT_GE(sample.token, 0);
  ASSERT_LT(sample.token, size);
  ASSERT_GE(sample.rank, 1);
  ASSERT_LE(sample.rank, static_cast<int32_t>(size));
  ASSERT_GE(sample.kept, 1);
  ASSERT_LE(sample.kept, static_cast<int32_t>(size));
  ASSERT_LE(sample.logprob, 0.0f);
  ASSERT_TRUE(std::isfinite(sample.logprob));
  ASSERT_LE(sample.ref_logprob, 1e-6f);
  ASSERT_TRUE(std::isfinite(sample.ref_logprob));
  const bool decided = sample.mass == 0 || IsEnumerated(record, step);
  ASSERT_EQ((sample.status & kStatusDecided) != 0, decided);

  const std::vector<float> processed = row.ProcessedLogits();
  int32_t finite = 0;
  for (float value : processed) {
    ASSERT_FALSE(std::isnan(value));
    finite += std::isfinite(value);
  }
  ASSERT_EQ(finite, decided ? 1 : sample.kept);
  ASSERT_TRUE(std::isfinite(processed[static_cast<size_t>(sample.token)]));

  const std::vector<float> heated = row.HeatedLogits(logits.data());
  for (size_t id = 0; id < logits.size() && (sample.status & kStatusHot) != 0; ++id) {
    ASSERT_FALSE(std::isnan(heated[id]));
    ASSERT_FALSE(std::isfinite(heated[id]) && Key(logits[id]) == kMaskedKey);
  }
  for (int64_t id : {sample.token, int64_t{-1}, int64_t{size}, std::numeric_limits<int64_t>::min()}) {
    ASSERT_FALSE(std::isnan(row.LogProb(id)));
    for (float slope : row.LogProbGradient(id, 1.0f)) ASSERT_TRUE(std::isfinite(slope));
  }
  ASSERT_TRUE(std::isfinite(row.LogProb(sample.token)));
}

int64_t JunkStep(test::Random& random) { return static_cast<int64_t>(random.Bits()) >> random.Below(64); }

TEST(ReferenceJunk, AnyRecordAndAnyLogitsGiveATokenOfTheVocabulary) {
  test::Random random(1);
  for (int i = 0; i < 100000; ++i) {
    std::vector<float> logits(1 + random.Below(12));
    for (float& logit : logits) logit = FloatOf(static_cast<uint32_t>(random.Bits()));
    ExpectSane(logits, test::JunkRecord(random), JunkStep(random));
    if (HasFatalFailure()) FAIL() << "case " << i;
  }
}

// Junk words are mostly extreme numbers; here each field is one of its own edges, and the logits are plausible.
TEST(ReferenceJunk, RecordsOfEdgeValuesGiveATokenOfTheVocabulary) {
  constexpr uint32_t kEdges[] = {0,          1,          2,          0x80000000, 0x80000001, 0xFFFFFFFF, 0x7FFFFFFF,
                                 0x7F800000, 0xFF800000, 0x7FC00000, 0x3F800000, 0x3F7FFFFF, 0x1F7FFFFF, 0x1F800000,
                                 0x7B800000, 0x7B800001, 0x7F7FFFFF, 0x00800000, 0x007FFFFF, 0x41F00000, 16};
  test::Random random(2);
  for (int i = 0; i < 200000; ++i) {
    uint32_t words[kRecordWords];
    for (uint32_t& word : words) word = random.Pick(kEdges);
    Record record;
    std::memcpy(&record, words, sizeof record);
    std::vector<float> logits(1 + random.Below(12));
    for (float& logit : logits)
      logit = random.Below(4) ? static_cast<float>(5 * random.Bell()) : FloatOf(random.Pick(kEdges));
    ExpectSane(logits, record, random.Below(2) ? JunkStep(random) : static_cast<int64_t>(random.Below(3)));
    if (HasFatalFailure()) FAIL() << "case " << i << ": " << test::Describe(record);
  }
}

}  // namespace
}  // namespace fire::definition
