// Runs SampleGroupCuda by a plan of the test's choice, and compares every member with the reference's single draw for
// its record.
#pragma once

#include <string>
#include <vector>

#include "definition/design.h"
#include "tests/cuda/shrink.h"

namespace fire::test {

// What SampleGroupCuda writes, with unused places around each array.
class GroupOutputs {
 public:
  GroupOutputs(size_t rows, size_t size, const Wanted& wanted)
      : members_(rows * size, wanted, 3), rows_(rows, wanted, 3) {
    outputs_ = members_.outputs();
    outputs_.kept = rows_.outputs().kept, outputs_.status = rows_.outputs().status;
  }

  const SampleOutputs& outputs() const { return outputs_; }

  // What member `member`, counted over all rows, was given.
  std::string Differences(size_t member, size_t row, const definition::ReferenceSample& want, const Wanted& wanted) {
    const RowSample got = {token_[member], logprob_[member], ref_logprob_[member],
                           rank_[member],  kept_[row],       status_[row]};
    return test::Differences(got, want, wanted);
  }

  bool GuardsAreWhole() const { return members_.GuardsAreWhole() && rows_.GuardsAreWhole(); }

  void Read() {
    token_ = members_.Token(), logprob_ = members_.LogProb(), ref_logprob_ = members_.RefLogProb();
    rank_ = members_.Rank(), kept_ = rows_.Kept(), status_ = rows_.Status();
  }

 private:
  DeviceOutputs members_, rows_;
  SampleOutputs outputs_;
  std::vector<int64_t> token_;
  std::vector<float> logprob_, ref_logprob_;
  std::vector<int32_t> rank_, kept_, status_;
};

inline std::string Where(const DeviceBatch& rows, const Plan& plan) {
  return std::string("\n  ") + NameOf(rows.batch().logits_type) + ", " + Describe(plan) + "\n  " + rows.layout().Text();
}

// Every member of every row, against the reference's single draw for its record.
inline void ExpectMembersAreSingleDraws(const std::vector<RowCase>& cases, LogitsType type, const Layout& layout,
                                        uint32_t size, const Plan& plan, const Wanted& wanted) {
  const DeviceBatch rows(cases, type, layout);
  GroupOutputs out(cases.size(), size, wanted);
  kernels::SampleGroupWithPlan(rows.batch(), size, out.outputs(), plan, nullptr);
  ThrowOnError(cudaDeviceSynchronize(), "the kernel of groups");
  row_runs += static_cast<int64_t>(cases.size()) * size;
  out.Read();
  ASSERT_TRUE(out.GuardsAreWhole()) << Where(rows, plan);
  for (size_t row = 0; row < cases.size(); ++row) {
    const TypedRow& typed = rows.rows()[row];
    for (uint32_t member = 0; member < size; ++member) {
      const Record record = definition::MemberRecord(cases[row].record, size, member);
      const definition::ReferenceRow reference(typed.values().data(), typed.size(), record, cases[row].step);
      const std::string what = out.Differences(row * size + member, row, reference.Sample(), wanted);
      ASSERT_EQ(what, "") << "member " << member << " of " << size << Where(rows, plan) << "\n  "
                          << Describe(cases[row]);
    }
  }
}

}  // namespace fire::test
