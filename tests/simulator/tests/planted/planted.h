// Bugs planted in kernels, each beside its repaired twin: the bug is found whatever the seed, the twin is clean.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/simulator/simulator.h"
#include "tests/simulator/tests/cluster_ptx.cuh"

namespace fire::simulator {

constexpr uint64_t kSeeds = 4;

class PlantedBug : public testing::Test {
 protected:
  // Launches with every check and each seed, in a device as new; `launch` gets 4 KiB of memory that was written.
  struct Outcome {
    cudaError_t error = cudaSuccess;
    std::vector<Report> reports;
    std::vector<int> memory;
  };
  std::vector<Outcome> Run(const std::function<void(int*)>& launch) {
    std::vector<Outcome> outcomes;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      Behaviour behaviour = GetBehaviour();
      behaviour.launch.seed = seed;
      behaviour.launch.check_races = races_;
      behaviour.launch.check_uninitialised = behaviour.launch.check_bounds = true;
      behaviour.launch.weak_memory = weak_;
      behaviour.launch.step_budget = 100000;
      SetBehaviour(behaviour);
      int* memory = nullptr;
      EXPECT_EQ(cudaMalloc(&memory, 4096), cudaSuccess);
      EXPECT_EQ(cudaMemset(memory, 0, 4096), cudaSuccess);
      launch(memory);
      Outcome outcome;
      outcome.error = cudaDeviceSynchronize();
      outcome.reports = TakeReports();
      outcome.memory.resize(1024);
      if (outcome.error == cudaSuccess) cudaMemcpy(outcome.memory.data(), memory, 4096, cudaMemcpyDeviceToHost);
      outcomes.push_back(std::move(outcome));
      cudaDeviceReset();
    }
    return outcomes;
  }

  // Every seed finds it, and the first report says where.
  void Finds(Finding finding, cudaError_t error, std::initializer_list<int> lines, const std::string& file,
             const std::function<void(int*)>& launch) {
    for (const Outcome& outcome : Run(launch)) {
      EXPECT_EQ(outcome.error, error);
      ASSERT_FALSE(outcome.reports.empty());
      const Report& report = outcome.reports[0];
      EXPECT_EQ(report.finding, finding) << report.Text();
      EXPECT_TRUE(std::count(lines.begin(), lines.end(), report.line)) << report.Text();
      EXPECT_NE(report.file.find(file), std::string::npos) << report.Text();
      EXPECT_NE(report.Text().find(std::to_string(report.line)), std::string::npos);
    }
  }

  void IsClean(const std::function<void(int*)>& launch) {
    for (const Outcome& outcome : Run(launch)) {
      EXPECT_EQ(outcome.error, cudaSuccess);
      for (const Report& report : outcome.reports) ADD_FAILURE() << report.Text();
    }
  }

  bool races_ = true;
  bool weak_ = false;
};

}  // namespace fire::simulator
