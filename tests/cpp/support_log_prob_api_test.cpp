// The C++ API around the rows of support_log_prob: where each row's arguments lie, where its results go, and what is
// refused before anything is written.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "definition/support_reference.h"
#include "fire/sampling.h"
#include "test_support.h"

namespace fire::test {
namespace {

constexpr int64_t kRows = 7, kVocabulary = 50, kWidth = 6;

// Rows whose supports hold 0 to 6 tokens, none of which stands for all, and a token that most of them hold.
struct SupportRows {
  SupportRows() : logits(kRows * kVocabulary), support(kRows * kWidth, -1) {
    Random random(1);
    for (float& x : logits) x = static_cast<float>(3 * random.Bell());
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t i = 0; i < row; ++i)
        support[static_cast<size_t>(row * kWidth + i)] = static_cast<int32_t>(7 * i + row);
      token.push_back(row == 3 ? 49 : row == 0 ? 5 : row);
      temperature.push_back(0.5f + 0.25f * static_cast<float>(row));
      grad.push_back(static_cast<float>(random.Bell()));
      full_grad.push_back(static_cast<float>(random.Bell()));
    }
  }

  SupportBatch ToBatch() const {
    SupportBatch batch;
    batch.logits = logits.data();
    batch.rows = kRows;
    batch.vocabulary = kVocabulary;
    batch.token = token.data();
    batch.support = support.data();
    batch.width = kWidth;
    batch.temperature = temperature.data();
    return batch;
  }

  definition::SupportReferenceRow Reference(int64_t row, float row_temperature) const {
    const auto begin = logits.begin() + row * kVocabulary;
    const auto places = support.begin() + row * kWidth;
    return {{begin, begin + kVocabulary}, token[static_cast<size_t>(row)], {places, places + kWidth}, row_temperature};
  }
  definition::SupportReferenceRow Reference(int64_t row) const {
    return Reference(row, temperature[static_cast<size_t>(row)]);
  }

  std::vector<float> logits;
  std::vector<int64_t> token;
  std::vector<int32_t> support;
  std::vector<float> temperature, grad, full_grad;
};

struct Results {
  Results() : logprob(kRows, kNan), full_logprob(kRows, kNan), status(kRows, -1), masses(kRows) {}

  SupportLogProbOutputs Outputs() { return {logprob.data(), full_logprob.data(), status.data(), masses.data()}; }

  std::vector<float> logprob, full_logprob;
  std::vector<int32_t> status;
  std::vector<SupportMasses> masses;
};

void ExpectAsReference(const SupportBatch& batch, const SupportRows& rows) {
  Results results;
  SupportLogProbCpu(batch, results.Outputs());
  for (int64_t row = 0; row < kRows; ++row) {
    const size_t at = static_cast<size_t>(row);
    const definition::SupportReferenceRow reference = rows.Reference(row);
    EXPECT_EQ(BitsOf(results.logprob[at]), BitsOf(reference.LogProb())) << row;
    EXPECT_EQ(BitsOf(results.full_logprob[at]), BitsOf(reference.FullLogProb())) << row;
    EXPECT_EQ(results.status[at], 0) << row;
    EXPECT_EQ(results.masses[at].mass, reference.Masses().mass) << row;
  }
}

TEST(SupportLogProbApi, NoRowsTouchNothing) {
  SupportLogProbCpu(SupportBatch{}, {});
  SupportLogProbBackwardCpu(SupportBatch{}, nullptr, nullptr, nullptr, nullptr, 0);
}

TEST(SupportLogProbApi, ArraysWithoutGapsNeedNoStride) {
  const SupportRows rows;
  ExpectAsReference(rows.ToBatch(), rows);
}

TEST(SupportLogProbApi, EveryArgumentIsReadAtItsStride) {
  const SupportRows rows;
  SupportBatch batch = rows.ToBatch();
  std::vector<float> logits(kRows * 61, kInfinity), temperature(kRows * 2, kNan);
  std::vector<int32_t> support(kRows * 9, 12345);
  std::vector<int64_t> token(kRows * 3, -7);
  for (size_t row = 0; row < kRows; ++row) {
    std::copy_n(&rows.logits[row * kVocabulary], kVocabulary, &logits[row * 61]);
    std::copy_n(&rows.support[row * kWidth], kWidth, &support[row * 9]);
    token[3 * row] = rows.token[row];
    temperature[2 * row] = rows.temperature[row];
  }
  batch.logits = logits.data();
  batch.row_stride = 61;
  batch.support = support.data();
  batch.support_stride = 9;
  batch.token = token.data();
  batch.token_stride = 3;
  batch.temperature = temperature.data();
  batch.temperature_stride = 2;
  ExpectAsReference(batch, rows);

  batch.temperature_stride = 0;  // one for every row
  SupportRows same = rows;
  same.temperature.assign(kRows, rows.temperature[0]);
  ExpectAsReference(batch, same);
}

TEST(SupportLogProbApi, AnOutputThatIsNotWantedIsNotWrittenAndTheOthersAreAsEver) {
  const SupportRows rows;
  Results all, some;
  SupportLogProbCpu(rows.ToBatch(), all.Outputs());
  const SupportLogProbOutputs wanted = some.Outputs();
  SupportLogProbCpu(rows.ToBatch(), {wanted.logprob, nullptr, nullptr, nullptr});
  SupportLogProbCpu(rows.ToBatch(), {nullptr, wanted.full_logprob, nullptr, nullptr});
  SupportLogProbCpu(rows.ToBatch(), {nullptr, nullptr, wanted.status, nullptr});
  EXPECT_EQ(some.logprob, all.logprob);
  EXPECT_EQ(some.full_logprob, all.full_logprob);
  EXPECT_EQ(some.status, all.status);
}

TEST(SupportLogProbApi, TheGradientIsWrittenAtItsStrideAndANullWeightIsZero) {
  const SupportRows rows;
  Results results;
  SupportLogProbCpu(rows.ToBatch(), results.Outputs());
  constexpr int64_t kStride = kVocabulary + 3;
  for (int kind = 0; kind < 4; ++kind) {
    const float* const grad = (kind & 1) != 0 ? rows.grad.data() : nullptr;
    const float* const full_grad = (kind & 2) != 0 ? rows.full_grad.data() : nullptr;
    std::vector<float> out(kRows * kStride, 123.0f);
    SupportLogProbBackwardCpu(rows.ToBatch(), results.masses.data(), grad, full_grad, out.data(), kStride);
    for (int64_t row = 0; row < kRows; ++row) {
      const std::vector<float> expected = rows.Reference(row).Gradient(grad == nullptr ? 0.0f : grad[row],
                                                                       full_grad == nullptr ? 0.0f : full_grad[row]);
      for (int64_t id = 0; id < kStride; ++id)
        ASSERT_EQ(out[static_cast<size_t>(row * kStride + id)],
                  id < kVocabulary ? expected[static_cast<size_t>(id)] : 123.0f)
            << "kind " << kind << ", row " << row << ", id " << id;
    }
  }
}

TEST(SupportLogProbApi, LargeBatchesGoThroughTheCallersThreads) {
  const std::vector<float> logits(2000 * 50, 1.0f), temperature(1, 1.0f);
  const std::vector<int64_t> token(2000, 3);
  const std::vector<int32_t> support(1, -1);
  SupportBatch batch;
  batch.logits = logits.data();
  batch.rows = 2000;
  batch.vocabulary = 50;
  batch.token = token.data();
  batch.support = support.data();
  batch.width = 1;
  batch.support_stride = 0;
  batch.temperature = temperature.data();
  batch.temperature_stride = 0;
  std::atomic<int> calls{0};
  const ParallelFor backwards = [&](int64_t count, const ParallelForBody& body) {
    ++calls;
    for (int64_t row = count; row-- > 0;) body(row, row + 1);
  };
  std::vector<float> logprob(2000);
  std::vector<SupportMasses> masses(2000);
  SupportLogProbCpu(batch, {logprob.data(), nullptr, nullptr, masses.data()}, backwards);
  EXPECT_EQ(calls, 1);
  for (const float value : logprob) ASSERT_NEAR(value, -std::log(50.0f), 1e-6f * std::log(50.0f));
  std::vector<float> gradient(2000 * 50);
  SupportLogProbBackwardCpu(batch, masses.data(), logprob.data(), nullptr, gradient.data(), 50, backwards);
  EXPECT_EQ(calls, 2);
}

// What a call says to a batch, and that it has written nothing.
std::string Refusal(const SupportBatch& batch) {
  Results results;
  std::vector<float> gradient(kRows * kVocabulary, 123.0f);
  const std::string words = RefusalOf([&] { SupportLogProbCpu(batch, results.Outputs()); });
  for (const float value : results.logprob) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(results.status, std::vector<int32_t>(kRows, -1));
  try {
    SupportLogProbBackwardCpu(batch, results.masses.data(), nullptr, nullptr, gradient.data(), kVocabulary);
    ADD_FAILURE() << "the gradient of what is refused: " << words;
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(error.what(), words);
  }
  EXPECT_EQ(gradient, std::vector<float>(kRows * kVocabulary, 123.0f));
  return words;
}

TEST(SupportLogProbApi, ARowWithoutAValidSupportOrTemperatureIsNamedBeforeAnythingIsWritten) {
  SupportRows rows;
  const auto with = [&](size_t row, std::vector<int32_t> places) {
    SupportRows changed = rows;
    std::copy(places.begin(), places.end(), changed.support.begin() + static_cast<std::ptrdiff_t>(row * kWidth));
    return Refusal(changed.ToBatch());
  };
  const std::string expected = ", expected ids from 0 to 49 in ascending order, then -1";
  EXPECT_EQ(with(6, {4, 4}), "SupportBatch::support of row 6 has 4 behind 4 in place 1" + expected);
  EXPECT_EQ(with(2, {9, 3, -1}), "SupportBatch::support of row 2 has 3 behind 9 in place 1" + expected);
  EXPECT_EQ(with(0, {50}), "SupportBatch::support of row 0 has 50 in place 0" + expected);
  EXPECT_EQ(with(0, {-2}), "SupportBatch::support of row 0 has -2 in place 0" + expected);
  EXPECT_EQ(with(1, {2, -1, -1, 7}), "SupportBatch::support of row 1 has 7 behind -1 in place 3" + expected);
  for (const float temperature : {0.0f, -1.0f, kInfinity}) {
    rows.temperature[4] = temperature;
    const std::string shown = temperature == 0.0f ? "0" : temperature < 0 ? "-1" : "inf";
    EXPECT_EQ(Refusal(rows.ToBatch()),
              "SupportBatch::temperature of row 4 is " + shown + ", expected a finite one of at least 2^-64");
  }
}

TEST(SupportLogProbApi, ABatchThatCannotBeReadIsRefusedByName) {
  const SupportRows rows;
  const auto refusal = [&](auto change) {
    SupportBatch batch = rows.ToBatch();
    change(batch);
    return Refusal(batch);
  };
  EXPECT_EQ(refusal([](SupportBatch& b) { b.rows = -1; }), "SupportBatch::rows is -1, expected 0 or more");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.vocabulary = 0; }), "SupportBatch::vocabulary is 0, expected 1 to 2097152");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.width = 0; }), "SupportBatch::width is 0, expected 1 to 2097152");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.logits = nullptr; }), "SupportBatch::logits is 0, expected memory");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.token = nullptr; }), "SupportBatch::token is 0, expected memory");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.support = nullptr; }), "SupportBatch::support is 0, expected memory");
  EXPECT_EQ(refusal([](SupportBatch& b) { b.temperature = nullptr; }),
            "SupportBatch::temperature is 0, expected memory");
  std::vector<float> gradient(kRows * kVocabulary);
  std::vector<SupportMasses> masses(kRows);
  EXPECT_THROW(SupportLogProbBackwardCpu(rows.ToBatch(), nullptr, nullptr, nullptr, gradient.data(), kVocabulary),
               std::invalid_argument);
  EXPECT_THROW(SupportLogProbBackwardCpu(rows.ToBatch(), masses.data(), nullptr, nullptr, nullptr, kVocabulary),
               std::invalid_argument);
  EXPECT_THROW(
      SupportLogProbBackwardCpu(rows.ToBatch(), masses.data(), nullptr, nullptr, gradient.data(), kVocabulary - 1),
      std::invalid_argument);
}

}  // namespace
}  // namespace fire::test
