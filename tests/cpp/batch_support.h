// Sampling a batch through the C++ API, for tests that compare tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "fire/sampling.h"

namespace fire::test {

inline std::vector<int64_t> Tokens(const Batch& batch, const ParallelFor& parallel_for = {}) {
  std::vector<int64_t> token(static_cast<size_t>(batch.rows), -1);
  SampleOutputs outputs;
  outputs.token = token.data();
  SampleCpu(batch, outputs, parallel_for);
  return token;
}

}  // namespace fire::test
