// What a support costs beside one draw with the same outputs, and a row of support_log_prob, in warp instructions that
// the simulated device counts. The table of docs/kernels.md is what this program prints.
#include <cstdio>

#include "call_work.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 151936;
constexpr double kMostOfADraw = 1.10;  // the busiest block, where the kept set is a short list

struct Setting {
  const char* name;
  float temperature;
  int32_t top_k;
  float top_p;
  int64_t width;
};

// `rows`: of the batch, all alike.
Work Measure(const Setting& setting, size_t rows, bool with_support, uint64_t seed) {
  RowCase row = ModelRow(kVocabulary, seed);
  row.record.temperature = setting.temperature, row.record.top_k = setting.top_k, row.record.top_p = setting.top_p;
  const DeviceBatch batch(std::vector<RowCase>(rows, row), LogitsType::kBFloat16, {});
  const DeviceOutputs out(rows, {});
  DeviceArray<int32_t> token(rows * static_cast<size_t>(setting.width));
  DeviceArray<float> logprob(rows * static_cast<size_t>(setting.width));
  simulator::TakeWork();
  if (with_support) {
    SampleWithSupportCuda(batch.batch(), {setting.width, token.get(), logprob.get()}, out.outputs(), nullptr);
  } else {
    SampleCuda(batch.batch(), out.outputs(), nullptr);
  }
  return TakeWork();
}

class SupportWork : public CountedWork {};

TEST_F(SupportWork, OfAShortListIsATenthOfADrawAtMost) {
  const Setting settings[] = {{"k = 50, p = 0.9", 1, 50, 0.9f, 64}, {"T = 30, k = 16", 30, 16, 1, 16},
                              {"p = 0.9", 1, 0, 0.9f, 64},          {"k = 50, p = 0.9, cut to 4", 1, 50, 0.9f, 4},
                              {"k = 1,000", 1, 1000, 1, 1024},      {"no filter, cut to 64", 1, 0, 1, 64}};
  for (const Setting& setting : settings) {
    const auto work = [&](bool with_support) {
      return MedianWork([&](uint64_t seed) { return Measure(setting, 1, with_support, seed); });
    };
    const Work draw = work(false), support = work(true);
    std::printf("| %s | %llu | %llu | %llu | %llu |\n", setting.name, static_cast<unsigned long long>(draw.busiest),
                static_cast<unsigned long long>(support.busiest), static_cast<unsigned long long>(draw.all),
                static_cast<unsigned long long>(support.all));
    const bool is_short = setting.width >= 16 && setting.width <= 64 && (setting.top_k != 0 || setting.top_p < 1);
    if (is_short) ExpectAtMost(kMostOfADraw, support, draw);
  }
}

// Two readings of the row forward, one backward, whose machine code the gates look at; what is left is small.
TEST_F(SupportWork, OfAGivenSupportIsThatOfItsReadings) {
  const RowCase row = ModelRow(kVocabulary, 1);
  const DeviceBatch batch({row}, LogitsType::kBFloat16, {});
  std::vector<int32_t> ids(64, -1);
  for (int32_t i = 0; i < 50; ++i) ids[static_cast<size_t>(i)] = 1 + 3000 * i;
  const DeviceArray<int32_t> support(ids);
  const DeviceArray<int64_t> token(std::vector<int64_t>{ids[7]});
  const DeviceArray<float> temperature(std::vector<float>{0.7f}), grad(std::vector<float>{1.0f});
  DeviceArray<float> logprob(1), full_logprob(1);
  DeviceArray<int32_t> status(1);
  DeviceArray<SupportMasses> masses(1);
  DeviceArray<uint16_t> gradient(kVocabulary);
  SupportBatch given;
  given.logits = batch.batch().logits, given.logits_type = LogitsType::kBFloat16, given.rows = 1;
  given.vocabulary = kVocabulary, given.token = token.get(), given.support = support.get(), given.width = 64;
  given.temperature = temperature.get();
  simulator::TakeWork();
  SupportLogProbCuda(given, {logprob.get(), full_logprob.get(), status.get(), masses.get()}, nullptr);
  const Work forward = TakeWork();
  SupportLogProbBackwardCuda(given, masses.get(), grad.get(), grad.get(), gradient.get(), kVocabulary, nullptr);
  const Work backward = TakeWork();
  std::printf("| support_log_prob | %llu |\n| its gradient | %llu |\n", static_cast<unsigned long long>(forward.all),
              static_cast<unsigned long long>(backward.all));
  // Warp instructions of PTX for 32 logits, moves between kinds of registers among them, which the machine has none of.
  constexpr double kGroups = kVocabulary / 32.0;
  EXPECT_LT(static_cast<double>(forward.all), 25 * kGroups);
  EXPECT_LT(static_cast<double>(backward.all), 41 * kGroups);
}

}  // namespace
}  // namespace fire::test
