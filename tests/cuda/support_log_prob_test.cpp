// support_log_prob and its gradient: every plan against the reference, whose masses and gradients are met bit for bit.
#include "tests/cpp/support_rows.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/sample_check.h"

namespace fire::test {
namespace {

using kernels::SupportLogProbWork;
using kernels::Task;

// Where the arrays of a batch lie; nothing of it may change a result.
struct SupportLayout {
  size_t logits_misaligned_by = 0, grad_misaligned_by = 0;  // elements
  size_t padding = 0, grad_padding = 0;                     // elements between rows
  size_t token_stride = 1, temperature_stride = 1, more_places = 0;
  bool with_grad = true, with_full_grad = true;

  std::string Text() const {
    return "logits misaligned by " + std::to_string(logits_misaligned_by) + ", gradient by " +
           std::to_string(grad_misaligned_by) + ", padding " + std::to_string(padding) + " and " +
           std::to_string(grad_padding) + ", token stride " + std::to_string(token_stride) + ", temperature stride " +
           std::to_string(temperature_stride) + ", " + std::to_string(more_places) + " more places" +
           (with_grad ? "" : ", no grad") + (with_full_grad ? "" : ", no full_grad");
  }
};

SupportLayout RandomSupportLayout(Random& random) {
  SupportLayout layout;
  if (random.Below(2) == 0) layout.logits_misaligned_by = random.Below(9);
  layout.grad_misaligned_by = random.Below(2) == 0 ? layout.logits_misaligned_by : random.Below(9);
  layout.padding = random.Below(2) == 0 ? 0 : random.Below(20);
  layout.grad_padding = random.Below(2) == 0 ? layout.padding : random.Below(20);
  layout.token_stride = 1 + random.Below(2), layout.temperature_stride = 1 + random.Below(2);
  layout.more_places = random.Below(3);
  layout.with_grad = random.Below(6) != 0, layout.with_full_grad = random.Below(6) != 0;
  return layout;
}

constexpr int kUntouched = 0xA5;

// Rows of one type and vocabulary on the device, and what the kernels make of them.
class SupportRows {
 public:
  SupportRows(const std::vector<SupportCase>& cases, const SupportLayout& layout)
      : cases_(cases),
        layout_(layout),
        element_(cases[0].row.type() == LogitsType::kFloat32 ? 4 : 2),
        stride_(cases[0].row.size() + layout.padding),
        grad_stride_(cases[0].row.size() + layout.grad_padding),
        logits_((layout.logits_misaligned_by + cases.size() * stride_) * element_),
        gradient_((layout.grad_misaligned_by + cases.size() * grad_stride_) * element_),
        tokens_(Spread<int64_t>(layout.token_stride, [](const SupportCase& c) { return c.token; })),
        temperatures_(Spread<float>(layout.temperature_stride, [](const SupportCase& c) { return c.temperature; })),
        grads_(Spread<float>(1, [](const SupportCase& c) { return c.grad; })),
        full_grads_(Spread<float>(1, [](const SupportCase& c) { return c.full_grad; })),
        supports_(Supports()),
        masses_(cases.size()),
        logprob_(cases.size()),
        full_logprob_(cases.size()),
        status_(cases.size()) {
    for (size_t row = 0; row < cases.size(); ++row)
      logits_.Write((layout.logits_misaligned_by + row * stride_) * element_, cases[row].row.data(),
                    cases[row].row.bytes());
    gradient_.Fill(kUntouched);
  }

  SupportBatch batch() const {
    SupportBatch batch;
    batch.logits = logits_.at(layout_.logits_misaligned_by * element_);
    batch.logits_type = cases_[0].row.type();
    batch.rows = static_cast<int64_t>(cases_.size());
    batch.vocabulary = cases_[0].row.size();
    batch.row_stride = static_cast<int64_t>(stride_);
    batch.token = tokens_.get(), batch.token_stride = static_cast<int64_t>(layout_.token_stride);
    batch.support = supports_.get(), batch.width = static_cast<int64_t>(width_);
    batch.temperature = temperatures_.get();
    batch.temperature_stride = static_cast<int64_t>(layout_.temperature_stride);
    return batch;
  }
  SupportLogProbOutputs outputs() const { return {logprob_.get(), full_logprob_.get(), status_.get(), masses_.get()}; }
  const DeviceArray<SupportMasses>& masses() const { return masses_; }
  void* gradient() const { return gradient_.at(layout_.grad_misaligned_by * element_); }
  int64_t grad_stride() const { return static_cast<int64_t>(grad_stride_); }
  const float* grads() const { return layout_.with_grad ? grads_.get() : nullptr; }
  const float* full_grads() const { return layout_.with_full_grad ? full_grads_.get() : nullptr; }

  // By a plan, or by the public functions.
  void Run(const Plan* forward, const Plan* backward) {
    SupportLogProbWork work = {};
    work.batch = batch();
    work.batch.support_stride = work.batch.width;
    work.outputs = outputs();
    work.masses = masses_.get(), work.grad = grads(), work.full_grad = full_grads();
    work.grad_logits = gradient(), work.grad_logits_stride = grad_stride();
    if (forward == nullptr) {
      SupportLogProbCuda(batch(), outputs(), nullptr);
      SupportLogProbBackwardCuda(batch(), masses_.get(), grads(), full_grads(), gradient(), grad_stride(), nullptr);
    } else {
      work.task = Task::kSupportLogProb;
      kernels::Launch(work, *forward, nullptr);
      work.task = Task::kSupportLogProbBackward;
      kernels::Launch(work, *backward, nullptr);
    }
    ThrowOnError(cudaDeviceSynchronize(), "the kernels of support_log_prob");
    row_runs += 2 * static_cast<int64_t>(cases_.size());
  }

  // The first difference from the reference; nothing where all is equal.
  std::string Difference() const {
    const std::vector<float> logprob = logprob_.Read(), full_logprob = full_logprob_.Read();
    const std::vector<int32_t> status = status_.Read();
    const std::vector<SupportMasses> masses = masses_.Read();
    for (size_t row = 0; row < cases_.size(); ++row) {
      const SupportCase& c = cases_[row];
      const std::string of_row = c.Describe() + "\n  " + layout_.Text();
      const SupportMasses want = c.reference.Masses(), got = masses[row];
      if (status[row] != c.reference.Status()) return "status " + std::to_string(status[row]) + ": " + of_row;
      if (got.mass != want.mass || got.full_mass != want.full_mass) return "mass: " + of_row;
      if (got.maximum != want.maximum || got.full_maximum != want.full_maximum) return "maximum: " + of_row;
      if (!CloseFloat(logprob[row], c.reference.LogProb())) return "logprob: " + of_row;
      if (!CloseFloat(full_logprob[row], c.reference.FullLogProb())) return "full_logprob: " + of_row;
      const std::string gradient = GradientDifference(row);
      if (!gradient.empty()) return gradient + ": " + of_row;
    }
    return "";
  }

 private:
  template <typename T, typename Of>
  std::vector<T> Spread(size_t stride, const Of& of) const {
    std::vector<T> values((cases_.size() - 1) * stride + 1);
    for (size_t row = 0; row < cases_.size(); ++row) values[row * stride] = of(cases_[row]);
    return values;
  }

  std::vector<int32_t> Supports() {
    for (const SupportCase& c : cases_) width_ = std::max(width_, c.support.size());
    width_ += layout_.more_places;
    std::vector<int32_t> all(cases_.size() * width_, -1);
    for (size_t row = 0; row < cases_.size(); ++row)
      std::copy(cases_[row].support.begin(), cases_[row].support.end(),
                all.begin() + static_cast<std::ptrdiff_t>(row * width_));
    return all;
  }

  std::string GradientDifference(size_t row) const {
    const SupportCase& c = cases_[row];
    const TypedRow want(
        c.reference.Gradient(layout_.with_grad ? c.grad : 0.0f, layout_.with_full_grad ? c.full_grad : 0.0f),
        c.row.type());
    std::vector<unsigned char> bytes(grad_stride_ * element_), before(layout_.grad_misaligned_by * element_);
    gradient_.Read((layout_.grad_misaligned_by + row * grad_stride_) * element_, bytes.data(), bytes.size());
    gradient_.Read(0, before.data(), before.size());
    before.insert(before.end(), bytes.begin() + static_cast<std::ptrdiff_t>(c.row.bytes()), bytes.end());
    for (const unsigned char byte : before)
      if (byte != kUntouched) return "what lies around the gradient";
    for (uint32_t id = 0; id < c.row.size(); ++id) {
      const float got = LogitAt(bytes.data(), c.row.type(), id), expected = want.values()[id];
      if (got != expected && !(std::isnan(got) && std::isnan(expected)))
        return "gradient of " + std::to_string(id) + " " + std::to_string(got) + ", expected " +
               std::to_string(expected);
    }
    return "";
  }

  const std::vector<SupportCase>& cases_;
  SupportLayout layout_;
  size_t element_, stride_, grad_stride_, width_ = 0;
  DeviceMemory logits_, gradient_;
  DeviceArray<int64_t> tokens_;
  DeviceArray<float> temperatures_, grads_, full_grads_;
  DeviceArray<int32_t> supports_;
  DeviceArray<SupportMasses> masses_;
  DeviceArray<float> logprob_, full_logprob_;
  DeviceArray<int32_t> status_;
};

class GivenSupports : public testing::TestWithParam<Shape> {};

TEST_P(GivenSupports, EveryPlanGivesTheReferencesMassesAndGradients) {
  const auto [type, vocabulary] = GetParam();
  Random random(Seed() * 1000003 + vocabulary);
  const std::vector<Plan> forward = PlansHere(Task::kSupportLogProb, vocabulary, type);
  const std::vector<Plan> backward = PlansHere(Task::kSupportLogProbBackward, vocabulary, type);
  ASSERT_EQ(forward.size(), backward.size());
  for (size_t plan = 0; plan < forward.size(); ++plan)
    for (int turn = 0; turn < Scaled(3); ++turn) {
      std::vector<SupportCase> cases;
      for (int i = 0; i < 12; ++i) cases.emplace_back(random, vocabulary, type);
      SupportRows rows(cases, RandomSupportLayout(random));
      rows.Run(&forward[plan], &backward[plan]);
      ASSERT_EQ(rows.Difference(), "") << Describe(forward[plan]);
    }
}

// 300,000 is beyond the vocabularies whose weights have the fast way.
INSTANTIATE_TEST_SUITE_P(Shapes, GivenSupports,
                         testing::Values(Shape{LogitsType::kFloat32, 1}, Shape{LogitsType::kFloat32, 33},
                                         Shape{LogitsType::kFloat32, 700}, Shape{LogitsType::kFloat32, 5000},
                                         Shape{LogitsType::kBFloat16, 8}, Shape{LogitsType::kBFloat16, 5000},
                                         Shape{LogitsType::kFloat16, 700}, Shape{LogitsType::kFloat16, 5000}),
                         NameOfShape);

SupportCase CaseOf(Random& random, uint32_t vocabulary, const std::vector<int32_t>& support, int64_t token,
                   float temperature) {
  SupportCase c(random, vocabulary, LogitsType::kFloat32);
  std::vector<float> logits;
  for (uint32_t id = 0; id < vocabulary; ++id) logits.push_back(static_cast<float>(3 * random.Bell()));
  c.row = TypedRow(logits, LogitsType::kFloat32);
  c.support = support, c.token = token, c.temperature = temperature, c.grad = 1.5f, c.full_grad = -0.25f;
  c.reference = definition::SupportReferenceRow(c.row.values(), token, support, temperature);
  return c;
}

TEST(CudaGivenSupport, ARowWithoutAValidSupportOrTemperatureIsRefusedAndItsNeighboursAreNot) {
  constexpr uint32_t kVocabulary = 1000;
  Random random(Seed());
  const std::vector<int32_t> good = {3, 5, 999}, none = {-1};
  std::vector<int32_t> late(600, -1);
  for (int32_t id = 0; id < 599; ++id) late[static_cast<size_t>(id)] = id;
  late[599] = 598;  // seen by another thread than its neighbour
  std::vector<SupportCase> cases;
  for (const std::vector<int32_t>& bad : std::vector<std::vector<int32_t>>{
           {5, 3}, {5, 5}, {3, 1000}, {-2}, {3, -2}, {3, -1, 5}, {-1, 3}, {INT32_MIN}, {INT32_MAX}, late}) {
    cases.push_back(CaseOf(random, kVocabulary, bad, 3, 1.0f));
    ASSERT_TRUE(cases.back().reference.refused());
    cases.push_back(CaseOf(random, kVocabulary, cases.size() % 4 == 1 ? none : good, 5, 0.7f));
    ASSERT_FALSE(cases.back().reference.refused());
  }
  for (const float bad : {0.0f, -1.0f, 0x1p-65f, kInfinity, -kInfinity, kNan, -kNan})
    cases.push_back(CaseOf(random, kVocabulary, good, 5, bad));
  for (const float fine : {0x1p-64f, 0x1p127f, 0x1p41f}) cases.push_back(CaseOf(random, kVocabulary, good, 5, fine));
  SupportRows rows(cases, {});
  rows.Run(nullptr, nullptr);
  ASSERT_EQ(rows.Difference(), "");
}

TEST(CudaGivenSupport, ATokenWhoseLow32BitsAreAnIdIsNoToken) {
  Random random(Seed());
  std::vector<SupportCase> cases;
  for (const int64_t beyond : {int64_t{1} << 32, -(int64_t{1} << 32), INT64_MIN})
    for (const std::vector<int32_t>& support : std::vector<std::vector<int32_t>>{{3, 5, 80}, {-1}})
      cases.push_back(CaseOf(random, 100, support, beyond + 5, 1.0f));
  SupportRows rows(cases, {});
  rows.Run(nullptr, nullptr);
  ASSERT_EQ(rows.Difference(), "");
}

// Of the weights' fast way, and of its slopes': vocabularies, temperatures, masses that leave it.
TEST(CudaGivenSupport, RowsBeyondTheFastWayHaveTheSameBits) {
  Random random(Seed());
  for (const LogitsType type : {LogitsType::kFloat32, LogitsType::kBFloat16}) {
    std::vector<SupportCase> cases;
    for (int i = 0; i < 3; ++i) cases.emplace_back(random, 300000, type);
    SupportRows rows(cases, {});
    rows.Run(nullptr, nullptr);
    ASSERT_EQ(rows.Difference(), "");
  }
}

// A share divided by a temperature of 2^100 is below the least normal float, where the quick quotient is another one.
TEST(CudaGivenSupport, SlopesThatUnderflowBeforeTheirGradientHaveTheSameBits) {
  constexpr uint32_t kVocabulary = 2000;
  Random random(Seed());
  std::vector<SupportCase> cases;
  for (int i = 0; i < 4; ++i) {
    std::vector<float> logits(kVocabulary);
    for (float& logit : logits) logit = static_cast<float>(-30 * random.Uniform()) * 0x1p100f;
    logits[5] = 0.0f;
    SupportCase c = CaseOf(random, kVocabulary, {-1}, 5, 0x1.8p100f);
    c.row = TypedRow(logits, LogitsType::kFloat32);
    c.reference = definition::SupportReferenceRow(c.row.values(), c.token, c.support, c.temperature);
    c.grad = 0x1.4p110f;
    cases.push_back(c);
  }
  SupportRows rows(cases, {});
  rows.Run(nullptr, nullptr);
  ASSERT_EQ(rows.Difference(), "");
}

TEST(CudaGivenSupport, WhatIsNotAskedForIsNotWritten) {
  constexpr uint32_t kVocabulary = 3000;
  Random random(Seed());
  std::vector<SupportCase> cases;
  for (int i = 0; i < 6; ++i) cases.emplace_back(random, kVocabulary, LogitsType::kFloat16);
  const SupportRows rows(cases, {});
  DeviceArray<float> logprob(cases.size()), full_logprob(cases.size());
  SupportLogProbOutputs outputs;
  SupportLogProbCuda(rows.batch(), outputs, nullptr);
  outputs.logprob = logprob.get();
  SupportLogProbCuda(rows.batch(), outputs, nullptr);
  outputs = {};
  outputs.full_logprob = full_logprob.get();
  SupportLogProbCuda(rows.batch(), outputs, nullptr);
  ThrowOnError(cudaDeviceSynchronize(), "the kernel of support_log_prob");
  row_runs += 3 * static_cast<int64_t>(cases.size());
  const std::vector<float> got = logprob.Read(), got_full = full_logprob.Read();
  for (size_t row = 0; row < cases.size(); ++row) {
    EXPECT_TRUE(CloseFloat(got[row], cases[row].reference.LogProb())) << cases[row].Describe();
    EXPECT_TRUE(CloseFloat(got_full[row], cases[row].reference.FullLogProb())) << cases[row].Describe();
  }
}

// Masses of another row, supports that are none: the simulated device sees that nothing outside a row is touched.
TEST(CudaGivenSupport, MassesAndSupportsOfAnyBitsFaultNowhere) {
  Random random(Seed());
  for (int turn = 0; turn < Scaled(20); ++turn) {
    std::vector<SupportCase> cases;
    const uint32_t vocabulary = 1 + random.Below(300);
    for (int i = 0; i < 4; ++i) {
      cases.emplace_back(random, vocabulary, LogitsType::kBFloat16);
      for (int32_t& id : cases.back().support)
        if (random.Below(3) == 0) id = static_cast<int32_t>(random.Bits());
    }
    const SupportRows rows(cases, RandomSupportLayout(random));
    std::vector<SupportMasses> any(cases.size());
    for (SupportMasses& masses : any) {
      const uint64_t words[3] = {random.Bits(), random.Bits(), random.Bits()};
      std::memcpy(&masses, words, sizeof masses);
    }
    const DeviceArray<SupportMasses> masses(any);
    SupportLogProbCuda(rows.batch(), rows.outputs(), nullptr);
    SupportLogProbBackwardCuda(rows.batch(), masses.get(), rows.grads(), rows.full_grads(), rows.gradient(),
                               rows.grad_stride(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "the kernels of support_log_prob");
  }
}

}  // namespace
}  // namespace fire::test
