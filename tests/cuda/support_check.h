// Runs SampleWithSupportCuda, by its own plan or by one of the test's choice, and compares tokens and supports with the
// reference's.
#pragma once

#include <string>
#include <vector>

#include "tests/cuda/shrink.h"

namespace fire::test {

// The first place of a support that is not the reference's; nothing where all are.
inline std::string FirstDifference(const std::vector<int32_t>& token, const std::vector<float>& logprob, size_t first,
                                   const definition::ReferenceRow::Support& want) {
  for (size_t place = 0; place < want.token.size(); ++place) {
    const int32_t id = token[first + place];
    if (id != want.token[place])
      return "place " + std::to_string(place) + " " + std::to_string(id) + ", expected " +
             std::to_string(want.token[place]);
    if (!logprob.empty() && !CloseFloat(logprob[first + place], want.logprob[place]))
      return "place " + std::to_string(place) + ", log-probability " + std::to_string(logprob[first + place]) +
             ", expected " + std::to_string(want.logprob[place]);
  }
  return "";
}

// Samples the rows and compares the supports with the reference's. `plan` null: SampleWithSupportCuda's own.
inline void ExpectReferencesSupports(const std::vector<RowCase>& cases, LogitsType type, const Layout& layout,
                                     size_t width, const Plan* plan, const Wanted& wanted = {},
                                     bool wants_logprobs = true) {
  const DeviceBatch rows(cases, type, layout);
  DeviceOutputs out(cases.size(), wanted, 3);
  const GuardedArray<int32_t> token(cases.size() * width);
  const GuardedArray<float> logprob(cases.size() * width);
  const SupportOutputs support = {static_cast<int64_t>(width), token.get(), wants_logprobs ? logprob.get() : nullptr};
  if (plan == nullptr) {
    SampleWithSupportCuda(rows.batch(), support, out.outputs(), nullptr);
  } else {
    kernels::SampleWithSupportWithPlan(rows.batch(), support, out.outputs(), *plan, nullptr);
  }
  ThrowOnError(cudaDeviceSynchronize(), "the kernel of supports");
  row_runs += static_cast<int64_t>(cases.size());
  const std::string where = std::string("\n  width ") + std::to_string(width) + ", " + NameOf(type) + ", " +
                            (plan == nullptr ? "SampleWithSupportCuda" : Describe(*plan)) + "\n  " + layout.Text();
  const std::vector<int32_t> tokens = token.Read();
  const std::vector<float> logprobs = wants_logprobs ? logprob.Read() : std::vector<float>();
  const std::vector<int64_t> drawn = out.Token();
  const auto logprob_of_drawn = wanted.logprob ? out.LogProb() : std::vector<float>(cases.size());
  const auto ref_logprob = wanted.ref_logprob ? out.RefLogProb() : std::vector<float>(cases.size());
  const auto rank = wanted.rank ? out.Rank() : std::vector<int32_t>(cases.size());
  const auto kept = wanted.kept ? out.Kept() : std::vector<int32_t>(cases.size());
  const auto status = wanted.status ? out.Status() : std::vector<int32_t>(cases.size());
  ASSERT_TRUE(token.IsWhole() && logprob.IsWhole() && out.GuardsAreWhole()) << where;
  for (size_t row = 0; row < cases.size(); ++row) {
    const TypedRow& typed = rows.rows()[row];
    const definition::ReferenceRow reference(typed.values().data(), typed.size(), cases[row].record, cases[row].step);
    const definition::ReferenceRow::Support want = reference.SupportOf(width);
    RowSample sample = reference.Sample();
    sample.status = want.status;
    const RowSample got = {drawn[row], logprob_of_drawn[row], ref_logprob[row], rank[row], kept[row], status[row]};
    ASSERT_EQ(Differences(got, sample, wanted), "") << where << "\n  " << Describe(cases[row]);
    ASSERT_EQ(FirstDifference(tokens, logprobs, row * width, want), "") << where << "\n  " << Describe(cases[row]);
  }
}

}  // namespace fire::test
