// The plans that the current device runs, and the shapes of rows that tests try them on.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/cuda/device_batch.h"

namespace fire::test {

inline std::vector<kernels::Plan> PlansHere(kernels::Task task, uint32_t vocabulary, LogitsType type) {
  return kernels::AllPlans(task, vocabulary, type, kernels::CurrentDevice());
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
