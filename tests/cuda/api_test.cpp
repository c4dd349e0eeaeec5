// The C++ API on a device: what it refuses, that it does nothing but launch, and that graphs, streams and other devices
// are as good as the default.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <thread>

#include "definition/code.h"
#include "tests/cuda/captured_graph.h"
#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

using kernels::Task;

std::vector<RowCase> Rows(int rows, uint32_t vocabulary = 40) {
  Random random(11);
  std::vector<RowCase> cases;
  for (int row = 0; row < rows; ++row)
    cases.push_back({TroublesomeRow(random, vocabulary), PlainRecord(random.Bits()), row, "row"});
  return cases;
}

TEST(CudaApi, EveryFunctionRefusesABatchThatCannotBeReadInTheCpusWords) {
  const DeviceBatch rows(Rows(4), LogitsType::kFloat32, {});
  DeviceArray<float> out(4 * 40);
  DeviceArray<int64_t> token(4);
  DeviceArray<uint64_t> code(4);
  DeviceOutputs outputs(4, {});
  using Change = std::function<void(Batch&)>;
  const Change changes[] = {[](Batch& b) { b.rows = -1; },
                            [](Batch& b) { b.vocabulary = 0; },
                            [](Batch& b) { b.vocabulary = kMaxVocabulary + 1; },
                            [](Batch& b) { b.logits = nullptr; },
                            [](Batch& b) { b.step = nullptr; },
                            [](Batch& b) { b.records = nullptr; },
                            [](Batch& b) { b.record_count = 3; }};
  for (const Change& change : changes) {
    Batch batch = rows.batch();
    change(batch);
    float* logits = const_cast<float*>(static_cast<const float*>(batch.logits));
    batch.row_stride = kMaxVocabulary + 1;  // so that heating has nothing else to refuse
    const std::string cpu = RefusalOf([&] { SampleCpu(batch, outputs.outputs()); });
    EXPECT_NE(cpu, "nothing was thrown");
    EXPECT_EQ(RefusalOf([&] { SampleCuda(batch, outputs.outputs(), nullptr); }), cpu);
    EXPECT_EQ(RefusalOf([&] { SampleGroupCuda(batch, 1, outputs.outputs(), nullptr); }), cpu);
    EXPECT_EQ(RefusalOf([&] { SampleCodedCuda(batch, code.get(), 1, token.get(), code.get(), nullptr); }), cpu);
    const bool is_of_sequences = batch.logits != nullptr && batch.vocabulary == 40;
    if (is_of_sequences) {
      EXPECT_EQ(RefusalOf([&] { FirstCodeCuda(batch, code.get(), nullptr); }), cpu);
    }
    EXPECT_EQ(RefusalOf([&] { HeatLogitsCuda(batch, logits, nullptr); }), cpu);
    EXPECT_EQ(RefusalOf([&] { LogProbCuda(batch, token.get(), 1, out.get(), nullptr); }), cpu);
    EXPECT_EQ(RefusalOf([&] { ProcessLogitsCuda(batch, out.get(), kMaxVocabulary + 1, nullptr); }), cpu);
    EXPECT_EQ(RefusalOf([&] {
                LogProbBackwardCuda(batch, token.get(), 1, out.get(), 1, out.get(), kMaxVocabulary + 1, nullptr);
              }),
              cpu);
  }
}

TEST(CudaApi, MissingMemoryAndOverlappingRowsAreRefusedInTheCpusWords) {
  const DeviceBatch rows(Rows(4), LogitsType::kFloat32, {});
  const Batch& batch = rows.batch();
  DeviceArray<float> out(4 * 40);
  float* logits = rows.writable_logits();
  const DeviceArray<int64_t> token(std::vector<int64_t>(4));
  const auto same = [](const std::function<void()>& cpu, const std::function<void()>& cuda) {
    EXPECT_NE(RefusalOf(cpu), "nothing was thrown");
    EXPECT_EQ(RefusalOf(cuda), RefusalOf(cpu));
  };
  same([&] { SampleCpu(batch, {}); }, [&] { SampleCuda(batch, {}, nullptr); });
  for (const int64_t size : {int64_t{-1}, int64_t{0}, kMaxGroupSize + 1, int64_t{1}})
    same([&] { SampleGroupCpu(batch, size, {}); }, [&] { SampleGroupCuda(batch, size, {}, nullptr); });
  int64_t* none = nullptr;
  uint64_t* no_code = nullptr;
  same([&] { SampleCodedCpu(batch, no_code, 1, none, no_code); },
       [&] { SampleCodedCuda(batch, no_code, 1, none, no_code, nullptr); });
  same([&] { FirstCodeCpu(batch, no_code); }, [&] { FirstCodeCuda(batch, no_code, nullptr); });
  same([&] { ProcessLogitsCpu(batch, nullptr, 40); }, [&] { ProcessLogitsCuda(batch, nullptr, 40, nullptr); });
  same([&] { ProcessLogitsCpu(batch, out.get(), 39); }, [&] { ProcessLogitsCuda(batch, out.get(), 39, nullptr); });
  same([&] { HeatLogitsCpu(batch, logits + 1); }, [&] { HeatLogitsCuda(batch, logits + 1, nullptr); });
  same([&] { LogProbCpu(batch, nullptr, 1, out.get()); }, [&] { LogProbCuda(batch, nullptr, 1, out.get(), nullptr); });
  same([&] { LogProbCpu(batch, token.get(), 1, nullptr); },
       [&] { LogProbCuda(batch, token.get(), 1, nullptr, nullptr); });
  same([&] { LogProbBackwardCpu(batch, token.get(), 1, nullptr, 1, out.get(), 40); },
       [&] { LogProbBackwardCuda(batch, token.get(), 1, nullptr, 1, out.get(), 40, nullptr); });
  same([&] { LogProbBackwardCpu(batch, token.get(), 1, out.get(), 1, out.get(), 39); },
       [&] { LogProbBackwardCuda(batch, token.get(), 1, out.get(), 1, out.get(), 39, nullptr); });
  Batch overlapping = batch;
  overlapping.row_stride = 39;
  same([&] { HeatLogitsCpu(overlapping, logits); }, [&] { HeatLogitsCuda(overlapping, logits, nullptr); });
  Batch halves = batch;
  halves.logits_type = LogitsType::kFloat16;
  same([&] { HeatLogitsCpu(halves, logits); }, [&] { HeatLogitsCuda(halves, logits, nullptr); });
}

TEST(CudaApi, NoRowsIsNoWorkAndNeedsNoMemory) {
  Batch none;
  EXPECT_NO_THROW(SampleCuda(none, {}, nullptr));
  EXPECT_NO_THROW(SampleGroupCuda(none, 3, {}, nullptr));
  EXPECT_NO_THROW(SampleCodedCuda(none, nullptr, 1, nullptr, nullptr, nullptr));
  EXPECT_NO_THROW(FirstCodeCuda(none, nullptr, nullptr));
  EXPECT_NO_THROW(ProcessLogitsCuda(none, nullptr, 0, nullptr));
  EXPECT_NO_THROW(HeatLogitsCuda(none, nullptr, nullptr));
  EXPECT_NO_THROW(LogProbCuda(none, nullptr, 0, nullptr, nullptr));
  EXPECT_NO_THROW(LogProbBackwardCuda(none, nullptr, 0, nullptr, 0, nullptr, 0, nullptr));
  ThrowOnError(cudaDeviceSynchronize(), "no work");
}

TEST(CudaApi, WhatTheDeviceRefusesIsARuntimeErrorInItsWordsAndTheNextCallWorks) {
  const SampleCheck check(Rows(2), LogitsType::kFloat32, {});
  DeviceOutputs out(2, {});
  Plan plan = PlansHere(Task::kSampleWithReference, 40, LogitsType::kFloat32)[0];
  plan.shared_bytes = size_t{1} << 20;
  const std::string message = MessageOf<std::runtime_error>(
      [&] { kernels::SampleWithPlan(check.batch().batch(), out.outputs(), plan, nullptr); });
  EXPECT_NE(message.find(cudaGetErrorString(cudaErrorInvalidValue)), std::string::npos) << message;
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_TRUE(ExpectEqualsReference(check, nullptr));
}

// Blocks that met once for a pilot that did not serve would wait for each other again.
TEST(CudaApi, APilotInAClusterOrInResidentBlocksIsRefusedBeforeItHangs) {
  const SampleCheck check(Rows(2), LogitsType::kFloat32, {});
  DeviceOutputs out(2, {});
  for (const Plan& good : PlansHere(Task::kSample, 40, LogitsType::kFloat32)) {
    Plan plan = good;
    plan.pilot_shift = 3;
    const std::string told = RefusalOf([&] {
      kernels::SampleWithPlan(check.batch().batch(), out.outputs(), plan, nullptr);
      ThrowOnError(cudaDeviceSynchronize(), "a pilot");
    });
    const bool is_refused = told.find("Plan::pilot_shift is 3 with") == 0;
    EXPECT_EQ(is_refused, good.cluster > 1 || good.resident) << NameOf(good) << ": " << told;
  }
}

TEST(CudaApi, AnUnknownTypeOfLogitsIsRefused) {
  const DeviceBatch rows(Rows(1), LogitsType::kFloat32, {});
  Batch batch = rows.batch();
  batch.logits_type = static_cast<LogitsType>(3);
  DeviceOutputs out(1, {});
  EXPECT_NE(RefusalOf([&] { SampleCuda(batch, out.outputs(), nullptr); }).find("expected a LogitsType"),
            std::string::npos);
}

// row_outputs_test.cpp has the rows that make trouble; here the public functions and their strides.
TEST(CudaApi, TheOtherOperatorsFollowTheirStrides) {
  constexpr size_t kVocabulary = 300, kRows = 4, kStride = kVocabulary + 3;
  std::vector<RowCase> cases = Rows(kRows, kVocabulary);
  for (RowCase& row : cases) {
    for (float& x : row.logits) x = std::isfinite(x) && std::fabs(x) < 100 ? x : 0;
    row.record.top_k = 290, row.record.hot_top_k = 10, row.record.hot_temperature = 30, row.record.hot_steps = 2;
  }
  const DeviceBatch rows(cases, LogitsType::kFloat32, {});
  std::vector<definition::ReferenceRow> references;
  std::vector<int64_t> tokens;  // every second counts
  for (const RowCase& row : cases) {
    references.emplace_back(row.logits.data(), kVocabulary, row.record, row.step);
    tokens.insert(tokens.end(), {references.back().Sample().token, -7});
  }
  const std::vector<float> grads = {0.5f, kNan, kNan, 1.5f, kNan, kNan, 2.5f, kNan, kNan, -3.5f};  // every third
  const DeviceArray<int64_t> token(tokens);
  const DeviceArray<float> grad(grads);
  DeviceArray<float> logprob(kRows), processed(kRows * kStride), gradient(kRows * kStride);
  processed.Fill(0), gradient.Fill(0);
  ProcessLogitsCuda(rows.batch(), processed.get(), kStride, nullptr);
  LogProbCuda(rows.batch(), token.get(), 2, logprob.get(), nullptr);
  LogProbBackwardCuda(rows.batch(), token.get(), 2, grad.get(), 3, gradient.get(), kStride, nullptr);
  HeatLogitsCuda(rows.batch(), rows.writable_logits(), nullptr);
  row_runs += 4 * static_cast<int64_t>(kRows);
  const std::vector<float> got_logprob = logprob.Read(), got_processed = processed.Read(), got = gradient.Read();
  for (size_t row = 0; row < kRows; ++row) {
    const auto row_of = [row](const std::vector<float>& all) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * kStride);
      return std::vector<float>(begin, begin + kVocabulary);
    };
    EXPECT_TRUE(CloseFloat(got_logprob[row], references[row].LogProb(tokens[2 * row])));
    EXPECT_EQ(row_of(got_processed), references[row].ProcessedLogits());
    EXPECT_EQ(row_of(got), references[row].LogProbGradient(tokens[2 * row], grads[3 * row]));
    EXPECT_EQ(rows.ReadFloatRow(row), references[row].HeatedLogits(cases[row].logits.data()));
  }
}

TEST(CudaApi, AnyStreamServes) {
  const SampleCheck check(Rows(5, 3000), LogitsType::kBFloat16, {});
  const Stream stream;
  DeviceOutputs out(5, {});
  SampleCuda(check.batch().batch(), out.outputs(), stream.get());
  stream.Finish();
  row_runs += 5;
  const auto mismatch = check.Compare(out, {});
  EXPECT_FALSE(mismatch) << mismatch->what;
}

TEST(CudaApi, ACapturedGraphReplaysWithTheStepThatThenLiesInMemory) {
  constexpr int kRows = 3;
  std::vector<RowCase> cases = Rows(kRows, 2000);
  for (RowCase& row : cases) row.logits.assign(2000, 0.5f);  // any token
  const DeviceBatch rows(cases, LogitsType::kBFloat16, {});
  DeviceArray<int64_t> step(1);
  Batch batch = rows.batch();
  batch.step = step.get(), batch.step_stride = 0;
  DeviceOutputs out(kRows, {});
  const Stream stream;
  const CapturedGraph graph(stream, [&] { SampleCuda(batch, out.outputs(), stream.get()); });
  for (const int64_t now : {0, 1, 77}) {
    ThrowOnError(cudaMemcpy(step.get(), &now, sizeof now, cudaMemcpyHostToDevice), "step");
    graph.Replay();
    row_runs += kRows;
    const std::vector<int64_t> token = out.Token();
    for (size_t row = 0; row < kRows; ++row)
      EXPECT_EQ(token[row],
                definition::ReferenceRow(cases[row].logits.data(), 2000, cases[row].record, now).Sample().token)
          << "row " << row << ", step " << now;
  }
}

TEST(CudaApi, ACapturedGraphOfACodeThatIsCarriedInPlaceGoesOnWithIt) {
  constexpr int kRows = 3;
  std::vector<RowCase> cases = Rows(kRows, 2000);
  for (RowCase& row : cases) row.logits.assign(2000, 0.5f), row.step = 0;  // any token
  const DeviceBatch rows(cases, LogitsType::kBFloat16, {});
  DeviceArray<int64_t> token(kRows), group(2 * kRows);
  DeviceArray<uint64_t> code(kRows);
  const Stream stream;
  FirstCodeCuda(rows.batch(), code.get(), stream.get());
  SampleOutputs members;
  members.token = group.get();
  const CapturedGraph graph(stream, [&] {
    SampleCodedCuda(rows.batch(), code.get(), 1, token.get(), code.get(), stream.get());
    SampleGroupCuda(rows.batch(), 2, members, stream.get());
  });
  std::vector<uint64_t> carried;
  for (const RowCase& row : cases) carried.push_back(definition::FirstCode(row.record, row.step));
  for (int turn = 0; turn < 3; ++turn) {
    graph.Replay();
    row_runs += 3 * kRows;
    const std::vector<int64_t> tokens = token.Read(), of_members = group.Read();
    for (size_t row = 0; row < kRows; ++row) {
      const auto reference = [&](const Record& record) {
        return definition::ReferenceRow(cases[row].logits.data(), 2000, record, 0);
      };
      const auto want = reference(cases[row].record).SampleCoded(carried[row]);
      EXPECT_EQ(tokens[row], want.token) << "row " << row << ", turn " << turn;
      carried[row] = want.code;
      for (uint32_t member = 0; member < 2; ++member)
        EXPECT_EQ(of_members[2 * row + member],
                  reference(definition::MemberRecord(cases[row].record, 2, member)).Sample().token)
            << "row " << row << ", member " << member;
    }
  }
  EXPECT_EQ(code.Read(), carried);
}

TEST(CudaApi, EveryDeviceServes) {
  int devices = 0;
  ThrowOnError(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  for (int device = devices - 1; device >= 0; --device) {
    ThrowOnError(cudaSetDevice(device), "cudaSetDevice");
    EXPECT_TRUE(ExpectEqualsReference(SampleCheck(Rows(3, 900), LogitsType::kFloat16, {}), nullptr));
  }
}

TEST(CudaApi, ANewThreadThatNamesADeviceSamplesOnIt) {
  int devices = 0;
  ThrowOnError(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  for (int device = devices - 1; device >= 0; --device) {
    std::thread([device] {
      UseCudaDevice(device);
      int current = -1;
      ThrowOnError(cudaGetDevice(&current), "cudaGetDevice");
      EXPECT_EQ(current, device);
      EXPECT_TRUE(ExpectEqualsReference(SampleCheck(Rows(3, 900), LogitsType::kFloat16, {}), nullptr));
    }).join();
  }
}

TEST(CudaApi, ADeviceThatIsNotThereIsARuntimeErrorAndTheCurrentOneStays) {
  for (const int device : {-1, 1 << 20}) {
    const std::string message = MessageOf<std::runtime_error>([&] { UseCudaDevice(device); });
    EXPECT_NE(message.find(cudaGetErrorString(cudaErrorInvalidDevice)), std::string::npos) << message;
  }
  EXPECT_TRUE(ExpectEqualsReference(SampleCheck(Rows(3, 900), LogitsType::kFloat16, {}), nullptr));
}

}  // namespace
}  // namespace fire::test
