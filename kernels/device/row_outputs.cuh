// The kernel of the tasks that keep a row's kept set instead of drawing from it: processed logits, heated logits, the
// log-probability of a given token and its gradient. One block a row; the row is read once more, from cache, as it is
// written.
#pragma once

#include "definition/heat.h"
#include "kernels/device/kept_row.cuh"

namespace fire::kernels {

template <typename Logit>
class RowWriter {
 public:
  __device__ __forceinline__ explicit RowWriter(const Work& work) : work_(work) {}

  __device__ __forceinline__ void Write(int64_t row, const Geometry& geometry) {
    row_.Read(work_, row, Team{0, 1}, geometry);
    const RowSettings& settings = row_.settings();
    if (work_.task == Task::kHeatLogits && !settings.phase.hot) return;
    if (row_.IsDecided()) {
      row_.Decide();
    } else {
      row_.template Find<true, false, true>(row_.Look());
    }
    switch (work_.task) {
      case Task::kProcessLogits:
      case Task::kHeatLogits:
        return WriteLogits(row_.outcome());
      case Task::kLogProb:
      case Task::kLogProbBackward:
        return WriteLogProb(row_.outcome());
      default:
        return;
    }
  }

 private:
  __device__ __forceinline__ TokenMeasure Kept(const Outcome& found) const {
    return {.rule = found.rule, .counts = false, .only_key = 0};
  }

  // x / T or x · (T / T_hot) where kept; or 0 on one token. −inf elsewhere.
  __device__ __forceinline__ void WriteLogits(const Outcome& found) const {
    const RowSettings& settings = row_.settings();
    const bool heats = work_.task == Task::kHeatLogits;
    const bool is_masked = heats && row_.maximum() == -INFINITY;
    const bool is_one_hot =
        row_.HasOneToken() || (heats && !definition::HandsOver(settings.record, row_.Part().vocabulary()));
    const float ratio = heats ? definition::Divide(settings.record.temperature, settings.record.hot_temperature) : 0.0f;
    const TokenMeasure kept = Kept(found);
    const uint32_t token = IdOf(found.drawn);
    float* out = work_.out + row_.row() * work_.out_stride;
    ForRow([&](float x, uint32_t id) {
      uint64_t weight;
      float value = -INFINITY;
      if (!is_masked) {
        if (is_one_hot) {
          value = id == token ? 0.0f : -INFINITY;
        } else if (kept.Keeps(definition::Key(x), id, &weight)) {
          const float logit = definition::Sanitised(x);
          value = heats ? definition::HeatedLogit(logit, ratio)
                        : definition::ScaledLogit(logit, settings.phase.temperature);
        }
      }
      out[id] = value;
    });
  }

  __device__ __forceinline__ void WriteLogProb(const Outcome& found) const {
    const float temperature = row_.settings().phase.temperature;
    const int64_t token = work_.token[row_.row() * work_.token_stride];
    const bool is_in_vocabulary = token >= 0 && token < row_.Part().vocabulary();
    const auto* logits =
        static_cast<const typename Logit::Element*>(work_.batch.logits) + row_.row() * work_.batch.row_stride;
    const uint32_t id = static_cast<uint32_t>(token);
    const float x = is_in_vocabulary ? definition::Sanitised(Logit::Value(logits[id], 0)) : -INFINITY;
    const TokenMeasure kept = Kept(found);
    uint64_t weight;
    const bool is_kept = is_in_vocabulary &&
                         (row_.HasOneToken() ? id == IdOf(found.drawn) : kept.Keeps(definition::Key(x), id, &weight));
    if (work_.task == Task::kLogProb) {
      if (threadIdx.x != 0) return;
      float logprob = is_kept ? 0.0f : -INFINITY;
      if (is_kept && !row_.HasOneToken())
        logprob = definition::LogSoftmax(x, row_.maximum(), temperature, row_.settings().weight_of_maximum, found.mass);
      work_.out[row_.row()] = logprob;
      return;
    }
    auto* out = static_cast<typename Logit::Element*>(work_.grad_logits) + row_.row() * work_.grad_logits_stride;
    const bool has_gradient = is_kept && !row_.HasOneToken();
    const float grad = work_.grad[row_.row() * work_.grad_stride];
    ForRow([&](float other, uint32_t at) {
      uint64_t of_other;
      float slope = 0.0f;
      if (has_gradient && kept.Keeps(definition::Key(other), at, &of_other))
        slope = definition::LogProbSlope(of_other, found.mass, at == id, temperature) * grad;
      out[at] = Logit::FromFloat(slope);
    });
  }

  template <typename Visit>
  __device__ __forceinline__ void ForRow(const Visit& visit) const {
    const RowPart<Logit> part = row_.Part();
    part.template ForElements<false>({0, part.vocabulary()}, threadIdx.x, blockDim.x, visit);
  }

  const Work& work_;
  KeptRow<Logit, false, true> row_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    WriteRows(const __grid_constant__ Work work, int64_t first_row, const __grid_constant__ Geometry geometry) {
  ptx::WaitForPriorGrids();
  RowWriter<Logit>(work).Write(first_row + blockIdx.x, geometry);
}

}  // namespace fire::kernels
