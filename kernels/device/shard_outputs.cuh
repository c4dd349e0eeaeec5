// The kernel of what a shard's logits become, one by one, once the row asks nothing any more: its part of the processed
// and the heated logits, and of a log-probability's gradient. The blocks of a row have their parts of it and never
// meet.
#pragma once

#include "definition/heat.h"
#include "kernels/device/row_part.cuh"
#include "kernels/device/shard_state.cuh"

namespace fire::kernels {

__device__ __forceinline__ ShardStorage& SharedOutputStorage() {
  return *reinterpret_cast<ShardStorage*>(fire_shared_memory);
}

template <typename Logit>
class ShardWriter {
 public:
  __device__ __forceinline__ explicit ShardWriter(const ShardOutputWork& work)
      : work_(work), shard_(SharedOutputStorage()) {}

  __device__ __forceinline__ void Write(int64_t at, uint32_t rank, uint32_t blocks) const {
    const PartShape shape = ShapeOf<Logit>(work_.batch, at, rank, blocks);
    ReadShardState(work_.states[at], work_.first_id, shape.vocabulary, &shard_);
    const RowPart<Logit> part(shape);
    const Run ids = part.IdsOf({shape.begin, shape.end});
    const int64_t begin = at * work_.out_stride;
    switch (work_.output) {
      case ShardOutput::kProcessedLogits:
        return WriteProcessed(part, ids, static_cast<float*>(work_.out) + begin);
      case ShardOutput::kHeatedLogits:
        return WriteHeated(part, ids, static_cast<float*>(work_.out) + begin);
      case ShardOutput::kGradient:
        return WriteGradient(part, ids, static_cast<typename Logit::Element*>(work_.out) + begin,
                             work_.grad[at * work_.grad_stride]);
    }
  }

 private:
  __device__ __forceinline__ const ShardRow& row() const { return shard_.row; }
  __device__ __forceinline__ int64_t IdOfRow(uint32_t id) const { return int64_t{work_.first_id} + id; }

  __device__ __forceinline__ bool Keeps(float x, uint32_t id, uint64_t* weight) const {
    const uint32_t key = definition::Key(x);
    if (key == definition::kMaskedKey) return false;
    *weight = WeightOf(x, shard_);
    return definition::Keeps(shard_.rule, Entry(key, id), *weight);
  }

  template <typename Visit>
  static __device__ __forceinline__ void ForEach(const RowPart<Logit>& part, const Run& ids, const Visit& visit) {
    part.template ForElements<false>(ids, threadIdx.x, blockDim.x, visit);
  }

  __device__ __forceinline__ void WriteProcessed(const RowPart<Logit>& part, const Run& ids, float* out) const {
    const bool is_decided = definition::IsDecided(row());
    const float temperature = definition::PhaseOf(row()).temperature;
    ForEach(part, ids, [&](float x, uint32_t id) {
      uint64_t weight;
      float value = -INFINITY;
      if (is_decided) {
        if (IdOfRow(id) == row().token) value = 0.0f;
      } else if (Keeps(x, id, &weight)) {
        value = definition::ScaledLogit(definition::Sanitised(x), temperature);
      }
      out[id] = value;
    });
  }

  __device__ __forceinline__ void WriteHeated(const RowPart<Logit>& part, const Run& ids, float* out) const {
    if (!definition::PhaseOf(row()).hot) return;
    const bool is_masked = (row().status & kStatusNoFiniteLogit) != 0, is_handed_over = definition::IsHandedOver(row());
    const float ratio = definition::Divide(row().record.temperature, row().record.hot_temperature);
    const uint64_t last = shard_.rule.last;
    ForEach(part, ids, [&](float x, uint32_t id) {
      float value = -INFINITY;
      if (is_handed_over) {
        if (Entry(definition::Key(x), id) >= last) value = definition::HeatedLogit(definition::Sanitised(x), ratio);
      } else if (!is_masked && IdOfRow(id) == row().token) {
        value = 0.0f;
      }
      out[id] = value;
    });
  }

  __device__ __forceinline__ void WriteGradient(const RowPart<Logit>& part, const Run& ids,
                                                typename Logit::Element* out, float grad) const {
    const bool has_gradient = !definition::IsDecided(row()) && definition::Keeps(row().rule, row().entry, row().weight);
    const float temperature = definition::PhaseOf(row()).temperature;
    const uint64_t mass = row().mass;
    ForEach(part, ids, [&](float x, uint32_t id) {
      uint64_t weight;
      float slope = 0.0f;
      if (has_gradient && Keeps(x, id, &weight))
        slope = definition::LogProbSlope(weight, mass, IdOfRow(id) == row().asked, temperature) * grad;
      out[id] = Logit::FromFloat(slope);
    });
  }

  const ShardOutputWork& work_;
  ShardStorage& shard_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    ShardOutputRows(const __grid_constant__ ShardOutputWork work, int64_t first_row, Geometry) {
  ptx::WaitForPriorGrids();
  const uint32_t blocks = ptx::ClusterSize();
  ShardWriter<Logit>(work).Write(first_row + blockIdx.x / blocks, ptx::ClusterRank(), blocks);
}

}  // namespace fire::kernels
