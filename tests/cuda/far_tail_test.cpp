// Tokens so far below the maximum that they weigh nothing, in rows that need their whole mass.
#include <gtest/gtest.h>

#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

// Two equal maxima behind a tail: a draw at the half of the mass, where the second's share begins, takes the second,
// unless the tail weighs anything.
TEST(FarTail, WeighsNothingHoweverFarItIs) {
  constexpr uint32_t kVocabulary = 1200;
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16}) {
    std::vector<RowCase> cases;
    // log2(e) / T just above a power of two, and half-way to the next.
    for (const float temperature : {1.4f, 1.0f})
      for (const float below : {31.2f, 34.0f, 64.0f, 1000.0f, 40000.0f, 0.5f}) {
        RowCase row;
        row.logits.assign(kVocabulary, -below * temperature);
        row.logits[kVocabulary - 2] = row.logits[kVocabulary - 1] = 0.0f;
        row.record = PlainRecord(kDrawOfTheHalf.seed);
        row.record.temperature = temperature;
        if (below < 1.0f) row.record.top_k = 2;  // instead of the distance
        row.record.stream = kDrawOfTheHalf.stream;
        row.step = kDrawOfTheHalf.step;
        row.name = "a tail " + std::to_string(below) + " below";
        cases.push_back(std::move(row));
      }
    const SampleCheck check(cases, type, {});
    for (const definition::ReferenceSample& sample : check.expected()) ASSERT_EQ(sample.token, kVocabulary - 1);
    for (const Plan& plan : PlansHere(kernels::Task::kSample, kVocabulary, type)) {
      if (plan.threads != 256) continue;
      ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
    }
  }
}

}  // namespace
}  // namespace fire::test
