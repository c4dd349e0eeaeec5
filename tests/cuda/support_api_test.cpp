// The C++ API of the support on a device: where it reads each argument, what it refuses, and that a captured graph
// replays it with what then lies in memory.
#include <algorithm>
#include <functional>

#include "tests/cpp/support_rows.h"
#include "tests/cuda/captured_graph.h"
#include "tests/cuda/sample_check.h"

namespace fire::test {
namespace {

void ExpectSameRefusal(const std::function<void()>& cpu, const std::function<void()>& cuda) {
  EXPECT_NE(RefusalOf(cpu), kNothingThrown);
  EXPECT_EQ(RefusalOf(cuda), RefusalOf(cpu));
}

TEST(CudaSupportApi, WhatTheCpuRefusesBeforeItReadsARowIsRefusedInItsWords) {
  const DeviceBatch rows({{std::vector<float>(40, 0.5f)}, {std::vector<float>(40, 0.5f)}}, LogitsType::kFloat32, {});
  DeviceOutputs out(2, {});
  DeviceArray<int32_t> places(20);
  for (const int64_t width : {int64_t{-1}, int64_t{0}, kMaxVocabulary + 1}) {
    const SupportOutputs support = {width, places.get(), nullptr};
    ExpectSameRefusal([&] { SampleWithSupportCpu(rows.batch(), support, out.outputs()); },
                      [&] { SampleWithSupportCuda(rows.batch(), support, out.outputs(), nullptr); });
  }
  ExpectSameRefusal(
      [&] {
        SampleWithSupportCpu(rows.batch(), {10, nullptr, nullptr}, out.outputs());
      },
      [&] {
        SampleWithSupportCuda(rows.batch(), {10, nullptr, nullptr}, out.outputs(), nullptr);
      });
  ExpectSameRefusal(
      [&] {
        SampleWithSupportCpu(rows.batch(), {10, places.get(), nullptr}, {});
      },
      [&] {
        SampleWithSupportCuda(rows.batch(), {10, places.get(), nullptr}, {}, nullptr);
      });

  const DeviceArray<int64_t> token(2);
  const DeviceArray<float> temperature(2), grad(2);
  DeviceArray<float> gradient(80);
  DeviceArray<SupportMasses> masses(2);
  SupportBatch good;
  good.logits = rows.batch().logits, good.rows = 2, good.vocabulary = 40, good.width = 10;
  good.token = token.get(), good.support = places.get(), good.temperature = temperature.get();
  using Change = std::function<void(SupportBatch&)>;
  const Change changes[] = {
      [](SupportBatch& b) { b.rows = -1; },         [](SupportBatch& b) { b.vocabulary = 0; },
      [](SupportBatch& b) { b.width = 0; },         [](SupportBatch& b) { b.width = kMaxVocabulary + 1; },
      [](SupportBatch& b) { b.logits = nullptr; },  [](SupportBatch& b) { b.token = nullptr; },
      [](SupportBatch& b) { b.support = nullptr; }, [](SupportBatch& b) { b.temperature = nullptr; }};
  for (const Change& change : changes) {
    SupportBatch batch = good;
    change(batch);
    ExpectSameRefusal([&] { SupportLogProbCpu(batch, {}); }, [&] { SupportLogProbCuda(batch, {}, nullptr); });
  }
  const auto backward = [&](const SupportMasses* of, void* to, int64_t stride) {
    ExpectSameRefusal([&] { SupportLogProbBackwardCpu(good, of, grad.get(), nullptr, to, stride); },
                      [&] { SupportLogProbBackwardCuda(good, of, grad.get(), nullptr, to, stride, nullptr); });
  };
  backward(nullptr, gradient.get(), 40);
  backward(masses.get(), nullptr, 40);
  backward(masses.get(), gradient.get(), 39);
  SupportBatch unknown = good;
  unknown.logits_type = static_cast<LogitsType>(3);
  EXPECT_NE(RefusalOf([&] { SupportLogProbCuda(unknown, {}, nullptr); }).find("expected a LogitsType"),
            std::string::npos);
}

// Rows of logits, supports, tokens and temperatures as the strides of a batch have them.
struct StridedRows {
  static constexpr int64_t kRows = 5, kVocabulary = 40, kWidth = 4;

  // `stride` places from a row to the next; row 0 lies last where it is negative.
  template <typename T>
  static DeviceArray<T> Spread(const std::vector<T>& values, int64_t length, int64_t stride) {
    const int64_t apart = stride < 0 ? -stride : stride;
    std::vector<T> all(static_cast<size_t>((kRows - 1) * apart + length));
    for (int64_t row = 0; row < (stride == 0 ? 1 : kRows); ++row)
      std::copy_n(values.begin() + row * length, length, all.begin() + (stride < 0 ? kRows - 1 - row : row) * apart);
    return DeviceArray<T>(all);
  }
  static int64_t FirstOf(int64_t stride) { return stride < 0 ? (1 - kRows) * stride : 0; }

  std::vector<float> logits, temperature;
  std::vector<int32_t> support;
  std::vector<int64_t> token;
};

TEST(CudaSupportApi, EveryArgumentIsReadAtItsStride) {
  constexpr int64_t kRows = StridedRows::kRows, kVocabulary = StridedRows::kVocabulary, kWidth = StridedRows::kWidth;
  Random random(Seed());
  StridedRows rows;
  for (int64_t i = 0; i < kRows * kVocabulary; ++i) rows.logits.push_back(static_cast<float>(3 * random.Bell()));
  for (int32_t row = 0; row < kRows; ++row) {
    for (const int32_t id : {row, 2 * row + 5, 3 * row + 9, -1}) rows.support.push_back(id);
    rows.token.push_back(2 * row + 5);
    rows.temperature.push_back(0.5f + 0.25f * static_cast<float>(row));
  }
  struct Strides {
    int64_t logits, support, token, temperature;
  };
  // Without gaps, apart, backwards, and one row for all.
  for (const Strides& strides : {Strides{kVocabulary, kWidth, 1, 1}, Strides{kVocabulary + 5, kWidth + 3, 3, 2},
                                 Strides{-kVocabulary - 1, -kWidth - 2, -2, -1}, Strides{0, 0, 0, 0}}) {
    const DeviceArray<float> logits = StridedRows::Spread(rows.logits, kVocabulary, strides.logits);
    const DeviceArray<int32_t> support = StridedRows::Spread(rows.support, kWidth, strides.support);
    const DeviceArray<int64_t> token = StridedRows::Spread(rows.token, 1, strides.token);
    const DeviceArray<float> temperature = StridedRows::Spread(rows.temperature, 1, strides.temperature);
    SupportBatch batch;
    batch.rows = kRows, batch.vocabulary = kVocabulary, batch.width = kWidth;
    batch.logits = logits.get() + StridedRows::FirstOf(strides.logits);
    batch.support = support.get() + StridedRows::FirstOf(strides.support);
    batch.token = token.get() + StridedRows::FirstOf(strides.token);
    batch.temperature = temperature.get() + StridedRows::FirstOf(strides.temperature);
    batch.token_stride = strides.token, batch.temperature_stride = strides.temperature;
    if (strides.logits != kVocabulary) batch.row_stride = strides.logits, batch.support_stride = strides.support;

    const DeviceArray<SupportMasses> masses(kRows);
    const DeviceArray<float> logprob(kRows), gradient(kRows * kVocabulary), ones(std::vector<float>(kRows, 1.0f));
    SupportLogProbCuda(batch, {logprob.get(), nullptr, nullptr, masses.get()}, nullptr);
    SupportLogProbBackwardCuda(batch, masses.get(), ones.get(), nullptr, gradient.get(), kVocabulary, nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernels of support_log_prob");
    row_runs += 2 * kRows;
    const std::vector<float> logprobs = logprob.Read(), gradients = gradient.Read();
    for (int64_t row = 0; row < kRows; ++row) {
      const int64_t of = strides.logits == 0 ? 0 : row;
      const auto at = rows.logits.begin() + of * kVocabulary;
      const auto places = rows.support.begin() + of * kWidth;
      const definition::SupportReferenceRow reference({at, at + kVocabulary}, rows.token[static_cast<size_t>(of)],
                                                      {places, places + kWidth},
                                                      rows.temperature[static_cast<size_t>(of)]);
      EXPECT_TRUE(CloseFloat(logprobs[static_cast<size_t>(row)], reference.LogProb()))
          << "row " << row << ", logits " << strides.logits << " apart";
      const auto got = gradients.begin() + row * kVocabulary;
      EXPECT_EQ(std::vector<float>(got, got + kVocabulary), reference.Gradient(1.0f, 0.0f)) << "row " << row;
    }
  }
}

TEST(CudaSupportApi, NoRowsIsNoWorkAndNeedsNoMemory) {
  EXPECT_NO_THROW(SampleWithSupportCuda({}, {1, nullptr, nullptr}, {}, nullptr));
  EXPECT_NO_THROW(SupportLogProbCuda({}, {}, nullptr));
  EXPECT_NO_THROW(SupportLogProbBackwardCuda({}, nullptr, nullptr, nullptr, nullptr, 0, nullptr));
  ThrowOnError(cudaDeviceSynchronize(), "no work");
}

// A rollout's draw and its trainer's half in one graph: the second reads the support that the first writes.
TEST(CudaSupportApi, ACapturedGraphScoresTheSupportsThatItDraws) {
  constexpr uint32_t kRows = 3, kVocabulary = 2000, kWidth = 24;
  Random random(5);
  std::vector<RowCase> cases(kRows);
  for (RowCase& row : cases) {
    for (uint32_t id = 0; id < kVocabulary; ++id) row.logits.push_back(static_cast<float>(2 * random.Bell()));
    row.record.top_k = 20;
  }
  const DeviceBatch rows(cases, LogitsType::kBFloat16, {});
  DeviceArray<int64_t> step(1);
  DeviceArray<int32_t> places(kRows * kWidth), status(kRows);
  DeviceArray<float> logprob(kRows), full_logprob(kRows);
  DeviceArray<SupportMasses> masses(kRows);
  const DeviceArray<float> temperature(std::vector<float>{1.0f}), grad(std::vector<float>{1.0f, -2.0f, 0.5f});
  DeviceArray<uint16_t> gradient(kRows * kVocabulary);
  DeviceOutputs out(kRows, {});
  Batch batch = rows.batch();
  batch.step = step.get(), batch.step_stride = 0, batch.step_is_int64 = true;
  SupportBatch given;
  given.logits = batch.logits, given.logits_type = batch.logits_type, given.rows = kRows;
  given.vocabulary = kVocabulary, given.row_stride = batch.row_stride, given.token = out.outputs().token;
  given.support = places.get(), given.width = kWidth;
  given.temperature = temperature.get(), given.temperature_stride = 0;
  const Stream stream;
  const CapturedGraph graph(stream, [&] {
    SampleWithSupportCuda(batch, {kWidth, places.get(), nullptr}, out.outputs(), stream.get());
    SupportLogProbCuda(given, {logprob.get(), full_logprob.get(), status.get(), masses.get()}, stream.get());
    SupportLogProbBackwardCuda(given, masses.get(), grad.get(), grad.get(), gradient.get(), kVocabulary, stream.get());
  });
  for (const int64_t now : {1, 2, 77}) {
    ThrowOnError(cudaMemcpy(step.get(), &now, sizeof now, cudaMemcpyHostToDevice), "step");
    graph.Replay();
    row_runs += 3 * kRows;
    const std::vector<int32_t> supports = places.Read();
    const std::vector<float> of_support = logprob.Read(), of_row = full_logprob.Read();
    const std::vector<uint16_t> slopes = gradient.Read();
    for (size_t row = 0; row < kRows; ++row) {
      const std::vector<float> logits = rows.rows()[row].values();
      const definition::ReferenceRow drawn(logits.data(), kVocabulary, cases[row].record, now);
      const std::vector<int32_t> support(supports.begin() + static_cast<std::ptrdiff_t>(row * kWidth),
                                         supports.begin() + static_cast<std::ptrdiff_t>((row + 1) * kWidth));
      ASSERT_EQ(support, drawn.SupportOf(kWidth).token) << "row " << row << ", step " << now;
      const definition::SupportReferenceRow scored(logits, drawn.Sample().token, support, 1.0f);
      EXPECT_TRUE(CloseFloat(of_support[row], scored.LogProb())) << "row " << row << ", step " << now;
      EXPECT_TRUE(CloseFloat(of_support[row], drawn.Sample().logprob)) << "row " << row << ", step " << now;
      EXPECT_TRUE(CloseFloat(of_row[row], scored.FullLogProb())) << "row " << row << ", step " << now;
      const float weight = std::vector<float>{1.0f, -2.0f, 0.5f}[row];
      const std::vector<float> want = scored.Gradient(weight, weight);
      for (uint32_t id = 0; id < kVocabulary; ++id)
        ASSERT_EQ(definition::BFloat16ToFloatBits(slopes[row * kVocabulary + id]) << 1,
                  definition::BFloat16ToFloatBits(definition::FloatToBFloat16(want[id])) << 1)
            << "row " << row << ", id " << id;
    }
  }
}

}  // namespace
}  // namespace fire::test
