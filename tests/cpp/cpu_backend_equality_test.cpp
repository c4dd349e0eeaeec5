// The vectorised rows give the reference's bits, on every instruction set that runs here and for every operator.
#include <gtest/gtest.h>

#include <memory>

#include "cpu_backend_rows.h"
#include "definition/reference.h"

namespace fire::test {
namespace {

using definition::ReferenceRow;
using definition::ReferenceSample;

class Comparison {
 public:
  Comparison(const TypedRow& row, const Record& record, int64_t step, int64_t token)
      : row_(row),
        record_(record),
        step_(step),
        token_(token),
        reference_(row.values().data(), row.size(), record, step),
        sample_(reference_.Sample()) {}

  int64_t SampledToken() const { return sample_.token; }
  void AskFor(int64_t token) { token_ = token; }

  // The first difference, in words; empty where all is equal.
  std::string Difference(const cpu::RowFunctions& functions, cpu::Workspace& workspace) const {
    const cpu::RowTask task = {row_.data(), row_.type(), row_.size(), step_, record_};
    const RowSample all = functions.sample(task, {true, true}, workspace);
    const RowSample token_only = functions.sample(task, {false, false}, workspace);
    const std::string difference = SampleDifference(all, sample_);
    if (!difference.empty()) return difference;
    if (token_only.token != sample_.token) return "token alone";

    std::vector<float> out(row_.size());
    functions.process_logits(task, out.data(), workspace);
    if (!AllSame(out, reference_.ProcessedLogits())) return "process_logits";
    if (row_.type() == LogitsType::kFloat32) {
      out = row_.values();
      cpu::RowTask in_place = task;
      in_place.logits = out.data();
      functions.heat_logits(in_place, out.data(), workspace);
      if (!AllSame(out, reference_.HeatedLogits(row_.values().data()))) return "heat_logits";
    }
    if (!SameFloat(functions.log_prob(task, token_, workspace), reference_.LogProb(token_))) return "log_prob";
    constexpr float kGrad = 1.5f;
    const TypedRow gradient(reference_.LogProbGradient(token_, kGrad), row_.type());
    std::vector<char> bytes(row_.bytes());
    functions.log_prob_backward(task, token_, kGrad, bytes.data(), workspace);
    if (std::memcmp(bytes.data(), gradient.data(), bytes.size()) != 0) return "log_prob_backward";
    return "";
  }

 private:
  const TypedRow& row_;
  Record record_;
  int64_t step_;
  int64_t token_;
  ReferenceRow reference_;
  ReferenceSample sample_;
};

void CompareRows(uint64_t seed, int rows, uint32_t largest_vocabulary) {
  Random random(seed);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (int i = 0; i < rows; ++i) {
    const TroublesomeTask made(random, largest_vocabulary);
    Comparison comparison(made.row, made.record, made.step,
                          static_cast<int64_t>(random.Below(made.vocabulary + 2)) - 1);
    if (random.Below(4) != 0) comparison.AskFor(comparison.SampledToken());
    for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
      ASSERT_EQ(comparison.Difference(*functions, *workspace), "")
          << functions->name << ", row " << i << ": " << made.Text();
  }
}

TEST(CpuBackend, EqualsTheReferenceOnAHundredThousandSmallRows) { CompareRows(1, 100000, 700); }
// Longer than the candidate list: histograms, rules over the row, partial ties.
TEST(CpuBackend, EqualsTheReferenceOnRowsBeyondTheCandidateList) { CompareRows(2, 600, 60000); }

TEST(CpuBackend, EqualsTheReferenceWhereMoreTokensThanTheListHoldsAreEqualOrNearlySo) {
  Random random(5);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (int i = 0; i < 1500; ++i) {
    const uint32_t vocabulary = 8200 + random.Below(30000);
    const TypedRow row(CrowdedRow(random, vocabulary), random.Pick(kLogitsTypes));
    const Record record = CrowdedRecord(random, vocabulary);
    Comparison comparison(row, record, 1, 0);
    comparison.AskFor(comparison.SampledToken());
    for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
      ASSERT_EQ(comparison.Difference(*functions, *workspace), "")
          << functions->name << ", row " << i << " of " << vocabulary << " logits of type "
          << static_cast<int>(row.type()) << ", " << Describe(record);
  }
}

TEST(CpuBackend, EqualsTheReferenceOnRowsOfALargeVocabulary) { CompareRows(3, 30, 300000); }

TEST(CpuBackend, EqualsTheReferenceAtTheLargestVocabulary) {
  Random random(4);
  const auto workspace = std::make_unique<cpu::Workspace>();
  constexpr uint32_t kVocabulary = static_cast<uint32_t>(kMaxVocabulary);
  for (int i = 0; i < 3; ++i) {
    const TypedRow row(TroublesomeRow(random, kVocabulary), kLogitsTypes[i]);
    const Comparison comparison(row, TroublesomeRecord(random, kVocabulary), i, 5);
    for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
      ASSERT_EQ(comparison.Difference(*functions, *workspace), "") << functions->name << ", row " << i;
  }
}

}  // namespace
}  // namespace fire::test
