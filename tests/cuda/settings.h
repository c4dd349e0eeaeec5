// How much the tests do and from which seed: FIRE_TEST_SEED (default 1) chooses the rows, FIRE_TEST_SCALE (default 1)
// multiplies their number where rows are random. FIRE_TEST_SHRINK=0 reports a failing row as it is, without looking for
// a small one. At its end a program prints how many rows it ran and compared, and adds that number as a line to the
// file FIRE_TEST_ROW_RUNS, where one is named.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace fire::test {

inline uint64_t NumberOfEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

inline uint64_t Seed() { return NumberOfEnvironment("FIRE_TEST_SEED", 1); }

inline int Scaled(int count) { return count * static_cast<int>(NumberOfEnvironment("FIRE_TEST_SCALE", 1)); }

inline bool Shrinks() { return NumberOfEnvironment("FIRE_TEST_SHRINK", 1) != 0; }

inline int64_t row_runs = 0;

class RowRunReport : public testing::Environment {
  void TearDown() override {
    std::printf("%lld row-runs compared with the reference\n", static_cast<long long>(row_runs));
    if (const char* path = std::getenv("FIRE_TEST_ROW_RUNS")) std::ofstream(path, std::ios::app) << row_runs << '\n';
  }
};
inline testing::Environment* const row_run_report = testing::AddGlobalTestEnvironment(new RowRunReport);

}  // namespace fire::test
