// Runs SampleCuda on a batch, by PlanFor's plan or by a plan of the test's choice, and compares every row with the
// reference: token, kept, rank and status exactly, log-probabilities to what docs/semantics.md grants.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "definition/reference.h"
#include "fire/cuda.h"
#include "kernels/launch.h"
#include "tests/cuda/device_batch.h"
#include "tests/cuda/settings.h"

namespace fire::test {

using kernels::Plan;

inline bool CloseFloat(float a, float b) {
  if (a == b || BitsOf(a) == BitsOf(b) || (std::isnan(a) && std::isnan(b))) return true;
  if (!std::isfinite(a) || !std::isfinite(b)) return false;  // of an infinite one everything would be a small part
  return std::fabs(static_cast<double>(a) - b) <= 1e-6 * std::max(1.0, std::fabs(static_cast<double>(b)));
}

inline std::string Describe(const Plan& plan) {
  return std::to_string(plan.cluster) + " x " + std::to_string(plan.threads) + " threads, " +
         (plan.resident ? "resident" : "not resident") + ", pilot shift " + std::to_string(plan.pilot_shift) + ", " +
         std::to_string(plan.shared_bytes) + " bytes";
}

// Which outputs a call asks for, besides the token.
struct Wanted {
  bool logprob = true, ref_logprob = true, rank = true, kept = true, status = true;
  bool reference = true;
};

inline kernels::Task TaskOf(const Wanted& wanted) {
  return wanted.reference && (wanted.ref_logprob || wanted.rank) ? kernels::Task::kSampleWithReference
                                                                 : kernels::Task::kSample;
}

// The results of a call, `guard` unused places around each array.
class DeviceOutputs {
 public:
  DeviceOutputs(size_t rows, const Wanted& wanted, size_t guard = 0)
      : token_(rows, guard),
        logprob_(rows, guard),
        ref_logprob_(rows, guard),
        rank_(rows, guard),
        kept_(rows, guard),
        status_(rows, guard) {
    outputs_.token = token_.get();
    if (wanted.logprob) outputs_.logprob = logprob_.get();
    if (wanted.ref_logprob) outputs_.ref_logprob = ref_logprob_.get();
    if (wanted.rank) outputs_.rank = rank_.get();
    if (wanted.kept) outputs_.kept = kept_.get();
    if (wanted.status) outputs_.status = status_.get();
    outputs_.reference = wanted.reference;
  }

  const SampleOutputs& outputs() const { return outputs_; }

  std::vector<int64_t> Token() const { return token_.Read(); }
  std::vector<float> LogProb() const { return logprob_.Read(); }
  std::vector<float> RefLogProb() const { return ref_logprob_.Read(); }
  std::vector<int32_t> Rank() const { return rank_.Read(); }
  std::vector<int32_t> Kept() const { return kept_.Read(); }
  std::vector<int32_t> Status() const { return status_.Read(); }

  // False once something was written around an array.
  bool GuardsAreWhole() const {
    return token_.IsWhole() && logprob_.IsWhole() && ref_logprob_.IsWhole() && rank_.IsWhole() && kept_.IsWhole() &&
           status_.IsWhole();
  }

 private:
  GuardedArray<int64_t> token_;
  GuardedArray<float> logprob_, ref_logprob_;
  GuardedArray<int32_t> rank_, kept_, status_;
  SampleOutputs outputs_;
};

// What of a row differs, as far as it was wanted; nothing where all is equal.
inline std::string Differences(const RowSample& got, const RowSample& want, const Wanted& wanted) {
  std::string what;
  const auto compare = [&what](const char* name, auto value, auto expected, bool equal) {
    if (!equal)
      what += std::string(name) + " " + std::to_string(value) + ", expected " + std::to_string(expected) + "; ";
  };
  compare("token", got.token, want.token, got.token == want.token);
  if (wanted.logprob) compare("logprob", got.logprob, want.logprob, CloseFloat(got.logprob, want.logprob));
  if (wanted.kept) compare("kept", got.kept, want.kept, got.kept == want.kept);
  if (wanted.status) compare("status", got.status, want.status, got.status == want.status);
  const float ref = wanted.reference ? want.ref_logprob : kNan;
  if (wanted.ref_logprob) compare("ref_logprob", got.ref_logprob, ref, CloseFloat(got.ref_logprob, ref));
  const int32_t place = wanted.reference ? want.rank : -1;
  if (wanted.rank) compare("rank", got.rank, place, got.rank == place);
  return what;
}

struct Mismatch {
  size_t row;
  std::string what;
};

class SampleCheck {
 public:
  SampleCheck(std::vector<RowCase> cases, LogitsType type, const Layout& layout)
      : cases_(std::move(cases)), batch_(cases_, type, layout) {
    for (size_t row = 0; row < cases_.size(); ++row) {
      const TypedRow& typed = batch_.rows()[row];
      expected_.push_back(
          definition::ReferenceRow(typed.values().data(), typed.size(), cases_[row].record, cases_[row].step).Sample());
    }
  }

  const std::vector<RowCase>& cases() const { return cases_; }
  const DeviceBatch& batch() const { return batch_; }
  const std::vector<definition::ReferenceSample>& expected() const { return expected_; }

  // The first difference there is; nothing where all is equal. `plan` null: PlanFor's. Throws what a launch
  // does.
  std::optional<Mismatch> FirstMismatch(const Plan* plan, const Wanted& wanted = {}) const {
    DeviceOutputs out(batch_.size(), wanted);
    if (plan == nullptr) {
      SampleCuda(batch_.batch(), out.outputs(), nullptr);
    } else {
      kernels::SampleWithPlan(batch_.batch(), out.outputs(), *plan, nullptr);
    }
    ThrowOnError(cudaDeviceSynchronize(), "the sampling kernel");
    row_runs += static_cast<int64_t>(batch_.size());
    return Compare(out, wanted);
  }

  std::optional<Mismatch> Compare(DeviceOutputs& out, const Wanted& wanted) const {
    const size_t rows = batch_.size();
    const std::vector<int64_t> token = out.Token();
    const auto logprob = wanted.logprob ? out.LogProb() : std::vector<float>(rows);
    const auto ref_logprob = wanted.ref_logprob ? out.RefLogProb() : std::vector<float>(rows);
    const auto rank = wanted.rank ? out.Rank() : std::vector<int32_t>(rows);
    const auto kept = wanted.kept ? out.Kept() : std::vector<int32_t>(rows);
    const auto status = wanted.status ? out.Status() : std::vector<int32_t>(rows);
    for (size_t row = 0; row < rows; ++row) {
      const RowSample got = {token[row], logprob[row], ref_logprob[row], rank[row], kept[row], status[row]};
      const std::string what = Differences(got, expected_[row], wanted);
      if (!what.empty()) return Mismatch{row, what};
    }
    return std::nullopt;
  }

 private:
  std::vector<RowCase> cases_;
  DeviceBatch batch_;
  std::vector<definition::ReferenceSample> expected_;
};

}  // namespace fire::test
