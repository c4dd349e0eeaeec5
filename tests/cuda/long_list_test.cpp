// Rows with more candidates than are compared each with each, and no more than a list holds: spread over the bins as a
// model's logits are, or crowded into a few, just as many as one may have or one more.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/storage.h"
#include "tests/cuda/group_check.h"
#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/support_check.h"

namespace fire::test {
namespace {

using kernels::Task;

constexpr uint32_t kVocabulary = 8192;

struct Candidates {
  const char* name;
  float (*logit)(Random& random, uint32_t place);  // of the place-th of the tokens that are not masked
};

constexpr Candidates kCandidates[] = {
    {"a model's", [](Random& random, uint32_t) { return Model(random, 1000); }},
    {"a thousand values", [](Random& random, uint32_t) { return 0.01f * static_cast<float>(random.Below(1000)); }},
    {"nine values", [](Random& random, uint32_t) { return static_cast<float>(random.Below(9)); }},
    {"a few, then 128 equals, then more",
     [](Random&, uint32_t place) {
       return place < 7 ? 9.0f + static_cast<float>(place) : place < 135 ? 5.0f : -0.01f * static_cast<float>(place);
     }},
    {"a few, then 129 equals, then more",
     [](Random&, uint32_t place) {
       return place < 7 ? 9.0f + static_cast<float>(place) : place < 136 ? 5.0f : -0.01f * static_cast<float>(place);
     }},
    {"all equal but the first", [](Random&, uint32_t place) { return place == 0 ? 2.0f : 0.0f; }},
    {"far apart", [](Random& random, uint32_t) { return static_cast<float>(1e30 * random.Bell()); }},
    {"the ends of the floats",
     [](Random& random, uint32_t place) {
       return place % 2 == 0 ? Model(random, 1000) : place % 4 == 1 ? -kMax : -1e4f;
     }},
};

Record RecordOf(Random& random, uint32_t candidates) {
  Record record = PlainRecord(random.Bits());
  const auto n = static_cast<int32_t>(candidates);
  record.temperature = random.Pick({0.3f, 1.0f, 30.0f, kInfinity});
  record.top_k = random.Pick({0, 0, 0, 100, 127, 135, 136, 200, n - 1, n, n + 1, 2048});
  record.top_p = random.Pick({0.0f, 0.5f, 0.9f, 0.99f, 1.0f, 1.0f, 1.0f});
  record.min_p = random.Pick({0.0f, 0.0f, 1e-9f, 1e-3f, 0.05f});
  record.flags = Flags(random.Below(3), random.Below(3));
  return record;
}

// Every other of the lists of each kind and length.
std::vector<RowCase> Cases(Random& random) {
  std::vector<RowCase> cases;
  for (const Candidates& kind : kCandidates) {
    for (const uint32_t count : {65u, 129u, 300u, 1111u, 2048u}) {
      if (random.Below(2) == 0) continue;
      std::vector<float> logits(kVocabulary, -kInfinity);
      const uint32_t apart = kVocabulary / count, first = random.Below(apart);
      const uint32_t turned = random.Below(count);  // where the first place lies
      for (uint32_t i = 0; i < count; ++i) logits[first + i * apart] = kind.logit(random, (i + turned) % count);
      RowCase one = {std::move(logits), RecordOf(random, count), 1,
                     std::to_string(count) + " candidates, " + kind.name};
      if (random.Below(4) == 0) PutInAGroup(random, &one.record, one.step);
      cases.push_back(std::move(one));
    }
  }
  return cases;
}

class LongLists : public testing::TestWithParam<LogitsType> {
 protected:
  std::vector<Plan> Plans(Task task) const {
    std::vector<Plan> plans = PlansHere(task, kVocabulary, GetParam());
    const auto is_left_out = [](const Plan& plan) { return plan.threads == 256 && plan.cluster != 16; };
    plans.erase(std::remove_if(plans.begin(), plans.end(), is_left_out), plans.end());  // a third of the time
    return plans;
  }
};

TEST_P(LongLists, AreTheReferencesWhereverAFilterEndsInThem) {
  size_t turn = Seed();
  for (const Plan& plan : Plans(Task::kSample)) {
    Random random(++turn);
    const SampleCheck check(Cases(random), GetParam(), {});
    const Wanted without_reference = {true, false, false, true, true, true};
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, turn % 2 == 0 ? Wanted{} : without_reference));
  }
}

// The kept set of such a list is sorted for a group, and for a support, only where it is found to be short.
TEST_P(LongLists, MembersOfAGroupAreSingleDrawsWhereverAFilterEndsInThem) {
  size_t turn = Seed() + 100;
  for (const Plan& plan : Plans(Task::kSampleGroup)) {
    Random random(++turn);
    ASSERT_NO_FATAL_FAILURE(
        ExpectMembersAreSingleDraws(Cases(random), GetParam(), {}, random.Pick({1u, 3u, 8u}), plan, {}));
  }
}

TEST_P(LongLists, SupportsAreTheReferencesWhereverAFilterEndsInThem) {
  size_t turn = Seed() + 200;
  for (const Plan& plan : Plans(Task::kSampleWithSupport)) {
    Random random(++turn);
    const size_t width = random.Pick({size_t{1}, size_t{128}, size_t{140}, size_t{600}, size_t{kVocabulary}});
    ASSERT_NO_FATAL_FAILURE(ExpectReferencesSupports(Cases(random), GetParam(), {}, width, &plan));
  }
}

// Half of the vectors hold a candidate, the others a NaN, and there is room for just as many: what the last of them
// holds counts.
TEST_P(LongLists, MayComeFromAsManyVectorsAsCanBeListed) {
  const uint32_t of_vector = GetParam() == LogitsType::kFloat32 ? 4 : 8;
  const uint32_t vectors = kernels::kVectorCapacity, vocabulary = of_vector * (vectors + 100);
  std::vector<float> logits(vocabulary, -9.0f);
  for (uint32_t i = 0; i < vectors; ++i) logits[of_vector * i + 1] = i % 2 == 0 ? kNan : 1.0f;
  Record record = PlainRecord(Seed());
  record.top_k = 2000;
  std::vector<RowCase> cases;
  for (int64_t step = 1; step <= 8; ++step)
    cases.push_back({logits, record, step, "4096 vectors, step " + std::to_string(step)});
  const SampleCheck check(cases, GetParam(), {});
  for (const Plan& plan : PlansHere(Task::kSample, vocabulary, GetParam()))
    if (plan.cluster == 1) {
      ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
    }
}

INSTANTIATE_TEST_SUITE_P(Types, LongLists, testing::Values(LogitsType::kFloat32, LogitsType::kBFloat16),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace fire::test
