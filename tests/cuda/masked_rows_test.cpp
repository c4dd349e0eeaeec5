// Rows of which a mask leaves few tokens, as a grammar's does: fewer than top-k asks for, fewer than a list holds, or
// just more; spread over the row, or beside each other in one block's part of it.
#include <gtest/gtest.h>

#include <set>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 16384;

// A model's logits of `finite` tokens, and −inf.
std::vector<float> Masked(Random& random, uint32_t finite, bool are_neighbours) {
  std::vector<float> logits(kVocabulary, -kInfinity);
  std::set<uint32_t> ids;
  const uint32_t first = random.Below(kVocabulary - finite + 1);
  for (uint32_t i = 0; i < finite; ++i) ids.insert(are_neighbours ? first + i : random.Below(kVocabulary));
  for (const uint32_t id : ids) logits[id] = Model(random, kVocabulary);
  return logits;
}

std::vector<NamedRecord> Records() {
  FilterRecords records = {Seed()};
  records.Add("no filter", 0, 1, 0);
  records.Add("k 50 and top-p", 50, 0.9f, 0);
  records.Add("k 50 and top-p, joint", 50, 0.9f, 0).flags = Flags(static_cast<uint32_t>(Order::kJoint), 0);
  records.Add("k 50 and min-p, vLLM's order", 50, 1, 1e-3f).flags = Flags(static_cast<uint32_t>(Order::kVllm), 0);
  records.Add("k 1000 and its equals", 1000, 1, 0).flags = Flags(0, static_cast<uint32_t>(Ties::kKeep));
  records.Add("k 5000 and top-p", 5000, 0.95f, 0);
  records.Add("top-p", 0, 0.9f, 0);
  records.Add("min-p", 0, 1, 1e-12f);
  records.Add("greedy", 50, 1, 0).temperature = 0;
  return records.all;
}

class MaskedRows : public testing::TestWithParam<LogitsType> {};

TEST_P(MaskedRows, AreTheReferencesWhateverTheMaskLeaves) {
  const std::vector<NamedRecord> records = Records();
  size_t turn = Seed();
  for (const Plan& plan : PlansHere(kernels::Task::kSample, kVocabulary, GetParam())) {
    if (plan.threads == 256) continue;
    Random random(++turn);
    std::vector<RowCase> cases;
    for (const uint32_t finite : {0u, 1u, 20u, 49u, 50u, 51u, 140u, 700u, 1500u, 2048u, 2049u, 6000u})
      for (const bool are_neighbours : {false, true})
        cases.push_back(CaseUnder(records[turn++ % records.size()], Masked(random, finite, are_neighbours),
                                  std::to_string(finite) + (are_neighbours ? " neighbours" : " tokens")));
    const SampleCheck check(cases, GetParam(), {});
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MaskedRows, testing::Values(LogitsType::kFloat32, LogitsType::kBFloat16),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace fire::test
