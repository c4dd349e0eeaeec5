// definition/reference.h against the oracle: every row of up to four logits from a set of seven awkward ones under a
// grid of records, then larger random rows, where ties, masses and places have room to go wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "definition/reference.h"
#include "oracle.h"
#include "test_support.h"

namespace fire {
namespace {

using definition::ReferenceRow;
using definition::ReferenceSample;
using test::BitsOf;
using test::kInfinity;
using test::kMax;
using test::kNan;
using test::Oracle;

// The contract's tolerance for float outputs; everything else must be equal.
bool Agrees(float value, long double truth) {
  if (std::isinf(truth) || std::isinf(value)) return static_cast<long double>(value) == truth;
  return std::abs(value - truth) <= 1e-6L * std::max(1.0L, std::abs(truth));
}

bool SameFloats(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return a.size() == b.size();
}

std::string Explain(const char* what, const std::vector<float>& logits, const Record& record, int64_t step) {
  std::ostringstream out;
  out << what << " differs for logits";
  for (float logit : logits) out << ' ' << std::hexfloat << logit << std::defaultfloat;
  out << "; " << test::Describe(record) << " step " << step;
  return out.str();
}

// The first output on which the two readings disagree, or nothing.
std::string CompareSample(const std::vector<float>& logits, const Record& record, int64_t step,
                          const ReferenceRow& reference, const Oracle& oracle) {
  const ReferenceSample sample = reference.Sample();
  const auto explain = [&](const char* what) { return Explain(what, logits, record, step); };
  if (sample.token != oracle.token) return explain("token");
  if (sample.status != oracle.status) return explain("status");
  if (sample.kept != oracle.kept_count) return explain("kept");
  if (sample.mass != oracle.mass) return explain("mass");
  if (sample.rank != oracle.rank) return explain("rank");
  if (!Agrees(sample.logprob, oracle.logprob)) return explain("logprob");
  if (!Agrees(sample.ref_logprob, oracle.ref_logprob)) return explain("ref_logprob");
  const auto size = std::count(oracle.kept.begin(), oracle.kept.end(), true);
  if (sample.kept_ids.size() != static_cast<size_t>(size)) return explain("kept_ids' size");
  for (uint32_t id : sample.kept_ids)
    if (!oracle.kept[id]) return explain("kept_ids");
  return "";
}

// Codes at the ends of all shares and of the token's, and one that depends on the record.
std::string CompareCoded(const std::vector<float>& logits, const Record& record, int64_t step,
                         const ReferenceRow& reference, const Oracle& oracle) {
  for (uint64_t code :
       {uint64_t{0}, ~uint64_t{0}, oracle.LastCode(), definition::SpreadSeed(record.seed_low, record.group)}) {
    const ReferenceRow::Coded coded = reference.SampleCoded(code);
    const Oracle::Coded truth = oracle.SampleCoded(code);
    if (coded.token != truth.token) return Explain("token by code", logits, record, step);
    if (coded.code != truth.code) return Explain("next code", logits, record, step);
  }
  return "";
}

// Widths around the size of the kept set, and the narrowest.
std::string CompareSupport(const std::vector<float>& logits, const Record& record, int64_t step,
                           const ReferenceRow& reference, const Oracle& oracle) {
  const auto kept = static_cast<size_t>(oracle.kept_count);
  for (const size_t width : {size_t{1}, std::max<size_t>(kept, 2) - 1, kept, kept + 1}) {
    const ReferenceRow::Support support = reference.SupportOf(width);
    const Oracle::Support truth = oracle.SupportOf(width);
    if (support.status != truth.status) return Explain("status of the support", logits, record, step);
    if (support.token != truth.token) return Explain("support", logits, record, step);
    if (support.logprob.size() != width) return Explain("support_logprob's size", logits, record, step);
    for (size_t i = 0; i < width; ++i)
      if (!Agrees(support.logprob[i], truth.logprob[i])) return Explain("support_logprob", logits, record, step);
  }
  return "";
}

std::string CompareRest(const std::vector<float>& logits, const Record& record, int64_t step,
                        const ReferenceRow& reference, const Oracle& oracle) {
  const auto explain = [&](const char* what) { return Explain(what, logits, record, step); };
  if (!SameFloats(reference.ProcessedLogits(), oracle.ProcessedLogits())) return explain("process_logits");
  if (!SameFloats(reference.HeatedLogits(logits.data()), oracle.HeatedLogits())) return explain("heat_logits_");
  for (int64_t id = -1; id <= static_cast<int64_t>(logits.size()); ++id) {
    if (!Agrees(reference.LogProb(id), oracle.LogProb(id))) return explain("log_prob");
    const std::vector<float> gradient = reference.LogProbGradient(id, 1.0f);
    const std::vector<long double> truth = oracle.LogProbGradient(id);
    for (size_t i = 0; i < truth.size(); ++i)
      if (!Agrees(gradient[i], truth[i])) return explain("gradient of log_prob");
  }
  return "";
}

std::string Compare(const std::vector<float>& logits, const Record& record, int64_t step) {
  const ReferenceRow reference(logits.data(), static_cast<uint32_t>(logits.size()), record, step);
  const Oracle oracle(logits, record, step);
  std::string difference = CompareSample(logits, record, step, reference, oracle);
  if (difference.empty()) difference = CompareCoded(logits, record, step, reference, oracle);
  if (difference.empty()) difference = CompareSupport(logits, record, step, reference, oracle);
  return difference.empty() ? CompareRest(logits, record, step, reference, oracle) : difference;
}

// Every row of one to four logits from the seven values.
std::vector<std::vector<float>> AllRows() {
  const float values[] = {-kInfinity, -1.0f, -0.0f, 0.0f, 1.0f, kNan, kInfinity};
  std::vector<std::vector<float>> rows = {{}};
  for (size_t next = 0; next < rows.size(); ++next) {
    if (rows[next].size() == 4) continue;
    for (float value : values) {
      rows.push_back(rows[next]);
      rows.back().push_back(value);
    }
  }
  rows.erase(rows.begin());
  return rows;
}

// Regular and hot phases that differ in every field, under all orders and ties.
std::vector<Record> RecordGrid() {
  std::vector<Record> records;
  for (uint32_t flags : {0u, 1u, 2u, 4u, 5u, 6u, 8u, 9u, 10u, 15u}) {
    for (float temperature : {0.0f, 0.7f, 1.0f, kInfinity}) {
      for (int32_t top_k : {0, 1, 2, 3}) {
        for (float top_p : {0.0f, 0.5f, 0.9f, 1.0f}) {
          for (float min_p : {0.0f, 0.4f, 1.5f}) {
            Record record = test::PlainRecord(records.size() * 0x9E3779B97F4A7C15u);
            record.temperature = temperature;
            record.top_k = top_k;
            record.top_p = top_p;
            record.min_p = min_p;
            record.hot_temperature = temperature == 1.0f ? 30.0f : 1.0f - temperature;
            record.hot_top_k = records.size() % 3 == 0 ? top_k : 2;
            record.hot_top_p = records.size() % 5 == 0 ? 0.7f : top_p;
            record.hot_min_p = records.size() % 7 == 0 ? 0.2f : min_p;
            record.hot_begin = static_cast<int32_t>(records.size() % 3) - 1;
            record.hot_steps = static_cast<int32_t>(records.size() % 2);
            record.flags = flags | static_cast<uint32_t>(records.size() % 6) << kDesignShift;
            record.group = test::GroupWord(1 + records.size() % 4, static_cast<uint32_t>(records.size() % 7));
            record.stream = static_cast<uint32_t>(records.size());
            records.push_back(record);
          }
        }
      }
    }
  }
  return records;
}

TEST(ReferenceBruteForce, EveryRowOfUpToFourLogitsUnderEveryRecordHasEveryOutputOfTheOracle) {
  const std::vector<Record> records = RecordGrid();
  for (const std::vector<float>& row : AllRows()) {
    for (const Record& record : records) {
      const std::string difference = Compare(row, record, 0);
      ASSERT_EQ(difference, "");
    }
  }
}

Record RandomRecord(test::Random& random) {
  const float temperatures[] = {0.0f, 0.01f, 0.3f, 0.7f, 1.0f, 1.3f, 30.0f, 1e4f, 0x1p-64f, 0x1p120f, 1e38f, kInfinity};
  const float fractions[] = {-1.0f, 0.0f, 1e-30f, 1e-6f, 0.1f, 0.5f, 0.9f, 0.95f, 0.999f, 1.0f, 2.0f, kNan};
  Record record = test::PlainRecord(random.Bits());
  record.temperature = random.Pick(temperatures);
  record.hot_temperature = random.Pick(temperatures);
  record.top_k = static_cast<int32_t>(random.Below(50)) - 5;
  record.hot_top_k = random.Below(2) ? record.top_k : static_cast<int32_t>(random.Below(50)) - 5;
  record.top_p = random.Below(3) ? random.Pick(fractions) : static_cast<float>(random.Uniform());
  record.hot_top_p = random.Below(2) ? record.top_p : random.Pick(fractions);
  record.min_p = random.Below(2) ? 0.0f : random.Pick(fractions) * random.Pick(fractions);
  record.hot_min_p = random.Below(2) ? record.min_p : random.Pick(fractions);
  record.hot_begin = static_cast<int32_t>(random.Below(4)) - 1;
  record.hot_steps = static_cast<int32_t>(random.Below(4)) - 1;
  record.flags = static_cast<uint32_t>(random.Bits());
  record.stream = static_cast<uint32_t>(random.Bits());
  record.ref_temperature = random.Pick(temperatures);
  record.group =
      random.Below(2) ? static_cast<uint32_t>(random.Bits()) : test::GroupWord(1 + random.Below(5), random.Below(9));
  return record;
}

std::vector<float> RandomRow(test::Random& random) {
  std::vector<float> row(1 + random.Below(40));
  const double spread = std::exp(random.Uniform() * 8 - 4);
  const uint32_t kind = random.Below(5);
  for (float& logit : row) {
    logit = static_cast<float>(random.Bell() * spread);
    if (kind == 1) logit = static_cast<float>(random.Below(4));  // tied
    if (kind == 2) logit = test::FloatOf(BitsOf(logit) & 0xFFFF0000u);
    if (kind == 3) logit = test::FloatOf(static_cast<uint32_t>(random.Bits()));
    if (kind == 4) logit *= 0x1p-130f;  // subnormal or nearly
    if (random.Below(16) == 0) logit = -kInfinity;
    if (random.Below(500) == 0) logit = kNan;
    if (random.Below(2000) == 0) logit = kInfinity;
    if (random.Below(200) == 0) logit = random.Below(2) ? kMax : -kMax;
  }
  return row;
}

TEST(ReferenceBruteForce, RandomRowsUnderRandomRecordsHaveEveryOutputOfTheOracle) {
  test::Random random(20);
  for (int i = 0; i < 150000; ++i) {
    const std::vector<float> row = RandomRow(random);
    const Record record = RandomRecord(random);
    const int64_t step = static_cast<int64_t>(random.Below(5)) - 1;
    const std::string difference = Compare(row, record, step);
    ASSERT_EQ(difference, "");
  }
}

TEST(ReferenceBruteForce, FillerLogitsThatAreMaskedChangeNoTokenBeforeThem) {
  test::Random random(21);
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> row = RandomRow(random);
    Record record = RandomRecord(random);
    if (record.top_k >= static_cast<int32_t>(row.size())) record.top_k = 0;
    if (record.hot_top_k >= static_cast<int32_t>(row.size())) record.hot_top_k = 0;
    const ReferenceSample alone = ReferenceRow(row.data(), static_cast<uint32_t>(row.size()), record, 1).Sample();
    const uint32_t size = static_cast<uint32_t>(row.size());
    row.resize(size + 100, -kInfinity);
    const ReferenceSample padded = ReferenceRow(row.data(), size + 100, record, 1).Sample();
    ASSERT_EQ(alone.token, padded.token) << test::Describe(record);
    ASSERT_EQ(alone.mass, padded.mass) << test::Describe(record);
  }
}

}  // namespace
}  // namespace fire
