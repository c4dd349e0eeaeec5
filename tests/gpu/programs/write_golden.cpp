// write_golden FILE: computes the golden answers with definition/reference.h, on the CPU.
#include <cstdio>
#include <exception>

#include "definition/reference.h"
#include "tests/cpp/cpu_backend_rows.h"
#include "tests/gpu/programs/golden.h"

namespace fire::gpu {
namespace {

constexpr int64_t kVocabularies[] = {1, 31, 33, 1000, 4099, 32000, 128256};

int64_t RowsOf(int64_t vocabulary) { return vocabulary <= 4099 ? 12 : vocabulary <= 32000 ? 6 : 4; }

void Append(GoldenCase& one, const test::TypedRow& row, const Record& record, int64_t step, int64_t asked) {
  const auto* bytes = static_cast<const uint8_t*>(row.data());
  one.logits.insert(one.logits.end(), bytes, bytes + row.bytes());
  one.records.push_back(record);
  one.step.push_back(step);
  const definition::ReferenceRow reference(row.values().data(), row.size(), record, step);
  const definition::ReferenceSample sample = reference.Sample();
  one.token.push_back(sample.token);
  one.logprob.push_back(sample.logprob);
  one.ref_logprob.push_back(sample.ref_logprob);
  one.rank.push_back(sample.rank);
  one.kept.push_back(sample.kept);
  one.status.push_back(sample.status);
  // Half the time a token that is kept for sure.
  one.asked.push_back(asked % 2 == 0 ? sample.token : asked % one.vocabulary);
  one.asked_logprob.push_back(reference.LogProb(one.asked.back()));
  one.processed.push_back(RowDigest(reference.ProcessedLogits().data(), one.vocabulary));
  if (one.type == LogitsType::kFloat32) {
    one.heated.push_back(RowDigest(reference.HeatedLogits(row.values().data()).data(), one.vocabulary));
  }
}

std::vector<GoldenCase> MakeCases() {
  test::Random random(20260101);
  std::vector<GoldenCase> cases;
  for (const int64_t vocabulary : kVocabularies) {
    for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16}) {
      GoldenCase one;
      one.type = type;
      one.vocabulary = vocabulary;
      one.rows = RowsOf(vocabulary);
      const auto size = static_cast<uint32_t>(vocabulary);
      for (int64_t row = 0; row < one.rows; ++row) {
        // Half the rows get records that people ask for, half get records that look for trouble.
        const test::TypedRow typed(test::TroublesomeRow(random, size), type);
        Record record = test::TroublesomeRecord(random, size);
        if (row % 4 == 0) {
          record = test::PlainRecord(random.Bits());
          record.top_k = 50;
          record.top_p = 0.9f;
        }
        if (row % 4 == 1) {
          record = test::PlainRecord(random.Bits());
          record.top_p = row % 8 == 1 ? 1.0f : 0.9f;
        }
        Append(one, typed, record, random.Below(4), random.Below(2 * size));
      }
      cases.push_back(std::move(one));
    }
  }
  return cases;
}

}  // namespace
}  // namespace fire::gpu

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: write_golden FILE\n", stderr);
    return 2;
  }
  try {
    std::vector<fire::gpu::GoldenCase> cases = fire::gpu::MakeCases();
    fire::gpu::WriteGolden(arguments[1], cases);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_golden: %s\n", error.what());
    return 1;
  }
}
