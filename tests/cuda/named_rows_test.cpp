// Rows by the trouble they are made for: each meets every plan, and over the plans every filter.
#include "tests/cuda/named_rows.h"

#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

class NamedRows : public testing::TestWithParam<Shape> {};

TEST_P(NamedRows, EveryPlanGivesTheReferencesBits) {
  const auto [type, vocabulary] = GetParam();
  size_t turn = Seed() * 7;
  for (const Plan& plan : PlansHere(kernels::Task::kSampleWithReference, vocabulary, type)) {
    Random random(++turn);
    const std::vector<RowCase> cases = NamedCases(turn, vocabulary, turn);
    const SampleCheck check(cases, type, RandomLayout(random, type, cases));
    const Wanted without_reference = {true, false, false, true, true, true};
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, turn % 2 == 0 ? Wanted{} : without_reference));
  }
}

// 700 is shorter than the list of candidates, 5000 longer.
INSTANTIATE_TEST_SUITE_P(Shapes, NamedRows,
                         testing::Values(Shape{LogitsType::kFloat32, 700}, Shape{LogitsType::kFloat32, 5000},
                                         Shape{LogitsType::kBFloat16, 700}, Shape{LogitsType::kBFloat16, 5000},
                                         Shape{LogitsType::kFloat16, 700}, Shape{LogitsType::kFloat16, 5000}),
                         NameOfShape);

}  // namespace
}  // namespace fire::test
