// The definition of support_log_prob against the page's other rules, and against float64.
#include "definition/support_reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cpu_backend_rows.h"
#include "definition/reference.h"

namespace fire::test {
namespace {

using definition::ReferenceRow;
using definition::SupportReferenceRow;

std::vector<int32_t> Ids(const std::vector<uint32_t>& ids) { return {ids.begin(), ids.end()}; }

std::vector<double> Doubles(const std::vector<float>& logits) { return {logits.begin(), logits.end()}; }

// ln softmax(x / T) of the token over a set that holds it, in float64.
double Exact(const std::vector<double>& logits, const std::vector<int32_t>& set, int64_t token, double temperature) {
  double maximum = -INFINITY, sum = 0;
  for (const int32_t id : set) maximum = std::max(maximum, logits[static_cast<size_t>(id)]);
  for (const int32_t id : set) sum += std::exp((logits[static_cast<size_t>(id)] - maximum) / temperature);
  return (logits[static_cast<size_t>(token)] - maximum) / temperature - std::log(sum);
}

double Tolerance(float value) { return 1e-6 * std::max(1.0f, std::fabs(value)); }

TEST(SupportReference, OverTheRowItIsRefLogprobAndOverTheKeptSetLogProbBitForBit) {
  Random random(11);
  int finite = 0, filtered = 0;
  for (int i = 0; i < 3000; ++i) {
    const uint32_t vocabulary = 1 + random.Below(300);
    const std::vector<float> logits = TroublesomeRow(random, vocabulary);
    Record record = TroublesomeRecord(random, vocabulary);
    const definition::Phase phase = definition::PhaseOf(record, 1, vocabulary);
    if (!definition::IsSupportTemperature(phase.temperature)) continue;
    record.ref_temperature = phase.temperature;
    record.flags |= kRefTemperatureGiven;
    const ReferenceRow reference(logits.data(), vocabulary, record, 1);
    const definition::ReferenceSample sample = reference.Sample();
    const SupportReferenceRow row(logits, sample.token, Ids(sample.kept_ids), phase.temperature);
    if (sample.status & (kStatusNoFiniteLogit | kStatusInfinity)) continue;
    ++finite;
    filtered += sample.kept_ids.size() < vocabulary;
    ASSERT_EQ(BitsOf(row.FullLogProb()), BitsOf(sample.ref_logprob)) << i << " " << Describe(record);
    ASSERT_EQ(BitsOf(row.LogProb()), BitsOf(reference.LogProb(sample.token))) << i << " " << Describe(record);
    const int64_t other = static_cast<int64_t>(random.Below(vocabulary));
    const SupportReferenceRow elsewhere(logits, other, Ids(sample.kept_ids), phase.temperature);
    ASSERT_EQ(elsewhere.LogProb(), reference.LogProb(other)) << i << " " << Describe(record);
  }
  EXPECT_GT(finite, 1500);
  EXPECT_GT(filtered, 500);
}

TEST(SupportReference, ASetFarBelowTheRowsMaximumIsWeighedByItsOwn) {
  const std::vector<float> logits = {200.0f, 1.0f, 2.0f, 0.5f};
  const SupportReferenceRow row(logits, 2, {1, 2, 3, -1}, 1.0f);
  EXPECT_NEAR(row.LogProb(), Exact(Doubles(logits), {1, 2, 3}, 2, 1.0), 1e-6);
  EXPECT_NEAR(row.FullLogProb(), -198.0, 1e-4);
  const std::vector<float> gradient = row.Gradient(1.0f, 0.0f);
  EXPECT_EQ(gradient[0], 0.0f);
  EXPECT_NEAR(gradient[2], 1 - std::exp(Exact(Doubles(logits), {1, 2, 3}, 2, 1.0)), 1e-6);
}

// Of random sets that hold the token, at every logit: half the difference of two values 2 · 1e-4 apart errs by about
// 1e-9 of curvature and 1e-12 of rounding.
TEST(SupportReference, ItsGradientIsWhatFiniteDifferencesInFloat64Give) {
  Random random(12);
  constexpr double kStep = 1e-4;
  for (int i = 0; i < 200; ++i) {
    const int32_t vocabulary = 2 + static_cast<int32_t>(random.Below(60));
    std::vector<float> logits;
    std::vector<int32_t> support, all;
    for (int32_t id = 0; id < vocabulary; ++id) {
      logits.push_back(static_cast<float>(2 * random.Bell()));
      all.push_back(id);
      if (random.Below(3) == 0) support.push_back(id);
    }
    if (support.empty()) support.push_back(0);
    const int64_t token = support[random.Below(static_cast<uint32_t>(support.size()))];
    const float temperature = static_cast<float>(0.3 + 2 * random.Uniform());
    const float grad = static_cast<float>(random.Bell()), full_grad = static_cast<float>(random.Bell());
    const SupportReferenceRow row(logits, token, support, temperature);
    EXPECT_NEAR(row.LogProb(), Exact(Doubles(logits), support, token, temperature), Tolerance(row.LogProb()));
    EXPECT_NEAR(row.FullLogProb(), Exact(Doubles(logits), all, token, temperature), Tolerance(row.FullLogProb()));
    const std::vector<float> gradient = row.Gradient(grad, full_grad);
    for (size_t id = 0; id < logits.size(); ++id) {
      const auto at = [&](double offset) {
        std::vector<double> moved = Doubles(logits);
        moved[id] += offset;
        return grad * Exact(moved, support, token, temperature) + full_grad * Exact(moved, all, token, temperature);
      };
      ASSERT_NEAR(gradient[id], (at(kStep) - at(-kStep)) / (2 * kStep), Tolerance(gradient[id]))
          << "row " << i << ", id " << id;
    }
  }
}

// Whatever is asked of it: the value, the gradient's part of either, by what ails the row.
TEST(SupportReference, WhatIsNotFiniteHasNoGradient) {
  const auto gradient = [](const SupportReferenceRow& row) { return row.Gradient(1.0f, 0.0f); };
  const std::vector<float> none(4, 0.0f), plain = {1.0f, 2.0f, -kInfinity, kNan},
                                          hot = {kInfinity, 1.0f, kInfinity, 0.0f};
  const auto expect = [&](const SupportReferenceRow& row, float logprob, float full_logprob) {
    EXPECT_EQ(row.LogProb(), logprob);
    EXPECT_EQ(row.FullLogProb(), full_logprob);
    EXPECT_EQ(gradient(row), none);
  };
  const float full = SupportReferenceRow(plain, 0, {-1}, 1.0f).FullLogProb();
  EXPECT_LT(full, -1.0f);
  expect({plain, 0, {1, 3, -1}, 1.0f}, -kInfinity, full);            // the support misses the token
  expect({plain, 2, {1, 2}, 1.0f}, -kInfinity, -kInfinity);          // a mask
  expect({plain, 3, {1, 3}, 1.0f}, -kInfinity, -kInfinity);          // a NaN
  expect({plain, -1, {-1}, 1.0f}, -kInfinity, -kInfinity);           // tokens outside the vocabulary
  expect({plain, 4, {0, 1, -1, -1}, 1.0f}, -kInfinity, -kInfinity);  //
  expect({plain, 2, {2, 3}, 1.0f}, -kInfinity, -kInfinity);          // nothing finite in the support
  expect({plain, 0, {0}, 1.0f}, 0.0f, full);                         // one token
  expect({hot, 2, {-1}, 1.0f}, 0.0f, 0.0f);                          // +inf
  expect({hot, 1, {0, 1}, 1.0f}, -kInfinity, -kInfinity);            //
  expect({hot, 2, {2, 3}, 1.0f}, 0.0f, 0.0f);                        //
  EXPECT_EQ(SupportReferenceRow(plain, 0, {-1}, 1.0f).Status(), kStatusNan);
  EXPECT_EQ(SupportReferenceRow(hot, 0, {-1}, 1.0f).Status(), kStatusInfinity);
  EXPECT_EQ(SupportReferenceRow({-kInfinity, kNan}, 0, {-1}, 1.0f).Status(), kStatusNan | kStatusNoFiniteLogit);
  const SupportReferenceRow above(hot, 1, {1, 3}, 1.0f);  // the +inf is of another set
  EXPECT_LT(above.LogProb(), 0.0f);
  EXPECT_NE(gradient(above), none);
}

TEST(SupportReference, ASupportThatIsNoneOrATemperatureThatIsNoneRefusesTheRow) {
  const std::vector<float> logits = {1.0f, 2.0f, 3.0f, 4.0f};
  const auto refused = [&](const std::vector<int32_t>& support, float temperature) {
    const SupportReferenceRow row(logits, 1, support, temperature);
    EXPECT_EQ(row.Status() == kStatusRefused, row.refused());
    EXPECT_EQ(std::isnan(row.LogProb()) && std::isnan(row.FullLogProb()), row.refused());
    if (row.refused()) {
      EXPECT_EQ(row.Gradient(1.0f, 1.0f), std::vector<float>(4, 0.0f));
    }
    return row.refused();
  };
  for (const std::vector<int32_t>& support :
       std::vector<std::vector<int32_t>>{{-1}, {0}, {3}, {0, 1, 2, 3}, {0, 1, 2, 3, -1, -1}, {1, 3, -1}, {-1, -1}})
    EXPECT_FALSE(refused(support, 1.0f));
  for (const std::vector<int32_t>& support : std::vector<std::vector<int32_t>>{
           {4}, {-2}, {1, 1}, {2, 1}, {-1, 0}, {0, -1, 1}, {0, -2}, {0, 4}, {0, 1, 2, 3, 3}, {INT32_MIN}, {INT32_MAX}})
    EXPECT_TRUE(refused(support, 1.0f));
  for (const float temperature : {0x1p-64f, 1e-3f, 0x1p120f, kMax}) EXPECT_FALSE(refused({1}, temperature));
  for (const float temperature : {0.0f, -0.0f, -1.0f, 0x1.fffffep-65f, kInfinity, -kInfinity, kNan, -kNan})
    EXPECT_TRUE(refused({1}, temperature));
}

}  // namespace
}  // namespace fire::test
