// A weight may exceed that of a slightly larger logit by its mantissa's last bit (docs/semantics.md), so min-p, which
// compares weights, may refuse a token and keep one below it. Where it comes before top-k, no list that ends between
// the two will do.
#include "tests/cpp/dipping_weights.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 4096;
constexpr int32_t kTopK = 50;
constexpr uint32_t kLarge = 30;  // maxima of a row

// kLarge maxima, then `refused` tokens and `kept` ones, each `apart` from the next, above a low rest.
RowCase RowAround(const Dip& dip, uint32_t refused, uint32_t kept, uint32_t apart, uint32_t order, const char* name) {
  RowCase row;
  row.logits.assign(kVocabulary, -30.0f);
  for (uint32_t i = 0; i < kLarge + refused + kept; ++i)
    row.logits[100 + i * apart] = i < kLarge ? 0.0f : i < kLarge + refused ? dip.refused : dip.kept;
  row.record = PlainRecord(Seed() + apart);
  row.record.top_k = kTopK, row.record.min_p = dip.min_p, row.record.flags = Flags(order, 0);
  row.name = name;
  return row;
}

TEST(DippingWeights, MinPMayKeepATokenBelowOneThatItRefuses) {
  const std::optional<Dip> dip = FindDip(kVocabulary);
  ASSERT_TRUE(dip);
  std::vector<RowCase> cases;
  for (const uint32_t order : {0, 1, 2}) {
    cases.push_back(RowAround(*dip, 100, 60, 20, order, "more refused than the list has"));
    // So close together, few of the parts that give the pivot hold one: it lies below them all.
    cases.push_back(RowAround(*dip, 30, 60, 1, order, "more refused than the shortened list has"));
  }
  const SampleCheck check(cases, LogitsType::kFloat32, {});
  const auto vllm = static_cast<size_t>(Order::kVllm);
  for (size_t i = 0; i < 2; ++i) ASSERT_EQ(check.expected()[2 * vllm + i].kept, kTopK);
  for (const Plan& plan : PlansHere(kernels::Task::kSample, kVocabulary, LogitsType::kFloat32))
    ASSERT_TRUE(ExpectEqualsReference(check, &plan, {true, false, false, true, true, true}));
}

// The order's places are the kept tokens' alone: listed ones, which are compared with each other, and more than those.
TEST(DippingWeights, AMemberTakesItsPlaceAmongTheTokensThatMinPKeeps) {
  constexpr uint32_t kSize = 40;
  const std::optional<Dip> dip = FindDip(kVocabulary);
  ASSERT_TRUE(dip);
  std::vector<RowCase> cases;
  for (const uint32_t order : {0, 1, 2}) {
    for (const uint32_t refused : {1, 100}) {
      RowCase row = RowAround(*dip, refused, 5, 20, order, "enumerated");
      row.record.hot_temperature = 1.0f, row.record.hot_steps = 1, row.record.hot_min_p = dip->min_p;
      row.record.hot_top_k = static_cast<int32_t>(kLarge + refused + 5);
      row.record.flags |= static_cast<uint32_t>(Design::kEnumerated) << kDesignShift;
      cases.push_back(row);
    }
  }
  std::vector<RowCase> members;
  for (const RowCase& row : cases)
    for (const uint32_t member : {kLarge - 1, kLarge, kLarge + 4}) {
      members.push_back(row);
      members.back().record = definition::MemberRecord(row.record, kSize, member);
    }
  const SampleCheck check(members, LogitsType::kFloat32, {});
  for (const definition::ReferenceSample& sample : check.expected()) ASSERT_EQ(sample.kept, kLarge + 5);
  for (const Plan& plan : PlansHere(kernels::Task::kSample, kVocabulary, LogitsType::kFloat32)) {
    if (plan.threads != 256) continue;
    ASSERT_TRUE(ExpectEqualsReference(check, &plan));
  }

  const DeviceBatch rows(cases, LogitsType::kFloat32, {});
  for (const Plan& plan : PlansHere(kernels::Task::kSampleGroup, kVocabulary, LogitsType::kFloat32)) {
    if (plan.threads != 256) continue;
    const DeviceArray<int64_t> token(cases.size() * kSize);
    SampleOutputs outputs;
    outputs.token = token.get();
    kernels::SampleGroupWithPlan(rows.batch(), kSize, outputs, plan, nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernel of groups");
    row_runs += static_cast<int64_t>(cases.size() * kSize);
    const std::vector<int64_t> tokens = token.Read();
    for (size_t i = 0; i < tokens.size(); ++i) {
      const RowCase& row = cases[i / kSize];
      const Record record = definition::MemberRecord(row.record, kSize, static_cast<uint32_t>(i % kSize));
      const definition::ReferenceRow reference(row.logits.data(), kVocabulary, record, row.step);
      ASSERT_EQ(tokens[i], reference.Sample().token)
          << "member " << i % kSize << ", " << Describe(plan) << "\n  " << Describe(row);
    }
  }
}

}  // namespace
}  // namespace fire::test
