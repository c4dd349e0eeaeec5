// The sets that tokens were drawn from: every plan against the reference, in any width.
#include <algorithm>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/support_check.h"

namespace fire::test {
namespace {

using kernels::Task;

class Supports : public testing::TestWithParam<Shape> {};

TEST_P(Supports, EveryPlanGivesTheReferencesSetsInAnyWidth) {
  const auto [type, vocabulary] = GetParam();
  size_t turn = Seed() * 100 + vocabulary;
  for (const Plan& plan : PlansHere(Task::kSampleWithSupport, vocabulary, type)) {
    Random random(++turn);
    const size_t widths[] = {1, 2, 3, 16, 49, 50, 51, 130, 700, vocabulary, vocabulary + 5};
    const size_t width = turn % 2 == 0 ? random.Pick(widths) : vocabulary + random.Below(3);
    std::vector<RowCase> cases = NamedCases(turn, vocabulary, turn);
    std::rotate(cases.begin(), cases.begin() + static_cast<std::ptrdiff_t>(turn * 12 % cases.size()), cases.end());
    cases.resize(std::min(cases.size(), static_cast<size_t>(Scaled(12))));
    for (int i = 0; i < Scaled(4); ++i)
      cases.push_back(
          {TroublesomeRow(random, vocabulary), TroublesomeRecord(random, vocabulary), random.Below(3), "random row"});
    Wanted wanted;
    if (turn % 3 == 0) wanted.ref_logprob = wanted.rank = false;
    if (turn % 4 == 0) wanted.kept = wanted.status = false;
    if (turn % 5 == 0) wanted.reference = false;
    ASSERT_NO_FATAL_FAILURE(
        ExpectReferencesSupports(cases, type, RandomLayout(random, type, cases), width, &plan, wanted, turn % 7 != 0));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Supports,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 33},
                                         Shape{LogitsType::kFloat32, 700}, Shape{LogitsType::kFloat32, 5000},
                                         Shape{LogitsType::kBFloat16, 700}, Shape{LogitsType::kBFloat16, 5000},
                                         Shape{LogitsType::kFloat16, 5000}),
                         NameOfShape);

// A row of which `k` tokens are kept: few of them equal, in random places.
RowCase RowOf(Random& random, uint32_t vocabulary, int32_t k, float p = 1) {
  RowCase row;
  for (uint32_t id = 0; id < vocabulary; ++id) row.logits.push_back(Model(random, vocabulary));
  row.record.temperature = 4.0f, row.record.top_k = k, row.record.top_p = p;
  row.record.seed_low = static_cast<uint32_t>(random.Bits());
  row.step = 1;
  row.name = "k " + std::to_string(k) + ", p " + std::to_string(p);
  return row;
}

// Lists of every length, by comparing each with each and by sorting, and rows that are not listed.
TEST(CudaSupport, SetsAroundEveryWidthAreCutWhereTheReferenceCutsThem) {
  constexpr uint32_t kVocabulary = 4000;
  for (const Plan& plan : PlansHere(Task::kSampleWithSupport, kVocabulary, LogitsType::kFloat32)) {
    if (plan.threads != 256) continue;
    for (const size_t width : {1, 2, 20, 127, 128, 129, 600, 2500}) {
      Random random(Seed() + width);
      std::vector<RowCase> cases;
      const auto k = static_cast<int32_t>(width);
      for (const int32_t kept : {k - 1, k, k + 1, 2 * k})
        if (kept > 0) cases.push_back(RowOf(random, kVocabulary, kept));
      cases.push_back(RowOf(random, kVocabulary, 0, 0.5f));
      cases.push_back(RowOf(random, kVocabulary, 0));
      ASSERT_NO_FATAL_FAILURE(ExpectReferencesSupports(cases, LogitsType::kFloat32, {}, width, &plan));
    }
  }
}

// Of many draws from a flat set some are beyond the cut, and some are its last token.
TEST(CudaSupport, ADrawnTokenBeyondTheCutTakesTheLastPlace) {
  constexpr uint32_t kVocabulary = 2200;
  for (const Plan& plan : PlansHere(Task::kSampleWithSupport, kVocabulary, LogitsType::kFloat32)) {
    if (plan.threads != 128) continue;
    for (const int32_t k : {12, 0}) {
      for (const size_t width : {1, 2, 6}) {
        Random random(Seed() + width);
        std::vector<RowCase> cases;
        for (int i = 0; i < 16; ++i) {
          cases.push_back(RowOf(random, kVocabulary, k));
          // Where nothing is filtered, four tokens share the mass: the first places and what is behind them.
          for (uint32_t id = 0; id < kVocabulary; ++id) {
            const float logit = id % 500 == 77 ? 40.0f + 0.25f * random.Below(3) : -500.0f + 0.25f * random.Below(40);
            cases.back().logits[id] = k != 0 ? 0.25f * random.Below(40) : logit;
          }
        }
        ASSERT_NO_FATAL_FAILURE(ExpectReferencesSupports(cases, LogitsType::kFloat32, {}, width, &plan));
      }
    }
  }
}

TEST(CudaSupport, TheChosenPlanServesBatchesOfAnySize) {
  for (const size_t rows : {1, 3, 150, 300}) {
    Random random(Seed() + rows);
    std::vector<RowCase> cases;
    for (size_t row = 0; row < rows; ++row) cases.push_back(RowOf(random, 300, static_cast<int32_t>(row % 40)));
    ASSERT_NO_FATAL_FAILURE(ExpectReferencesSupports(cases, LogitsType::kFloat16, {}, 24, nullptr));
  }
}

}  // namespace
}  // namespace fire::test
