// Chi-square and its bound. Seeds are fixed, so a failure is a defect and repeats.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

namespace fire::test {

// A statistical bound is one that a correct sampler breaks with a probability below this.
inline constexpr double kDoubt = 1e-9;

// Laurent and Massart 2000, lemma 1: P(chi² with `freedom` degrees ≥ this) ≤ kDoubt.
inline double ChiSquareBound(double freedom) {
  const double t = std::log(1 / kDoubt);
  return freedom + 2 * std::sqrt(freedom * t) + 2 * t;
}

// Counts of cells, of which each is expected often enough to be near its normal limit. Their sum is given.
inline void ExpectChiSquare(const std::vector<double>& observed, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < observed.size(); ++i)
    sum += (observed[i] - expected[i]) * (observed[i] - expected[i]) / expected[i];
  EXPECT_LE(sum, ChiSquareBound(static_cast<double>(observed.size()) - 1)) << observed.size() << " cells";
}

}  // namespace fire::test
