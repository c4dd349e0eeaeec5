// A sharded row's state in a block's shared memory, with what its shard's tokens are measured by.
#pragma once

#include "kernels/device/weights.cuh"
#include "kernels/shard_storage.h"
#include "kernels/shards.h"

namespace fire::kernels {

using definition::ShardRow;

// Copies the state, and works out scales and the rule over a shard of `size` tokens. By all threads of a block.
__device__ __forceinline__ void ReadShardState(const ShardRow& from, uint32_t first_id, uint32_t size,
                                               ShardStorage* storage) {
  constexpr uint32_t kWords = sizeof(ShardRow) / sizeof(uint64_t);
  if (threadIdx.x < kWords)
    reinterpret_cast<uint64_t*>(&storage->row)[threadIdx.x] = reinterpret_cast<const uint64_t*>(&from)[threadIdx.x];
  __syncthreads();  // every word is there; else scales are of half a row
  const ShardRow& row = storage->row;
  if (threadIdx.x == 0) {
    storage->scale = definition::ScaleOf(row);
    storage->fast_scale = MakeFastScale(storage->scale);
  }
  if (threadIdx.x == 32) storage->ref_scale = definition::ReferenceScaleOf(row);
  if (threadIdx.x == 64) storage->rule = definition::RuleOfShard(row.rule, first_id, size);
  if (threadIdx.x == 96) definition::BringIntoRange(&storage->row);
  __syncthreads();  // scales and rule are written; else tokens are measured by older ones
}

// Of a NaN anything: no rule keeps it.
__device__ __forceinline__ uint64_t WeightOf(float logit, const ShardStorage& storage) {
  return storage.fast_scale.is_exact ? FastWeight(logit, storage.fast_scale) : definition::Weight(logit, storage.scale);
}

}  // namespace fire::kernels
