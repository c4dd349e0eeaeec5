// The plans that the current device runs, those of 16 blocks included where it has such clusters; and the shapes of
// rows that tests try them on.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/cuda/device_batch.h"

namespace fire::test {

inline kernels::Device DeviceHere() {
  kernels::Device device = kernels::CurrentDevice();
  const bool has_large_clusters = device.compute_capability == 90 || device.compute_capability == 100;
  if (device.largest_cluster > 1 && has_large_clusters) device.largest_cluster = 16;
  return device;
}

inline std::vector<kernels::Plan> PlansHere(kernels::Task task, uint32_t vocabulary, LogitsType type) {
  return kernels::AllPlans(task, vocabulary, type, DeviceHere());
}

struct Shape {
  LogitsType type;
  uint32_t vocabulary;
};

inline void PrintTo(const Shape& shape, std::ostream* out) { *out << NameOf(shape.type) << " x " << shape.vocabulary; }

inline std::string NameOfShape(const testing::TestParamInfo<Shape>& info) {
  return std::string(NameOf(info.param.type)) + "Times" + std::to_string(info.param.vocabulary);
}

}  // namespace fire::test
