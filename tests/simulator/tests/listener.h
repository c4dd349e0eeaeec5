// Makes a GoogleTest fail that leaves a report of the simulated device behind, and gives every test devices as new.
#pragma once

#include <gtest/gtest.h>

#include "tests/simulator/simulator.h"

namespace fire::simulator {

class Listener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { Reset(); }
  void OnTestEnd(const testing::TestInfo&) override {
    for (const Report& report : TakeReports()) ADD_FAILURE() << "simulated device: " << report.Text();
  }
};

}  // namespace fire::simulator
