// Which outputs a call asks for changes none of them, and nothing else is written.
#include <gtest/gtest.h>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 1500;

std::vector<Plan> APlanOfEachCluster(const Wanted& wanted) {
  std::vector<Plan> plans;
  for (const Plan& plan : PlansHere(TaskOf(wanted), kVocabulary, LogitsType::kBFloat16))
    if (plan.threads == 256 && (plans.empty() || plans.back().cluster < plan.cluster) &&
        plan.resident == (plan.cluster % 4 != 0))
      plans.push_back(plan);
  return plans;
}

// No filter, a list, a nucleus, a decided row, a place of an unfiltered one; a log-probability over the whole row costs
// each another way.
std::vector<RowCase> OneOfEachWay() {
  Random random(Seed());
  std::vector<RowCase> cases;
  for (const NamedRecord& named : NamedRecords(random, kVocabulary)) {
    if (named.name != "no filter" && named.name != "k 50 and top-p" && named.name != "top-p 0.900000" &&
        named.name != "greedy" && named.name != "k 1000 and top-p" && named.name != "infinite temperature")
      continue;
    RowCase row;
    for (uint32_t id = 0; id < kVocabulary; ++id) row.logits.push_back(Model(random, kVocabulary));
    if (named.name == "infinite temperature")  // where only masked tokens weigh less than the maximum
      for (uint32_t id = 0; id < kVocabulary; id += 5) row.logits[id] = -kInfinity;
    row.record = named.record, row.step = named.step, row.name = named.name;
    cases.push_back(std::move(row));
  }
  RowCase place = cases.front();
  Record& record = place.record;
  record.hot_begin = static_cast<int32_t>(place.step), record.hot_steps = 1, record.hot_temperature = 1.5f;
  record.hot_top_k = 0, record.hot_top_p = 1, record.hot_min_p = 0;
  record.flags |= 4u << kDesignShift, record.group = GroupWord(64, 37);
  place.name = "a place, no filter";
  cases.push_back(std::move(place));
  return cases;
}

TEST(CudaOutputs, EveryCombinationIsRightAndNothingAroundItIsWritten) {
  const std::vector<RowCase> cases = OneOfEachWay();
  const SampleCheck check(cases, LogitsType::kBFloat16, {});
  ASSERT_EQ(cases.size(), 7u);
  for (uint32_t set = 0; set < 64; ++set) {
    const Wanted wanted = {(set & 1) != 0, (set & 2) != 0,  (set & 4) != 0,
                           (set & 8) != 0, (set & 16) != 0, (set & 32) != 0};
    const std::vector<Plan> plans = APlanOfEachCluster(wanted);
    const Plan& plan = plans[set % plans.size()];
    DeviceOutputs out(cases.size(), wanted, /*guard=*/7);
    kernels::SampleWithPlan(check.batch().batch(), out.outputs(), plan, nullptr);
    row_runs += static_cast<int64_t>(cases.size());
    const auto mismatch = check.Compare(out, wanted);
    EXPECT_FALSE(mismatch) << "outputs " << set << ", " << Describe(plan) << ", " << Describe(cases[mismatch->row])
                           << ": " << mismatch->what;
    EXPECT_TRUE(out.GuardsAreWhole()) << "outputs " << set << ", " << Describe(plan);
  }
}

// The checks of this folder, with mistakes planted for them.
TEST(CudaOutputs, AWrongTokenAndAWriteAroundTheOutputsWouldBeSeen) {
  std::vector<RowCase> cases = OneOfEachWay();
  const SampleCheck check(cases, LogitsType::kBFloat16, {});
  for (RowCase& row : cases) row.record.seed_low ^= 1;
  const DeviceBatch others(cases, LogitsType::kBFloat16, {});
  DeviceOutputs of_others(cases.size(), {}), too_short(cases.size() - 1, {}, /*guard=*/1);
  SampleCuda(others.batch(), of_others.outputs(), nullptr);
  EXPECT_TRUE(check.Compare(of_others, {}));
  SampleCuda(others.batch(), too_short.outputs(), nullptr);
  too_short.Token();
  EXPECT_FALSE(too_short.GuardsAreWhole());
}

TEST(CudaOutputs, WithoutTheReferenceItsOutputsSayThatTheyAreNone) {
  const SampleCheck check(OneOfEachWay(), LogitsType::kFloat32, {});
  Wanted wanted;
  wanted.reference = false;
  DeviceOutputs out(check.batch().size(), wanted);
  SampleCuda(check.batch().batch(), out.outputs(), nullptr);
  for (const float x : out.RefLogProb()) EXPECT_TRUE(std::isnan(x));
  for (const int32_t rank : out.Rank()) EXPECT_EQ(rank, -1);
}

TEST(CudaOutputs, LogitsStepsAndRecordsAreOnlyRead) {
  const std::vector<RowCase> cases = OneOfEachWay();
  const DeviceBatch rows(cases, LogitsType::kFloat32, {});
  DeviceOutputs out(cases.size(), {});
  SampleCuda(rows.batch(), out.outputs(), nullptr);
  for (size_t row = 0; row < cases.size(); ++row) EXPECT_EQ(rows.ReadFloatRow(row), cases[row].logits);
  std::vector<Record> records(cases.size());
  ThrowOnError(cudaMemcpy(records.data(), rows.batch().records, cases.size() * sizeof(Record), cudaMemcpyDeviceToHost),
               "copy");
  for (size_t row = 0; row < cases.size(); ++row)
    EXPECT_EQ(std::memcmp(&records[row], &cases[row].record, sizeof(Record)), 0);
}

}  // namespace
}  // namespace fire::test
