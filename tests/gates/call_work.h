// What calls cost in warp instructions, as the simulated device counts them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/sample_check.h"
#include "tests/simulator/simulator.h"

namespace fire::test {

struct Work {
  uint64_t busiest, all;  // of the block that does most, of all blocks
};

// Of the first launch since the last call.
inline Work TakeWork() {
  ThrowOnError(cudaDeviceSynchronize(), "launch");
  const std::vector<simulator::LaunchWork> work = simulator::TakeWork();
  return {work.at(0).of_busiest, work.at(0).instructions};
}

// Of a few seeds, the one whose work is in the middle speaks for all.
template <typename Measure>
Work MedianWork(const Measure& measure) {
  constexpr uint64_t kSeeds = 5;
  std::vector<Work> works;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) works.push_back(measure(seed));
  std::sort(works.begin(), works.end(), [](const Work& a, const Work& b) { return a.busiest < b.busiest; });
  return works[kSeeds / 2];
}

// That the busiest block does `most` times as much as another call's, or less.
inline void ExpectAtMost(double most, const Work& work, const Work& other) {
  EXPECT_LE(static_cast<double>(work.busiest), most * static_cast<double>(other.busiest));
}

inline RowCase ModelRow(uint32_t vocabulary, uint64_t seed) {
  Random random(seed);
  RowCase row;
  for (uint32_t id = 0; id < vocabulary; ++id) row.logits.push_back(Model(random, vocabulary));
  return row;
}

// What a row of bfloat16 costs by the launch that a batch of so many rows gets.
inline Work WorkOfRow(const std::vector<float>& logits, int32_t top_k, float top_p, int64_t rows) {
  RowCase row;
  row.logits = logits;
  row.record = PlainRecord(1);
  row.record.top_k = top_k, row.record.top_p = top_p;
  const DeviceBatch batch({row}, LogitsType::kBFloat16, {});
  const DeviceOutputs out(1, {false, false, false, false, false, false});
  const kernels::Plan plan = kernels::PlanFor(kernels::Task::kSample, rows, static_cast<int64_t>(logits.size()),
                                              LogitsType::kBFloat16, kernels::CurrentDevice());
  simulator::TakeWork();
  kernels::SampleWithPlan(batch.batch(), out.outputs(), plan, nullptr);
  return TakeWork();
}

// The device counts while a test runs.
class CountedWork : public testing::Test {
 protected:
  void SetUp() override {
    simulator::Behaviour behaviour;
    behaviour.launch.count_work = true;
    simulator::SetBehaviour(behaviour);
  }
  void TearDown() override { simulator::Reset(); }
};

}  // namespace fire::test
