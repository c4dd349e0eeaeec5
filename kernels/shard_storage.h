// What a block keeps in shared memory while it works on a row that lies in shards, as storage.h has it of whole rows.
#pragma once

#include "definition/shard.h"
#include "definition/weight.h"
#include "kernels/storage.h"

namespace fire::kernels {

// What a block keeps of a row that lies in shards; of its shard's answers in dynamic shared memory, in place of a
// resident part.
struct ShardStorage {
  definition::ShardRow row;
  definition::WeightScale scale;  // of the row's temperature
  definition::WeightScale ref_scale;
  FastScale fast_scale;
  KeptRule rule;  // over the shard's tokens, with ids of their own
};

// What finds a shard's first entries. Room for them follows, where delegates are before: up to four of each thread.
struct EntryStorage {
  uint32_t bins[definition::kDigits];
  uint32_t listed;  // may exceed the capacity
  float pivot;
  definition::ShardSearch search;
};

static_assert(sizeof(EntryStorage) % sizeof(Vector) == 0);

// Room for as many entries again as are asked for: those that reach a pivot are a few more.
FIRE_RULE constexpr uint32_t EntryCapacity(uint32_t count) {
  uint32_t capacity = 2 * kMostThreads;
  while (capacity < 2 * count) capacity *= 2;
  return capacity;
}

FIRE_RULE constexpr size_t EntryStorageBytes(uint32_t count) {
  return sizeof(EntryStorage) + EntryCapacity(count) * sizeof(uint64_t);
}

}  // namespace fire::kernels
