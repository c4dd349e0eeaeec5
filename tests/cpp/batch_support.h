// A batch for the C++ API with what the reference says of it, and its tokens.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "definition/reference.h"
#include "fire/sampling.h"
#include "test_support.h"

namespace fire::test {

// Rows of bell-shaped logits, contiguous, each with a record and a step of its own: every second record filters, and
// steps run from −3 to 1, of which 0 is hot.
struct BatchRows {
  explicit BatchRows(int64_t rows_in, int64_t vocabulary_in)
      : rows(rows_in), vocabulary(vocabulary_in), logits(static_cast<size_t>(rows * vocabulary)) {
    Random random(1);
    for (float& x : logits) x = static_cast<float>(3 * random.Bell());
    for (int64_t row = 0; row < rows; ++row) {
      records.push_back(row % 2 == 0 ? Filtered(random.Bits()) : Unfiltered(random.Bits()));
      steps.push_back(row % 5 - 3);
    }
  }

  static Record Unfiltered(uint64_t seed) {
    Record record = PlainRecord(seed);
    record.hot_temperature = 30.0f;
    record.hot_steps = 1;
    return record;
  }
  static Record Filtered(uint64_t seed) {
    Record record = Unfiltered(seed);
    record.temperature = 0.8f;
    record.top_k = 20;
    record.top_p = 0.95f;
    record.hot_top_k = 16;
    return record;
  }

  Batch ToBatch() const {
    Batch batch;
    batch.logits = logits.data();
    batch.rows = rows;
    batch.vocabulary = vocabulary;
    batch.row_stride = vocabulary;
    batch.step = steps.data();
    batch.records = records.data();
    batch.record_count = rows;
    return batch;
  }

  definition::ReferenceRow Reference(int64_t row, const Record& record, int64_t step) const {
    return definition::ReferenceRow(logits.data() + row * vocabulary, static_cast<uint32_t>(vocabulary), record, step);
  }
  definition::ReferenceRow Reference(int64_t row) const {
    return Reference(row, records[static_cast<size_t>(row)], steps[static_cast<size_t>(row)]);
  }

  std::vector<int64_t> ExpectedTokens() const {
    std::vector<int64_t> out;
    for (int64_t row = 0; row < rows; ++row) out.push_back(Reference(row).Sample().token);
    return out;
  }

  int64_t rows, vocabulary;
  std::vector<float> logits;
  std::vector<Record> records;
  std::vector<int64_t> steps;
};

// Halves the rows between two threads; `calls` counts how often it was asked to.
inline ParallelFor InTwoThreads(int* calls) {
  return [calls](int64_t count, const ParallelForBody& body) {
    ++*calls;
    std::thread first([&] { body(0, count / 2); });
    body(count / 2, count);
    first.join();
  };
}

inline std::vector<int64_t> Tokens(const Batch& batch, const ParallelFor& parallel_for = {}) {
  std::vector<int64_t> token(static_cast<size_t>(batch.rows), -1);
  SampleOutputs outputs;
  outputs.token = token.data();
  SampleCpu(batch, outputs, parallel_for);
  return token;
}

}  // namespace fire::test
