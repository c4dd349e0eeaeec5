// Rows that no list of candidates settles, so that the team searches the row: for one token, for a group's, and for one
// with its support.
#include "tests/cuda/flat_rows.h"

#include <gtest/gtest.h>

#include "tests/cuda/group_check.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/support_check.h"

namespace fire::test {
namespace {

using kernels::Task;

constexpr size_t kOfAPlan = 5;  // of the rows, in turn

class FlatRows : public testing::TestWithParam<LogitsType> {
 protected:
  // Between them the types meet every row under every record.
  static size_t FirstTurn() { return Seed() + 42 * static_cast<size_t>(GetParam()); }
};

TEST_P(FlatRows, AreTheReferencesWhereTheTeamSearchesThem) {
  size_t turn = Seed();
  for (const Plan& plan : PlansHere(Task::kSampleWithReference, kFlatVocabulary, GetParam())) {
    Random random(turn);
    const SampleCheck check(FlatCases(random, &turn, std::size(kFlatRows)), GetParam(), {});
    const Wanted without_reference = {true, false, false, true, true, true};
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, turn % 2 == 0 ? Wanted{} : without_reference));
  }
}

// As many equals before the last as are in the first runs of warps, of every plan that gives a lane several runs' sums
// to look through: 640, 384 or 256 are in a run, or 768, 512 or 256 of two bytes.
TEST_P(FlatRows, MayBeCutBehindTheLastOfARun) {
  FilterRecords records = {Seed()};
  for (const int32_t k : {513, 641, 769}) records.Add("k that ends a run", k, 1, 0);
  Random random(Seed());
  std::vector<RowCase> cases;
  for (const NamedRecord& named : records.all) cases.push_back(CaseUnder(named, kFlatRows[0], random, kFlatVocabulary));
  const SampleCheck check(cases, GetParam(), {});
  for (const Plan& plan : PlansHere(Task::kSampleWithReference, kFlatVocabulary, GetParam()))
    if (plan.pilot_shift == 0) ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
}

// Half of them in a design: of the last, members take places.
TEST_P(FlatRows, MembersOfAGroupAreSingleDrawsWhereTheTeamSearchesThem) {
  size_t turn = FirstTurn();
  for (const Plan& plan : PlansHere(Task::kSampleGroup, kFlatVocabulary, GetParam())) {
    Random random(turn);
    std::vector<RowCase> cases = FlatCases(random, &turn, kOfAPlan);
    for (RowCase& row : cases)
      if (random.Below(2) == 0) PutInAGroup(random, &row.record, row.step);
    Wanted wanted;
    if (turn % 3 == 0) wanted.ref_logprob = wanted.rank = false;
    ASSERT_NO_FATAL_FAILURE(
        ExpectMembersAreSingleDraws(cases, GetParam(), {}, random.Pick({1u, 2u, 5u, 9u}), plan, wanted));
  }
}

TEST_P(FlatRows, SupportsAreTheReferencesWhereTheTeamSearchesThem) {
  size_t turn = FirstTurn();
  for (const Plan& plan : PlansHere(Task::kSampleWithSupport, kFlatVocabulary, GetParam())) {
    Random random(turn);
    const std::vector<RowCase> cases = FlatCases(random, &turn, kOfAPlan);
    const size_t width = random.Pick({size_t{1}, size_t{49}, size_t{700}, size_t{2500}, size_t{kFlatVocabulary}});
    Wanted wanted;
    if (turn % 3 == 0) wanted.ref_logprob = wanted.rank = false;
    ASSERT_NO_FATAL_FAILURE(ExpectReferencesSupports(cases, GetParam(), {}, width, &plan, wanted));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FlatRows,
                         testing::Values(LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16),
                         [](const auto& info) { return std::string(NameOf(info.param)); });

}  // namespace
}  // namespace fire::test
