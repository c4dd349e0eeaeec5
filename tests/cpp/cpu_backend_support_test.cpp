// The support written beside a sample is the reference's, on every instruction set that runs here.
#include <gtest/gtest.h>

#include <memory>

#include "cpu_backend_rows.h"
#include "definition/reference.h"
#include "dipping_weights.h"

namespace fire::test {
namespace {

using cpu::RowFunctions;
using cpu::RowTask;
using definition::ReferenceRow;
using definition::ReferenceSample;

// Places for one row's support amid memory that is none of its business.
class GuardedPlaces {
 public:
  explicit GuardedPlaces(size_t width)
      : width_(width), token_(width + 2 * kGuard, kTokenGuard), logprob_(width + 2 * kGuard, kLogprobGuard) {}

  SupportOutputs Outputs() { return {static_cast<int64_t>(width_), token_.data() + kGuard, logprob_.data() + kGuard}; }
  int32_t token(size_t place) const { return token_[kGuard + place]; }
  float logprob(size_t place) const { return logprob_[kGuard + place]; }
  bool NoLogprobIsWritten() const {
    for (const float value : logprob_)
      if (value != kLogprobGuard) return false;
    return true;
  }
  bool GuardsStand() const {
    for (size_t i = 0; i < kGuard; ++i) {
      const size_t behind = kGuard + width_ + i;
      if (token_[i] != kTokenGuard || token_[behind] != kTokenGuard) return false;
      if (logprob_[i] != kLogprobGuard || logprob_[behind] != kLogprobGuard) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr int32_t kTokenGuard = -77;
  static constexpr float kLogprobGuard = 77.0f;

  size_t width_;
  std::vector<int32_t> token_;
  std::vector<float> logprob_;
};

std::string Difference(const GuardedPlaces& places, const ReferenceRow::Support& wanted) {
  for (size_t i = 0; i < wanted.token.size(); ++i) {
    if (places.token(i) != wanted.token[i])
      return "place " + std::to_string(i) + " holds " + std::to_string(places.token(i)) + ", not " +
             std::to_string(wanted.token[i]);
    if (!SameFloat(places.logprob(i), wanted.logprob[i])) return "logprob of place " + std::to_string(i);
  }
  return places.GuardsStand() ? "" : "memory beside the places";
}

std::string DifferenceAt(size_t width, const RowFunctions& functions, const RowTask& task,
                         const ReferenceSample& sample, const ReferenceRow::Support& wanted,
                         cpu::Workspace& workspace) {
  GuardedPlaces places(width);
  SupportOutputs outputs = places.Outputs();
  const RowSample ours = functions.sample(task, {true, true, &outputs}, workspace);
  RowSample expected = sample;
  expected.status = wanted.status;
  std::string difference = SampleDifference(ours, expected);
  if (!difference.empty()) return difference;
  difference = Difference(places, wanted);
  if (!difference.empty()) return difference;
  // Without log-probabilities, of the support or of the row, the tokens are the same.
  GuardedPlaces lean(width);
  outputs = lean.Outputs();
  outputs.logprob = nullptr;
  const RowSample leaner = functions.sample(task, {false, true, &outputs}, workspace);
  if (leaner.token != ours.token || leaner.status != ours.status) return "sample without a reference";
  if (!lean.NoLogprobIsWritten()) return "log-probabilities that nobody asked for";
  for (size_t i = 0; i < width; ++i)
    if (lean.token(i) != wanted.token[i]) return "tokens without log-probabilities";
  return "";
}

// Around the ends of the kept set and of the row.
std::vector<size_t> TellingWidths(size_t kept, size_t vocabulary) {
  std::vector<size_t> out = {1, 2, kept, kept + 1, vocabulary, vocabulary + 3};
  if (kept > 1) out.push_back(kept - 1);
  if (kept > 3) out.push_back(kept / 2);
  return out;
}

void CompareRows(uint64_t seed, int rows, uint32_t largest_vocabulary) {
  Random random(seed);
  const auto workspace = std::make_unique<cpu::Workspace>();
  for (int i = 0; i < rows; ++i) {
    const TroublesomeTask made(random, largest_vocabulary);
    const RowTask task = made.ToTask();
    const ReferenceRow reference(made.row.values().data(), made.vocabulary, made.record, made.step);
    const ReferenceSample sample = reference.Sample();
    for (const size_t width : TellingWidths(static_cast<size_t>(sample.kept), made.vocabulary)) {
      const ReferenceRow::Support wanted = reference.SupportOf(width);
      for (const RowFunctions* functions : cpu::RunnableRowFunctions())
        ASSERT_EQ(DifferenceAt(width, *functions, task, sample, wanted, *workspace), "")
            << functions->name << ", row " << i << ": " << sample.kept << " kept, width " << width << ", "
            << made.Text();
    }
  }
}

TEST(CpuBackendSupport, EqualsTheReferenceOnTwentyThousandSmallRows) { CompareRows(1, 20000, 400); }
TEST(CpuBackendSupport, EqualsTheReferenceOnRowsBeyondTheCandidateList) { CompareRows(2, 200, 50000); }
TEST(CpuBackendSupport, EqualsTheReferenceOnRowsOfALargeVocabulary) { CompareRows(3, 12, 300000); }

// Compares one row's supports of many widths. Returns in how many of them the drawn token took another's place.
int CompareWidths(const TypedRow& row, const Record& record, const std::vector<size_t>& widths) {
  const auto workspace = std::make_unique<cpu::Workspace>();
  const ReferenceRow reference(row.values().data(), row.size(), record, 0);
  const ReferenceSample sample = reference.Sample();
  const RowTask task = {row.data(), row.type(), row.size(), 0, record};
  int outside = 0;
  for (const size_t width : widths) {
    const ReferenceRow::Support wanted = reference.SupportOf(width);
    outside += width > 1 && sample.rank > static_cast<int32_t>(width);
    for (const RowFunctions* functions : cpu::RunnableRowFunctions())
      EXPECT_EQ(DifferenceAt(width, *functions, task, sample, wanted, *workspace), "")
          << functions->name << ", width " << width << ", " << Describe(record);
  }
  return outside;
}

size_t KeptOf(const TypedRow& row, const Record& record) {
  return ReferenceRow(row.values().data(), row.size(), record, 0).Sample().kept_ids.size();
}

// Of a kept set that is no list: ties reach across strips, and the drawn token is often beyond the cut.
TEST(CpuBackendSupport, CutsAKeptSetBeyondTheCandidateListAmidTies) {
  Random random(4);
  int outside = 0;
  for (const double steps : {1.0, 30.0, 1e6}) {
    std::vector<float> logits(30000);
    for (float& x : logits) x = static_cast<float>(static_cast<int>(steps * random.Bell()) / steps);
    const TypedRow row(logits, LogitsType::kFloat32);
    for (const float min_p : {0.0f, 0.001f}) {
      Record record = PlainRecord(random.Bits());
      record.min_p = min_p;
      const size_t kept = KeptOf(row, record);
      ASSERT_GT(kept, cpu::kMaxCandidates);
      outside += CompareWidths(row, record, {1, 64, 1000, 8192, 8193, kept - 1, kept});
    }
  }
  EXPECT_GT(outside, 0);
}

TEST(CpuBackendSupport, HasTheHolesThatMinPLeavesInTheOrder) {
  constexpr uint32_t kVocabulary = 20000;
  const std::optional<Dip> dip = FindDip(kVocabulary);
  ASSERT_TRUE(dip);
  for (const uint32_t heavier : {40u, 9000u}) {  // a list, and none
    std::vector<float> logits(kVocabulary, -50.0f);
    for (uint32_t id = 0; id < 2 * heavier; ++id) logits[id] = id % 2 == 0 ? dip->kept : dip->refused;
    logits[kVocabulary - 1] = 0.0f;
    for (uint32_t order = 0; order < 3; ++order) {
      Record record = PlainRecord(order);
      record.min_p = dip->min_p;
      record.flags = Flags(order, 0);
      const TypedRow row(logits, LogitsType::kFloat32);
      ASSERT_EQ(KeptOf(row, record), heavier + 1);
      CompareWidths(row, record, {1, 2, heavier / 2, heavier - 1, heavier, heavier + 1, heavier + 2});
    }
  }
}

}  // namespace
}  // namespace fire::test
