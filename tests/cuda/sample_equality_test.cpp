// Whatever the plan, the kernels give the reference's answers on random troublesome rows and records.
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

std::vector<Shape> AllShapes() {
  std::vector<Shape> shapes;
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16})
    for (const uint32_t vocabulary : {1, 2, 31, 32, 33, 1000, 4096}) shapes.push_back({type, vocabulary});
  return shapes;
}

std::vector<RowCase> RandomCases(Random& random, uint32_t vocabulary, int rows) {
  std::vector<RowCase> cases;
  for (int row = 0; row < rows; ++row) {
    RowCase one;
    one.logits = TroublesomeRow(random, vocabulary);
    one.record = TroublesomeRecord(random, vocabulary);
    one.step = random.Below(10) != 0 ? random.Below(4) : static_cast<int64_t>(random.Bits());
    one.name = "random row";
    cases.push_back(std::move(one));
  }
  return cases;
}

class SampleEquality : public testing::TestWithParam<Shape> {};

TEST_P(SampleEquality, EveryPlanGivesTheReferencesBitsOnRandomRows) {
  const Shape shape = GetParam();
  const int rows = Scaled(shape.vocabulary < 1000 ? 4 : 6);  // for each plan
  Random random(Seed() * 1000003 + shape.vocabulary * 4 + static_cast<uint64_t>(shape.type));
  for (const Plan& plan : PlansHere(kernels::Task::kSampleWithReference, shape.vocabulary, shape.type)) {
    const std::vector<RowCase> cases = RandomCases(random, shape.vocabulary, rows);
    const SampleCheck check(cases, shape.type, RandomLayout(random, shape.type, cases));
    const Wanted token_only = {true, false, false, true, true, true};
    ASSERT_TRUE(ExpectEqualsReference(check, &plan));
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, token_only));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SampleEquality, testing::ValuesIn(AllShapes()), NameOfShape);

}  // namespace
}  // namespace fire::test
