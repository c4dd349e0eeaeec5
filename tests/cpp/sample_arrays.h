// The arrays that the samples of some rows go into, or their groups.
#pragma once

#include <cstdint>
#include <vector>

#include "definition/row_sample.h"
#include "fire/sampling.h"

namespace fire::test {

// All outputs of a call, which begin at −7.
struct SampleArrays {
  explicit SampleArrays(int64_t rows, int64_t size = 1)
      : token(static_cast<size_t>(rows * size), -7),
        rank(token.size(), -7),
        kept(static_cast<size_t>(rows), -7),
        status(kept.size(), -7),
        logprob(token.size(), -7.0f),
        ref_logprob(token.size(), -7.0f) {}

  SampleOutputs Outputs() {
    SampleOutputs out;
    out.token = token.data();
    out.logprob = logprob.data();
    out.ref_logprob = ref_logprob.data();
    out.rank = rank.data();
    out.kept = kept.data();
    out.status = status.data();
    return out;
  }

  // Of the only row.
  RowSample Member(uint32_t member) const {
    return {token[member], logprob[member], ref_logprob[member], rank[member], kept[0], status[0]};
  }

  std::vector<int64_t> token;
  std::vector<int32_t> rank, kept, status;
  std::vector<float> logprob, ref_logprob;
};

}  // namespace fire::test
