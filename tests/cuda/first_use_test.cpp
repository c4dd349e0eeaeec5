// The first use of a kernel inside a capture: ctest runs each test in a process of its own, in which no kernel is
// loaded yet, no shared memory granted and no device described. Only a GPU's driver may refuse that. shards_test.cpp
// has the kernels of shards.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/cuda/captured_graph.h"
#include "tests/cuda/named_rows.h"
#include "tests/cuda/sample_check.h"

namespace fire::test {
namespace {

// So few that they share the largest clusters there are.
constexpr int64_t kRows = 2, kVocabulary = 50000, kWidth = 300, kMembers = 3;

std::vector<RowCase> Rows() {
  Random random(Seed());
  std::vector<RowCase> cases(kRows);
  for (RowCase& row : cases) {
    for (int64_t id = 0; id < kVocabulary; ++id) row.logits.push_back(Model(random, kVocabulary));
    row.record.top_k = 200;
  }
  return cases;
}

// A batch, and memory for what any function writes of it.
struct Call {
  DeviceBatch rows{Rows(), LogitsType::kBFloat16, {}};
  DeviceArray<int64_t> asked{std::vector<int64_t>(kRows, 7)};
  DeviceArray<float> ones{std::vector<float>(kRows, 1.0f)};
  DeviceArray<int32_t> all{std::vector<int32_t>(kRows, -1)};  // the support of every id
  DeviceArray<int64_t> token{kRows * kMembers};
  DeviceArray<float> logprob{kRows * kMembers};
  DeviceArray<int32_t> status{kRows}, support{kRows * kWidth};
  DeviceArray<uint64_t> code{kRows};
  DeviceArray<SupportMasses> masses{kRows};
  DeviceArray<float> matrix{kRows * kVocabulary};

  SampleOutputs Outputs() const {
    SampleOutputs outputs;
    outputs.token = token.get(), outputs.logprob = logprob.get(), outputs.status = status.get();
    return outputs;
  }

  SupportBatch OverAll() const {
    SupportBatch batch;
    batch.logits = rows.batch().logits, batch.logits_type = rows.batch().logits_type;
    batch.rows = kRows, batch.vocabulary = kVocabulary, batch.row_stride = rows.batch().row_stride;
    batch.token = asked.get(), batch.support = all.get(), batch.width = 1, batch.temperature = ones.get();
    return batch;
  }

  void Poison() {
    token.Fill(0xEE), logprob.Fill(0xEE), status.Fill(0xEE), support.Fill(0xEE);
    code.Fill(0xEE), masses.Fill(0xEE), matrix.Fill(0xEE);
  }

  std::vector<unsigned char> Written() const {
    std::vector<unsigned char> bytes;
    const auto add = [&bytes](const auto& array) {
      const auto values = array.Read();
      const auto* begin = reinterpret_cast<const unsigned char*>(values.data());
      bytes.insert(bytes.end(), begin, begin + values.size() * sizeof values[0]);
    };
    add(token), add(logprob), add(status), add(support), add(code), add(masses), add(matrix);
    return bytes;
  }
};

struct Use {
  const char* name;
  void (*launch)(const Call& call, CudaStream stream);
};

void PrintTo(const Use& use, std::ostream* out) { *out << use.name; }

constexpr Use kUses[] = {
    {"Sample", [](const Call& call, CudaStream stream) { SampleCuda(call.rows.batch(), call.Outputs(), stream); }},
    {"SampleOfRowsThatAreStreamed",
     [](const Call& call, CudaStream stream) {
       const kernels::Plan plan = kernels::PlanFor(kernels::Task::kSample, 100000, kVocabulary, LogitsType::kBFloat16,
                                                   kernels::CurrentDevice());
       kernels::SampleWithPlan(call.rows.batch(), call.Outputs(), plan, stream);
     }},
    {"SampleGroup",
     [](const Call& call, CudaStream stream) { SampleGroupCuda(call.rows.batch(), kMembers, call.Outputs(), stream); }},
    {"SampleWithSupport",
     [](const Call& call, CudaStream stream) {
       SampleWithSupportCuda(call.rows.batch(), {kWidth, call.support.get(), nullptr}, call.Outputs(), stream);
     }},
    {"FirstCode",
     [](const Call& call, CudaStream stream) { FirstCodeCuda(call.rows.batch(), call.code.get(), stream); }},
    {"ProcessLogits",
     [](const Call& call, CudaStream stream) {
       ProcessLogitsCuda(call.rows.batch(), call.matrix.get(), kVocabulary, stream);
     }},
    {"SupportLogProbAndItsGradient",
     [](const Call& call, CudaStream stream) {
       const SupportBatch batch = call.OverAll();
       const float* grad = call.ones.get();
       SupportLogProbCuda(batch, {call.logprob.get(), nullptr, call.status.get(), call.masses.get()}, stream);
       SupportLogProbBackwardCuda(batch, call.masses.get(), grad, grad, call.matrix.get(), kVocabulary, stream);
     }},
};

class FirstUse : public testing::TestWithParam<Use> {};

TEST_P(FirstUse, MayBeCaptured) {
  Call call;
  call.Poison();
  const std::vector<unsigned char> poison = call.Written();
  const Stream stream;
  const CapturedGraph graph(stream, [&] { GetParam().launch(call, stream.get()); });
  graph.Replay();
  row_runs += 2 * kRows;
  const std::vector<unsigned char> replayed = call.Written();
  EXPECT_NE(replayed, poison);
  call.Poison();
  GetParam().launch(call, stream.get());
  stream.Finish();
  EXPECT_EQ(replayed, call.Written());
}

INSTANTIATE_TEST_SUITE_P(Kernels, FirstUse, testing::ValuesIn(kUses),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace fire::test
