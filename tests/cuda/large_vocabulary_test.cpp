// Rows as long as those of today's models, and of the longest vocabulary there may be.
#include <gtest/gtest.h>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

using kernels::Task;

// A few named rows under named records, others with each plan, and random ones.
std::vector<RowCase> Cases(const Shape& shape, uint64_t turn) {
  constexpr size_t kNamed = 2;
  const size_t rows = std::size(kNamedRows);
  Random random(Seed() * 1000003 + turn);
  const std::vector<NamedRecord> records = NamedRecords(random, shape.vocabulary);
  std::vector<RowCase> cases;
  for (size_t i = 0; i < kNamed; ++i) {
    const NamedRow& row = kNamedRows[(turn * kNamed + i + shape.vocabulary) % rows];
    const NamedRecord& named = records[random.Below(static_cast<uint32_t>(records.size()))];
    cases.push_back(CaseUnder(named, row, random, shape.vocabulary));
  }
  for (int i = 0; i < Scaled(1); ++i)
    cases.push_back({TroublesomeRow(random, shape.vocabulary), TroublesomeRecord(random, shape.vocabulary),
                     static_cast<int64_t>(random.Below(3)), "random row"});
  return cases;
}

class LargeVocabulary : public testing::TestWithParam<Shape> {};

TEST_P(LargeVocabulary, PlansGiveTheReferencesBits) {
  const Shape shape = GetParam();
  const std::vector<Plan> plans = PlansHere(Task::kSampleWithReference, shape.vocabulary, shape.type);
  const size_t every = shape.vocabulary < 100000 ? 4 : 11;  // another choice with each seed
  for (size_t i = Seed() % every; i < plans.size(); i += every) {
    Random random(i);
    const std::vector<RowCase> cases = Cases(shape, i);
    const SampleCheck check(cases, shape.type, RandomLayout(random, shape.type, cases));
    ASSERT_TRUE(ExpectEqualsReference(check, &plans[i], {true, i % 2 == 0, i % 2 == 0, true, true, true}));
  }
}

// The table's own choices for this length: few rows, and as many as make it stream.
TEST_P(LargeVocabulary, ThePlanTablesChoiceForFewRowsAndForManyGivesTheReferencesBits) {
  const Shape shape = GetParam();
  for (const Task task : {Task::kSample, Task::kSampleWithReference})
    for (const int64_t rows : {1, 20, 100000}) {
      const Plan plan = PlanFor(task, rows, shape.vocabulary, shape.type, kernels::CurrentDevice());
      const SampleCheck check(Cases(shape, 1000 + static_cast<uint64_t>(rows)), shape.type, {});
      const bool reference = task == Task::kSampleWithReference;
      ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, reference, reference, true, true, true}));
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LargeVocabulary,
                         testing::Values(Shape{LogitsType::kFloat32, 32000}, Shape{LogitsType::kBFloat16, 32000},
                                         Shape{LogitsType::kFloat16, 32000}, Shape{LogitsType::kFloat32, 128256},
                                         Shape{LogitsType::kBFloat16, 128256}, Shape{LogitsType::kBFloat16, 151936},
                                         Shape{LogitsType::kFloat16, 151936}),
                         NameOfShape);

// 21 bits of vocabulary leave weights 41 bits, for which the fast weights are not made.
TEST(LargestVocabulary, GivesTheReferencesBits) {
  const Shape shape = {LogitsType::kBFloat16, static_cast<uint32_t>(kMaxVocabulary)};
  Random random(Seed());
  RowCase row = {LogitsOf(kNamedRows[0], random, shape.vocabulary), PlainRecord(Seed()), 0, "a model's row"};
  row.record.top_p = 0.9f;
  ASSERT_TRUE(ExpectEqualsReference(SampleCheck({row}, shape.type, {}), nullptr));
}

}  // namespace
}  // namespace fire::test
