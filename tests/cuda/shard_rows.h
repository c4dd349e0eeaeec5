// What is told and written of rows that lie in shards, all ranks on one device, beside the definition's, in every bit.
#pragma once

#include <string>
#include <vector>

#include "tests/cuda/sample_check.h"
#include "tests/cuda/solved_shards.h"

namespace fire::test {

// Each function returns the first difference; nothing where all is equal. Solve() comes before them.
class ShardedRows : public SolvedShards {
 public:
  using SolvedShards::SolvedShards;

  // What Finish tells of each row against what the whole row's sample is.
  std::string FinishDifference(bool reference) {
    DeviceOutputs out(rows(), {true, true, true, true, true, reference}, 2);
    ShardFinishCuda(device_states(), static_cast<int64_t>(rows()), out.outputs(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "ShardFinishCuda");
    const auto token = out.Token();
    const auto logprob = out.LogProb(), ref_logprob = out.RefLogProb();
    const auto rank = out.Rank(), kept = out.Kept(), status = out.Status();
    for (size_t i = 0; i < rows(); ++i) {
      const RowCase& row = cases_.rows[i];
      const RowSample got = {token[i], logprob[i], ref_logprob[i], rank[i], kept[i], status[i]};
      const auto want = definition::ReferenceRow(logits(i).values().data(), vocabulary_, row.record, row.step).Sample();
      const std::string what = Differences(got, want, {true, true, true, true, true, reference});
      if (!what.empty()) return what + Where(i);
    }
    return out.GuardsAreWhole() ? "" : "writes around the outputs";
  }

  std::string LogProbDifference() {
    DeviceArray<float> logprob(rows());
    SampleOutputs outputs;
    outputs.logprob = logprob.get();
    ShardFinishCuda(device_states(), static_cast<int64_t>(rows()), outputs, nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "ShardFinishCuda");
    const std::vector<float> got = logprob.Read();
    for (size_t i = 0; i < rows(); ++i) {
      const RowCase& row = cases_.rows[i];
      const definition::ReferenceRow whole(logits(i).values().data(), vocabulary_, row.record, row.step);
      if (!CloseFloat(got[i], whole.LogProb(cases_.asked[i]))) return "logprob " + std::to_string(got[i]) + Where(i);
    }
    return "";
  }

  std::string ProcessDifference() {
    return EachShard("processed", 4, [&](size_t rank, const ShardBatch& shard, const DeviceMatrix& out) {
      ShardProcessCuda(shard, device_states(), static_cast<float*>(out.data()), out.stride(), nullptr);
      return
          [this, rank](size_t i) { return TypedRow(shards_[rank][i].ProcessedLogits(row(i)), LogitsType::kFloat32); };
    });
  }

  std::string GradientDifference() {
    std::vector<float> grads;
    for (size_t i = 0; i < rows(); ++i) grads.push_back(static_cast<float>(random_.Bell()));
    const size_t stride = random_.Below(3);
    const DeviceArray<float> grad = Spread(grads, stride);
    return EachShard("gradient", BytesOfElement(), [&](size_t rank, const ShardBatch& shard, const DeviceMatrix& out) {
      ShardLogProbBackwardCuda(shard, device_states(), grad.get(), static_cast<int64_t>(stride), out.data(),
                               out.stride(), nullptr);
      return [this, rank, grads, stride](size_t i) {
        const float own = stride == 0 ? grads.back() : grads[i];
        return TypedRow(shards_[rank][i].LogProbGradient(row(i), own), cases_.type);
      };
    });
  }

  // Changes the logits.
  std::string HeatDifference() {
    for (size_t rank = 0; rank < ranks(); ++rank) {
      if (cases_.sizes[rank] == 0) continue;
      const ShardBatch shard = BatchOf(rank);
      ShardHeatCuda(shard, device_states(), static_cast<float*>(logits_[rank].data()), nullptr);
      ThrowOnError(cudaDeviceSynchronize(), "ShardHeatCuda");
      for (size_t i = 0; i < rows(); ++i) {
        const TypedRow want(shards_[rank][i].HeatedLogits(row(i)), LogitsType::kFloat32);
        const std::string what = RowDifference(logits_[rank].ReadRow(i), want);
        if (!what.empty()) return "heated: " + what + Where(i);
      }
      if (!logits_[rank].IsUntouchedAround()) return "heat writes around the logits";
    }
    return "";
  }

 private:
  static std::string RowDifference(const std::vector<unsigned char>& got, const TypedRow& want) {
    const auto* bytes = static_cast<const unsigned char*>(want.data());
    const size_t element = want.bytes() / want.size();
    for (size_t at = 0; at < want.bytes(); ++at)
      if (got[at] != bytes[at]) return "logit " + std::to_string(at / element);
    return "";
  }

  // run(rank, shard, out) writes a shard and returns what is expected of each row.
  template <typename Run>
  std::string EachShard(const char* what, size_t element, const Run& run) {
    for (size_t rank = 0; rank < ranks(); ++rank) {
      if (cases_.sizes[rank] == 0) continue;
      const DeviceMatrix out(random_, rows(), cases_.sizes[rank], element);
      const auto want = run(rank, BatchOf(rank), out);
      ThrowOnError(cudaDeviceSynchronize(), what);
      for (size_t i = 0; i < rows(); ++i) {
        const std::string difference = RowDifference(out.ReadRow(i), want(i));
        if (!difference.empty()) return std::string(what) + ": " + difference + Where(i);
      }
      if (!out.IsUntouchedAround()) return std::string(what) + " writes around its rows";
    }
    return "";
  }
};

}  // namespace fire::test
