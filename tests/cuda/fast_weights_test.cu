// The fast weight equals the definition's, in the form that each architecture's code has of it.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "definition/bits.h"
#include "kernels/device/weights.cuh"
#include "tests/cpp/test_support.h"
#include "tests/cuda/device_memory.h"
#include "tests/cuda/settings.h"
#include "tests/simulator/simulator.h"

namespace fire::test {
namespace {

using definition::WeightScale;

constexpr unsigned kThreads = 256;

// What each logit weighs, where that is at least so much, and together with its opposite from the end.
__global__ void Weigh(const float* logits, int count, WeightScale scale, uint64_t least, uint64_t* weights,
                      uint64_t* reaching, uint64_t* pairs, int* architecture) {
  const kernels::FastScale fast = kernels::MakeFastScale(scale);
  const auto at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= count) return;
  weights[at] = fast.is_exact ? kernels::FastWeight(logits[at], fast) : 0;
  reaching[at] = fast.is_exact ? kernels::FastWeightFrom(logits[at], static_cast<float>(least), fast) : 0;
  pairs[at] = fast.is_exact ? kernels::FastWeights(logits[at], logits[count - 1 - at], fast) : 0;
#ifdef __CUDA_ARCH__
  if (at == 0) *architecture = __CUDA_ARCH__ / 10;
#endif
}

// Every bfloat16 and some other floats of at most the maximum, −inf among them.
std::vector<float> LogitsUpTo(float maximum, Random& random) {
  std::vector<float> logits;
  for (uint32_t bits = 0; bits < 1u << 16; ++bits) logits.push_back(definition::BitsToFloat(bits << 16));
  for (int i = 0; i < 1 << 14; ++i)
    logits.push_back(maximum - std::ldexp(static_cast<float>(random.Below(1 << 24)), -18));
  std::vector<float> kept;
  for (const float x : logits)
    if (x <= maximum) kept.push_back(x);
  return kept;
}

struct Target {
  int major, minor, code;  // the newest PTX of this program that such a device takes
};

class FastWeights : public testing::TestWithParam<Target> {};

TEST_P(FastWeights, AreTheDefinitionsWhateverFormTheArchitectureHasOfThem) {
  const Target& target = GetParam();
  simulator::SetDeviceDescription(0, simulator::KnownDevice(target.major, target.minor));
  Random random(Seed());
  for (const float maximum : {0.0f, 11.3f, -250.0f, 3e4f})
    for (const float temperature : {1.0f, 0.05f, 30.0f, 1e6f}) {
      const std::vector<float> logits = LogitsUpTo(maximum, random);
      const WeightScale scale = definition::MakeWeightScale(maximum, temperature, 128256);
      const DeviceArray<float> row(logits);
      const DeviceArray<uint64_t> weights(logits.size()), reaching(logits.size()), pairs(logits.size());
      const uint64_t least = uint64_t{1} << random.Below(45);
      const DeviceArray<int> architecture(1);
      const auto blocks = static_cast<unsigned>((logits.size() + kThreads - 1) / kThreads);
      Weigh<<<blocks, kThreads>>>(row.get(), static_cast<int>(logits.size()), scale, least, weights.get(),
                                  reaching.get(), pairs.get(), architecture.get());
      ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
      ASSERT_EQ(architecture.Read()[0], target.code);
      const std::vector<uint64_t> each = weights.Read(), two = pairs.Read(), from = reaching.Read();
      for (size_t i = 0; i < logits.size(); ++i) {
        const float x = logits[i], y = logits[logits.size() - 1 - i];
        const uint64_t weight = definition::Weight(x, scale);
        ASSERT_EQ(each[i], weight) << x << " below " << maximum << " at temperature " << temperature;
        ASSERT_EQ(from[i], weight >= least ? weight : 0) << x << " below " << maximum << " for at least " << least;
        ASSERT_EQ(two[i], weight + definition::Weight(y, scale))
            << x << " and " << y << " below " << maximum << " at temperature " << temperature;
      }
    }
  EXPECT_TRUE(simulator::TakeReports().empty());
}

INSTANTIATE_TEST_SUITE_P(Architectures, FastWeights,
                         testing::Values(Target{8, 0, 80}, Target{8, 6, 86}, Target{8, 9, 86}, Target{9, 0, 90},
                                         Target{10, 0, 100}, Target{12, 0, 120}),
                         [](const auto& info) {
                           return "On" + std::to_string(10 * info.param.major + info.param.minor);
                         });

}  // namespace
}  // namespace fire::test
