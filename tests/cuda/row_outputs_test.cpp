// process_logits, heat_logits_ and log_prob with its gradient, by every plan, against the reference.
#include <gtest/gtest.h>

#include <memory>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/shrink.h"

namespace fire::test {
namespace {

using definition::ReferenceRow;
using kernels::Task;
using kernels::Work;

constexpr int64_t kOutPadding = 5;
constexpr uint32_t kCanary = 0xA5A5A5A5u;

class RowOutputsTest : public testing::TestWithParam<Shape> {
 protected:
  struct Case {
    std::vector<RowCase> cases;
    std::unique_ptr<DeviceBatch> rows;
    std::vector<ReferenceRow> references;
  };

  // Named rows under named records, and as many random ones.
  Case Make(uint64_t turn) const {
    const auto [type, vocabulary] = GetParam();
    Random random(Seed() * 1000003 + turn);
    Case made;
    made.cases = NamedCases(Seed() + turn, vocabulary, turn * 5);
    for (int i = 0; i < 20; ++i)
      made.cases.push_back({TroublesomeRow(random, vocabulary), TroublesomeRecord(random, vocabulary),
                            static_cast<int64_t>(random.Below(3)), "random row"});
    made.rows = std::make_unique<DeviceBatch>(made.cases, type, RandomLayout(random, type, made.cases));
    for (size_t row = 0; row < made.cases.size(); ++row)
      made.references.emplace_back(made.rows->rows()[row].values().data(), vocabulary, made.cases[row].record,
                                   made.cases[row].step);
    return made;
  }

  std::vector<Plan> Plans(Task task) const { return PlansHere(task, GetParam().vocabulary, GetParam().type); }

  static void Run(const Work& work, const Plan& plan) {
    kernels::Launch(work, plan, nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernel");
    row_runs += work.batch.rows;
  }

  std::string Where(const Case& made, size_t row, const Plan& plan) const {
    return std::string(NameOf(GetParam().type)) + ", " + Describe(plan) + "\n  " + made.rows->layout().Text() +
           "\n  row " + std::to_string(row) + ": " + Describe(made.cases[row]);
  }

  // Tokens that are kept, tokens that need not be, and ids outside the vocabulary.
  std::vector<int64_t> TokensToAskFor(const Case& made, uint64_t turn) const {
    Random random(turn);
    std::vector<int64_t> tokens;
    for (const ReferenceRow& reference : made.references) {
      const int64_t vocabulary = GetParam().vocabulary;
      const int64_t outside[] = {-1, vocabulary, INT64_MIN, INT64_MAX, int64_t{1} << 32};
      const uint32_t kind = random.Below(8);
      tokens.push_back(kind == 0   ? random.Pick(outside)
                       : kind == 1 ? static_cast<int64_t>(random.Below(GetParam().vocabulary))
                                   : reference.Sample().token);
    }
    return tokens;
  }
};

class RowOutputs : public RowOutputsTest {};
class RowOutputsFloat32 : public RowOutputsTest {};  // heat_logits_ is of float32 alone

TEST_P(RowOutputs, ProcessedLogitsAreTheReferencesAndPaddingIsLeftAlone) {
  uint64_t turn = 0;
  for (const Plan& plan : Plans(Task::kProcessLogits)) {
    const Case made = Make(++turn);
    const size_t vocabulary = GetParam().vocabulary, stride = vocabulary + kOutPadding;
    DeviceArray<float> out(made.cases.size() * stride);
    out.Fill(kCanary & 0xFF);
    Work work = {};
    work.task = Task::kProcessLogits, work.batch = made.rows->batch();
    work.out = out.get(), work.out_stride = static_cast<int64_t>(stride);
    Run(work, plan);
    const std::vector<float> got = out.Read();
    for (size_t row = 0; row < made.cases.size(); ++row) {
      const std::vector<float> want = made.references[row].ProcessedLogits();
      for (size_t id = 0; id < stride; ++id) {
        const float expected = id < vocabulary ? want[id] : FloatOf(kCanary);
        ASSERT_TRUE(SameFloat(got[row * stride + id], expected))
            << "logit " << id << " is " << got[row * stride + id] << ", expected " << expected << "\n  "
            << Where(made, row, plan);
      }
    }
  }
}

TEST_P(RowOutputsFloat32, HeatedLogitsAreTheReferencesAndOtherRowsUntouched) {
  uint64_t turn = 100;
  for (const Plan& plan : Plans(Task::kHeatLogits)) {
    Case made = Make(++turn);
    Random random(turn);
    for (RowCase& row : made.cases) {
      // Hot rows that hand over, hot rows that do not, and rows that are not hot.
      Record& record = row.record;
      record.hot_begin = 0, record.hot_steps = 2;
      if (random.Below(3) == 0) continue;
      record.hot_top_p = record.top_p, record.hot_min_p = record.min_p;
      if (random.Below(2) == 0) record.hot_top_k = 1 + static_cast<int32_t>(random.Below(20));
      record.hot_temperature = 30.0f;
    }
    made.rows = std::make_unique<DeviceBatch>(made.cases, LogitsType::kFloat32, made.rows->layout());
    std::vector<std::vector<float>> before;
    for (size_t row = 0; row < made.cases.size(); ++row) before.push_back(made.rows->ReadFloatRow(row));
    Work work = {};
    work.task = Task::kHeatLogits, work.batch = made.rows->batch();
    work.out = made.rows->writable_logits(), work.out_stride = work.batch.row_stride;
    Run(work, plan);
    for (size_t row = 0; row < made.cases.size(); ++row) {
      const std::vector<float> got = made.rows->ReadFloatRow(row);
      const std::vector<float> want =
          ReferenceRow(before[row].data(), GetParam().vocabulary, made.cases[row].record, made.cases[row].step)
              .HeatedLogits(before[row].data());
      for (size_t id = 0; id < want.size(); ++id)
        ASSERT_TRUE(SameFloat(got[id], want[id]))
            << "logit " << id << " is " << got[id] << ", expected " << want[id] << "\n  " << Where(made, row, plan);
    }
  }
}

TEST_P(RowOutputs, LogProbsAreTheReferences) {
  uint64_t turn = 200;
  for (const Plan& plan : Plans(Task::kLogProb)) {
    const Case made = Make(++turn);
    const std::vector<int64_t> tokens = TokensToAskFor(made, turn);
    const DeviceArray<int64_t> token(tokens);
    DeviceArray<float> out(tokens.size());
    Work work = {};
    work.task = Task::kLogProb, work.batch = made.rows->batch();
    work.token = token.get(), work.token_stride = 1, work.out = out.get();
    Run(work, plan);
    const std::vector<float> got = out.Read();
    for (size_t row = 0; row < tokens.size(); ++row) {
      const float want = made.references[row].LogProb(tokens[row]);
      ASSERT_TRUE(CloseFloat(got[row], want)) << "log-probability of " << tokens[row] << " is " << got[row]
                                              << ", expected " << want << "\n  " << Where(made, row, plan);
    }
  }
}

TEST_P(RowOutputs, GradientsAreTheReferencesInTheLogitsOwnType) {
  uint64_t turn = 300;
  const auto [type, vocabulary] = GetParam();
  const size_t element = definition::BytesOf(type), stride = vocabulary + kOutPadding;
  for (const Plan& plan : Plans(Task::kLogProbBackward)) {
    const Case made = Make(++turn);
    const std::vector<int64_t> tokens = TokensToAskFor(made, turn);
    const DeviceArray<int64_t> token(tokens);
    std::vector<float> grads;
    Random random(turn);
    for (size_t row = 0; row < tokens.size(); ++row) grads.push_back(static_cast<float>(random.Bell()));
    const DeviceArray<float> grad(grads);
    DeviceMemory out(tokens.size() * stride * element);
    out.Fill(kCanary & 0xFF);
    Work work = {};
    work.task = Task::kLogProbBackward, work.batch = made.rows->batch();
    work.token = token.get(), work.token_stride = 1, work.grad = grad.get(), work.grad_stride = 1;
    work.grad_logits = out.at(0), work.grad_logits_stride = static_cast<int64_t>(stride);
    Run(work, plan);
    std::vector<char> got(stride * element), want(stride * element, static_cast<char>(kCanary & 0xFF));
    for (size_t row = 0; row < tokens.size(); ++row) {
      out.Read(row * stride * element, got.data(), got.size());
      const TypedRow gradient(made.references[row].LogProbGradient(tokens[row], grads[row]), type);
      std::memcpy(want.data(), gradient.data(), gradient.bytes());
      ASSERT_EQ(std::memcmp(got.data(), want.data(), got.size()), 0)
          << "token " << tokens[row] << ", gradient " << grads[row] << "\n  " << Where(made, row, plan);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, RowOutputs,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 33},
                                         Shape{LogitsType::kFloat32, 5000}, Shape{LogitsType::kBFloat16, 700},
                                         Shape{LogitsType::kBFloat16, 5000}, Shape{LogitsType::kFloat16, 33},
                                         Shape{LogitsType::kFloat16, 5000}),
                         NameOfShape);
INSTANTIATE_TEST_SUITE_P(Shapes, RowOutputsFloat32,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 33},
                                         Shape{LogitsType::kFloat32, 700}, Shape{LogitsType::kFloat32, 5000}),
                         NameOfShape);

}  // namespace
}  // namespace fire::test
