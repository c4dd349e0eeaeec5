// Rows that one block reads once, with a pivot from the last eighth of each warp's run: where the large logits lie
// decides whether that pivot serves for the whole row, or the row has to be read again.
#include <gtest/gtest.h>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 32768;

float Tail(Random& random) { return static_cast<float>(random.Bell()); }

// The row's end is part of what the pivot comes from, its start is not, however many warps there are.
constexpr NamedRow kRows[] = {
    {"fewer reach the pivot than top-k keeps",
     [](Random& random, uint32_t id, uint32_t v) {
       return Tail(random) + (id >= v - 60 ? 20.0f + 0.125f * static_cast<float>(v - id) : 0.0f);
     }},
    {"the largest logit comes after the pivot",
     [](Random& random, uint32_t id, uint32_t) { return id == 3 ? 40.0f : Tail(random); }},
    {"all that top-k keeps comes after the pivot",
     [](Random& random, uint32_t id, uint32_t) { return Tail(random) + (id < 60 ? 20.0f : 0.0f); }},
    {"more reach the pivot than a list holds",
     [](Random& random, uint32_t id, uint32_t v) { return id < v / 4 ? 9.0f + Tail(random) : Tail(random); }},
    {"more equals reach the pivot than a list holds",
     [](Random& random, uint32_t id, uint32_t v) { return id < v / 4 ? 9.0f : Tail(random); }},
    {"a NaN beside the largest logit, after the pivot",
     [](Random& random, uint32_t id, uint32_t) { return id == 4   ? kNan
                                                        : id == 5 ? 40.0f
                                                                  : Tail(random); }},
    {"a NaN where the pivot comes from",
     [](Random& random, uint32_t id, uint32_t v) { return id == v - 9 ? kNan : Tail(random); }},
    {"+inf after the pivot", [](Random& random, uint32_t id, uint32_t) { return id == 6 ? kInfinity : Tail(random); }},
    {"nothing finite where the pivot comes from, few tokens elsewhere",
     [](Random& random, uint32_t id, uint32_t) { return id < 20 ? Tail(random) : -kInfinity; }},
    {"fewer finite logits than top-k keeps",
     [](Random& random, uint32_t id, uint32_t v) { return id % (v / 16) == 7 ? Tail(random) : -kInfinity; }},
};

std::vector<NamedRecord> Records() {
  FilterRecords records = {Seed()};
  records.Add("k 50", 50, 1, 0);
  records.Add("k 50 and top-p", 50, 0.9f, 0);
  records.Add("k 200", 200, 1, 0);
  records.Add("k 50 and min-p", 50, 1, 1e-4f);
  records.Add("min-p", 0, 1, 0.1f);
  records.Add("top-p", 0, 0.9f, 0);
  records.Add("greedy", 50, 1, 0).temperature = 0;
  // Top-p of the whole row, whose mass must leave out what is no number.
  records.Add("k 50 and top-p, joint", 50, 0.9f, 0).flags = Flags(static_cast<uint32_t>(Order::kJoint), 0);
  return records.all;
}

class StreamedRows : public testing::TestWithParam<LogitsType> {};

TEST_P(StreamedRows, AreTheReferencesWhereverTheLargeLogitsLie) {
  const std::vector<NamedRecord> records = Records();
  Random random(Seed());
  std::vector<RowCase> cases;
  for (const NamedRow& row : kRows)
    for (const NamedRecord& named : records) cases.push_back(CaseUnder(named, row, random, kVocabulary));
  const SampleCheck check(cases, GetParam(), {});
  for (const Plan& plan : PlansHere(kernels::Task::kSample, kVocabulary, GetParam()))
    if (plan.pilot_shift != 0 && plan.threads != 256) {
      ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
      ASSERT_TRUE(ExpectEqualsReference(check, &plan));
    }
}

// Three times as many vectors hold a candidate as are listed: what follows the list in shared memory is left alone.
TEST_P(StreamedRows, MayHoldMoreCandidatesThanAllThatIsKeptInSharedMemory) {
  const uint32_t vocabulary = GetParam() == LogitsType::kFloat32 ? 50000 : 100000;
  Record record = PlainRecord(Seed());
  record.top_k = 50, record.top_p = 0.9f;
  const std::vector<RowCase> cases = {{std::vector<float>(vocabulary, 1.5f), record, 3, "a row of equals"}};
  const SampleCheck check(cases, GetParam(), {});
  for (const Plan& plan : PlansHere(kernels::Task::kSample, vocabulary, GetParam()))
    if (plan.pilot_shift != 0 && plan.threads != 256) {
      ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
    }
}

INSTANTIATE_TEST_SUITE_P(Types, StreamedRows, testing::Values(LogitsType::kFloat32, LogitsType::kBFloat16),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace fire::test
