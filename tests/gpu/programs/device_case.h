// A golden case on the device, repeated to any number of rows, and the comparison with its answers.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/gpu/cuda_memory.h"
#include "tests/gpu/programs/golden.h"
#include "tests/gpu/programs/mistakes.h"

namespace fire::gpu {

class DeviceCase {
 public:
  // Row r is the golden row r % golden.rows.
  DeviceCase(const GoldenCase& golden, int64_t rows)
      : golden_(golden),
        rows_(rows),
        logits_(golden.logits.size() / static_cast<size_t>(golden.rows) * static_cast<size_t>(rows)),
        records_(Repeated(golden.records)),
        step_(Repeated(golden.step)),
        asked_(Repeated(golden.asked)),
        token_(Rows()),
        logprob_(Rows()),
        ref_logprob_(Rows()),
        rank_(Rows()),
        kept_(Rows()),
        status_(Rows()) {
    FillLogits();
    batch_.logits = logits_.get();
    batch_.logits_type = golden.type;
    batch_.rows = rows;
    batch_.vocabulary = batch_.row_stride = golden.vocabulary;
    batch_.step = step_.get();
    batch_.records = records_.get();
    batch_.record_count = rows;
  }

  // Every launch that a plan of the device's table makes, or that the table chooses for the rows; `plan` may be null.
  void Sample(const kernels::Plan* plan, bool reference, Mistakes& mistakes) {
    SampleOutputs outputs;
    outputs.token = Poisoned(token_);
    outputs.logprob = Poisoned(logprob_);
    outputs.kept = Poisoned(kept_);
    outputs.status = Poisoned(status_);
    if (reference) {
      outputs.ref_logprob = Poisoned(ref_logprob_);
      outputs.rank = Poisoned(rank_);
    }
    if (plan == nullptr) {
      SampleCuda(batch_, outputs, nullptr);
    } else {
      kernels::SampleWithPlan(batch_, outputs, *plan, nullptr);
    }
    Compare("token", token_.Read(), golden_.token, plan, mistakes);
    Compare("logprob", logprob_.Read(), golden_.logprob, plan, mistakes);
    Compare("kept", kept_.Read(), golden_.kept, plan, mistakes);
    Compare("status", status_.Read(), golden_.status, plan, mistakes);
    if (!reference) return;
    Compare("ref_logprob", ref_logprob_.Read(), golden_.ref_logprob, plan, mistakes);
    Compare("rank", rank_.Read(), golden_.rank, plan, mistakes);
  }

  void TokenAlone(const kernels::Plan* plan, Mistakes& mistakes) {
    SampleOutputs outputs;
    outputs.token = Poisoned(token_);
    if (plan == nullptr) {
      SampleCuda(batch_, outputs, nullptr);
    } else {
      kernels::SampleWithPlan(batch_, outputs, *plan, nullptr);
    }
    Compare("token alone", token_.Read(), golden_.token, plan, mistakes);
  }

  void LogProb(Mistakes& mistakes) {
    LogProbCuda(batch_, asked_.get(), 1, Poisoned(logprob_), nullptr);
    Compare("log_prob", logprob_.Read(), golden_.asked_logprob, nullptr, mistakes);
  }

  void ProcessLogits(Mistakes& mistakes) {
    Memory<float> out(Rows() * static_cast<size_t>(golden_.vocabulary));
    ProcessLogitsCuda(batch_, out.get(), golden_.vocabulary, nullptr);
    Compare("process_logits", Digests(out), golden_.processed, nullptr, mistakes);
  }

  // Leaves the logits changed: last.
  void HeatLogits(Mistakes& mistakes) {
    HeatLogitsCuda(batch_, reinterpret_cast<float*>(logits_.get()), nullptr);
    Memory<float> out(Rows() * static_cast<size_t>(golden_.vocabulary));
    Check(cudaMemcpy(out.get(), logits_.get(), logits_.count(), cudaMemcpyDeviceToDevice), "cudaMemcpy");
    Compare("heat_logits_", Digests(out), golden_.heated, nullptr, mistakes);
  }

 private:
  size_t Rows() const { return static_cast<size_t>(rows_); }

  template <typename T>
  std::vector<T> Repeated(const std::vector<T>& values) const {
    std::vector<T> all(Rows());
    for (size_t row = 0; row < all.size(); ++row) all[row] = values[row % values.size()];
    return all;
  }

  void FillLogits() {
    const size_t all = logits_.count();
    const size_t once = std::min(all, golden_.logits.size());
    Check(cudaMemcpy(logits_.get(), golden_.logits.data(), once, cudaMemcpyHostToDevice), "cudaMemcpy to the device");
    for (size_t done = once; done < all;) {
      const size_t more = std::min(done / once * once, all - done);
      Check(cudaMemcpy(logits_.get() + done, logits_.get(), more, cudaMemcpyDeviceToDevice), "cudaMemcpy");
      done += more;
    }
  }

  template <typename T>
  static T* Poisoned(Memory<T>& memory) {
    memory.Fill(0xEE);
    return memory.get();
  }

  std::vector<uint32_t> Digests(const Memory<float>& out) const {
    const std::vector<float> values = out.Read();
    std::vector<uint32_t> digests;
    for (int64_t row = 0; row < rows_; ++row) {
      digests.push_back(RowDigest(values.data() + row * golden_.vocabulary, golden_.vocabulary));
    }
    return digests;
  }

  template <typename T>
  void Compare(const char* what, const std::vector<T>& got, const std::vector<T>& expected, const kernels::Plan* plan,
               Mistakes& mistakes) {
    for (size_t row = 0; row < got.size(); ++row) {
      const T& wanted = expected[row % expected.size()];
      if (Right(got[row], wanted)) continue;
      mistakes.Add("%s of row %zu of %lld: %.9g, expected %.9g; type %d, V %lld, plan %s", what, row,
                   static_cast<long long>(rows_), static_cast<double>(got[row]), static_cast<double>(wanted),
                   static_cast<int>(golden_.type), static_cast<long long>(golden_.vocabulary),
                   plan == nullptr ? "of the table" : Describe(*plan).c_str());
    }
  }

  static bool Right(float got, float expected) { return Close(got, expected); }
  template <typename T>
  static bool Right(T got, T expected) {
    return got == expected;
  }

  static std::string Describe(const kernels::Plan& plan) {
    return "cluster " + std::to_string(plan.cluster) + ", threads " + std::to_string(plan.threads) +
           (plan.resident ? ", resident" : "") + ", pilot shift " + std::to_string(plan.pilot_shift);
  }

  const GoldenCase& golden_;
  int64_t rows_;
  Memory<uint8_t> logits_;
  Memory<Record> records_;
  Memory<int64_t> step_;
  Memory<int64_t> asked_;
  Memory<int64_t> token_;
  Memory<float> logprob_;
  Memory<float> ref_logprob_;
  Memory<int32_t> rank_;
  Memory<int32_t> kept_;
  Memory<int32_t> status_;
  Batch batch_;
};

}  // namespace fire::gpu
