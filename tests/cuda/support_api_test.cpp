// The C++ API of the support on a device: what it refuses, and that a captured graph replays it with what then lies in
// memory.
#include <functional>

#include "tests/cpp/support_rows.h"
#include "tests/cuda/sample_check.h"

namespace fire::test {
namespace {

std::string RefusalOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

void ExpectSameRefusal(const std::function<void()>& cpu, const std::function<void()>& cuda) {
  EXPECT_NE(RefusalOf(cpu), "nothing was thrown");
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
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t runnable = nullptr;
  ThrowOnError(cudaStreamCreate(&stream), "stream");
  ThrowOnError(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), "begin capture");
  SampleWithSupportCuda(batch, {kWidth, places.get(), nullptr}, out.outputs(), stream);
  SupportLogProbCuda(given, {logprob.get(), full_logprob.get(), status.get(), masses.get()}, stream);
  SupportLogProbBackwardCuda(given, masses.get(), grad.get(), grad.get(), gradient.get(), kVocabulary, stream);
  ThrowOnError(cudaStreamEndCapture(stream, &graph), "end capture");
  ThrowOnError(cudaGraphInstantiate(&runnable, graph, 0), "instantiate");
  for (const int64_t now : {1, 2, 77}) {
    ThrowOnError(cudaMemcpy(step.get(), &now, sizeof now, cudaMemcpyHostToDevice), "step");
    ThrowOnError(cudaGraphLaunch(runnable, stream), "replay");
    ThrowOnError(cudaStreamSynchronize(stream), "the graph");
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
  cudaGraphExecDestroy(runnable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

}  // namespace
}  // namespace fire::test
