// The draw as a random variable. Every bound is computed from the number of draws N so that a correct sampler breaks
// it with a probability below kDoubt; the seeds are fixed, so a failure is a defect and repeats.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "chi_square.h"
#include "definition/reference.h"
#include "test_support.h"

namespace fire::definition {
namespace {

using test::kDoubt;

// Bernstein: a binomial of mean `mean` exceeds mean + this with probability ≤ kDoubt.
double BinomialSlack(double mean) {
  const double t = std::log(1 / kDoubt);
  return t / 3 + std::sqrt(t * t / 9 + 2 * mean * t);
}

// Hoeffding: the mean of N independent values in an interval of length `width` strays by more with p ≤ kDoubt.
double MeanSlack(double n, double width) { return width * std::sqrt(std::log(2 / kDoubt) / (2 * n)); }

// The draw of semantics.md over a row whose running masses are at hand: what ReferenceRow does, in log V a draw.
class CumulativeRow {
 public:
  CumulativeRow(std::vector<float> logits, float temperature) : logits_(std::move(logits)), temperature_(temperature) {
    const float maximum = *std::max_element(logits_.begin(), logits_.end());
    const WeightScale scale = MakeWeightScale(maximum, temperature, static_cast<uint32_t>(logits_.size()));
    double mass = 0;
    for (float logit : logits_) {
      running_.push_back((running_.empty() ? 0 : running_.back()) + Weight(logit, scale));
      probability_.push_back(std::exp((static_cast<double>(logit) - maximum) / temperature));
      mass += probability_.back();
    }
    for (double& probability : probability_) probability /= mass;
  }

  size_t Draw(uint64_t seed, int64_t step, uint32_t stream) const {
    const uint64_t point = DrawPoint(DrawBits(seed, step, stream), running_.back());
    return static_cast<size_t>(std::upper_bound(running_.begin(), running_.end(), point) - running_.begin());
  }
  int64_t ReferenceDraw(uint64_t seed, int64_t step, uint32_t stream) const {
    Record record = test::PlainRecord(seed);
    record.temperature = temperature_;
    record.stream = stream;
    return ReferenceRow(logits_.data(), static_cast<uint32_t>(logits_.size()), record, step).Sample().token;
  }
  const std::vector<double>& Probability() const { return probability_; }

 private:
  std::vector<float> logits_;
  float temperature_;
  std::vector<uint64_t> running_;
  std::vector<double> probability_;
};

constexpr uint32_t kVocabulary = 151936;
constexpr int64_t kDraws = 10000000;

// The head falls off like a language model's, in shuffled id order.
CumulativeRow LanguageModelRow(float temperature) {
  test::Random random(1);
  std::vector<float> logits(kVocabulary);
  for (uint32_t id = 0; id < kVocabulary; ++id)
    logits[id] = static_cast<float>(18 - 2.2 * std::log(1.0 + id) + 0.8 * random.Bell());
  for (uint32_t id = kVocabulary - 1; id > 0; --id) std::swap(logits[id], logits[random.Below(id + 1)]);
  return CumulativeRow(logits, temperature);
}

TEST(Statistics, TheQuickDrawOfTheseTestsIsTheReferences) {
  const CumulativeRow row = LanguageModelRow(1.0f);
  for (int64_t step = 0; step < 20; ++step)
    EXPECT_EQ(static_cast<int64_t>(row.Draw(7, step, 2)), row.ReferenceDraw(7, step, 2));
}

// Tokens expected less than 25 times share one bin, so that every term is near its normal limit.
void ExpectChiSquare(const CumulativeRow& row, const std::vector<uint32_t>& counts, int64_t draws) {
  std::vector<double> observed, expected;
  const auto add = [&](double count, double mean) {
    observed.push_back(count);
    expected.push_back(mean);
  };
  double rest_count = 0, rest_mean = 0;
  for (size_t id = 0; id < counts.size(); ++id) {
    const double mean = row.Probability()[id] * static_cast<double>(draws);
    if (mean >= 25) {
      add(counts[id], mean);
    } else {
      rest_count += counts[id];
      rest_mean += mean;
    }
  }
  if (rest_mean >= 25) add(rest_count, rest_mean);
  test::ExpectChiSquare(observed, expected);
  EXPECT_GT(expected.size(), 100u);
}

TEST(Statistics, TenMillionStepsOfOneSequenceFollowTheSoftmax) {
  const CumulativeRow row = LanguageModelRow(1.0f);
  std::vector<uint32_t> counts(kVocabulary);
  for (int64_t step = 0; step < kDraws; ++step) ++counts[row.Draw(1234, step, 0)];
  ExpectChiSquare(row, counts, kDraws);
}

TEST(Statistics, AMillionRowsAtOneStepFollowTheSoftmaxThroughTheirSpreadSeeds) {
  const CumulativeRow row = LanguageModelRow(1.5f);
  std::vector<uint32_t> counts(kVocabulary);
  for (uint64_t index = 0; index < 1000000; ++index) ++counts[row.Draw(SpreadSeed(77, index), 0, 0)];
  ExpectChiSquare(row, counts, 1000000);
}

// A uniform number of 24 bits, as float32 samplers draw, cannot reach most of such a tail, or reaches it too often.
// The head is one token; 151,935 others share a mass of 1e-4, 6.6e-10 each. Each side on its own.
TEST(Statistics, TailOfTokensThatAFloatUniformCannotResolveIsDrawnAsOftenAsItsMass) {
  const double tail_mass = 1e-4;
  std::vector<float> logits(kVocabulary, static_cast<float>(std::log(tail_mass / kVocabulary)));
  logits[77] = 0;
  const CumulativeRow row(logits, 1.0f);
  double tail = 0, second_half = 0;
  for (int64_t step = 0; step < kDraws; ++step) {
    const size_t token = row.Draw(99, step, 0);
    tail += token != 77;
    second_half += token != 77 && token >= kVocabulary / 2;
  }
  const double expected = static_cast<double>(kDraws) * (1 - row.Probability()[77]);
  EXPECT_LE(tail, expected + BinomialSlack(expected));
  EXPECT_GE(tail, expected - BinomialSlack(expected));
  EXPECT_LE(second_half, expected / 2 + BinomialSlack(expected / 2));
  EXPECT_GE(second_half, expected / 2 - BinomialSlack(expected / 2));
}

TEST(Statistics, TokensBeyondTheReachOfTheWeightsAreNeverDrawn) {
  std::vector<float> logits(1000, -100.0f);
  logits[500] = 0;
  const CumulativeRow row(logits, 1.0f);
  for (int64_t step = 0; step < 100000; ++step) ASSERT_EQ(row.Draw(5, step, 0), 500u);
}

// ---- independence ----

constexpr int64_t kPairs = 2000000;

// Draw i of a family, and how its neighbours differ. A weak generator shows in one of these and not the others.
struct Family {
  const char* name;
  uint64_t (*bits)(uint64_t index);
};

void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

const Family kFamilies[] = {
    {"ConsecutiveSteps", [](uint64_t i) { return DrawBits(42, static_cast<int64_t>(i), 0); }},
    {"ConsecutiveStreams", [](uint64_t i) { return DrawBits(42, 0, static_cast<uint32_t>(i)); }},
    {"ConsecutiveSeeds", [](uint64_t i) { return DrawBits(i, 0, 0); }},
    {"SeedsThatDifferInTheirHighWord", [](uint64_t i) { return DrawBits(i << 32, 0, 0); }},
    {"SpreadRows", [](uint64_t i) { return DrawBits(SpreadSeed(42, i), 0, 0); }},
    {"SpreadRowsOfConsecutiveSeeds", [](uint64_t i) { return DrawBits(SpreadSeed(i, 0), 0, 0); }},
    {"StepsAlternatingBetweenTwoStreams",
     [](uint64_t i) { return DrawBits(42, static_cast<int64_t>(i / 2), static_cast<uint32_t>(i % 2)); }},
    {"StepsAlternatingBetweenTwoRows",
     [](uint64_t i) { return DrawBits(SpreadSeed(42, i % 2), static_cast<int64_t>(i / 2), 0); }},
};

class Independence : public testing::TestWithParam<Family> {
 protected:
  static std::vector<uint64_t> Draws() {
    std::vector<uint64_t> draws(kPairs + 1);
    for (uint64_t i = 0; i <= kPairs; ++i) draws[i] = GetParam().bits(i);
    return draws;
  }
};

TEST_P(Independence, EveryBitIsBalancedAndIndependentOfTheSameBitOfTheNeighbour) {
  std::vector<int64_t> ones(64), changes(64);
  const std::vector<uint64_t> draws = Draws();
  for (int64_t i = 0; i < kPairs; ++i) {
    const uint64_t now = draws[static_cast<size_t>(i)], change = now ^ draws[static_cast<size_t>(i) + 1];
    for (size_t bit = 0; bit < 64; ++bit) {
      ones[bit] += now >> bit & 1;
      changes[bit] += change >> bit & 1;
    }
  }
  for (size_t bit = 0; bit < 64; ++bit) {
    EXPECT_NEAR(static_cast<double>(ones[bit]) / kPairs, 0.5, MeanSlack(kPairs, 1)) << "bit " << bit;
    EXPECT_NEAR(static_cast<double>(changes[bit]) / kPairs, 0.5, MeanSlack(kPairs, 1)) << "bit " << bit;
  }
}

TEST_P(Independence, PairsOfNeighboursFillTheUnitSquareEvenly) {
  constexpr size_t kSide = 64;
  std::vector<double> cells(kSide * kSide);
  const std::vector<uint64_t> draws = Draws();
  double products = 0;
  for (size_t i = 0; i < kPairs; ++i) {
    ++cells[(draws[i] >> 58) * kSide + (draws[i + 1] >> 58)];
    products += (static_cast<double>(draws[i]) * 0x1p-64 - 0.5) * (static_cast<double>(draws[i + 1]) * 0x1p-64 - 0.5);
  }
  constexpr double kExpected = static_cast<double>(kPairs) / (kSide * kSide);  // 488 a cell
  test::ExpectChiSquare(cells, std::vector<double>(cells.size(), kExpected));
  // The products lie in [−1/4, 1/4]; every second one is independent of the others, hence N / 2.
  EXPECT_NEAR(products / kPairs, 0, MeanSlack(kPairs / 2, 0.5));
}

INSTANTIATE_TEST_SUITE_P(Families, Independence, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fire::definition
