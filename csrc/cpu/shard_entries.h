// The first tokens of a shard in their order: those that top-k would keep, sorted.
#pragma once

#include "cpu/heap.h"
#include "cpu/kept_set.h"
#include "cpu/shard_table.h"

namespace fire::cpu::FIRE_ISA {

// The entries of the row's first `count` tokens, the row's first id being `first_id`; in any order. Returns how many
// there are: fewer where the row has no more logits above −inf. Into the memory of the candidate list's weights.
template <typename T>
uint32_t GatherFirst(const Row<T>& row, float maximum, uint32_t count, uint32_t first_id, Workspace& workspace) {
  const Phase phase = {.temperature = 1.0f,
                       .heat = definition::Heat::kFinite,
                       .top_k = count < row.size ? count : row.size,
                       .top_p = 1.0f,
                       .min_p = 0.0f,
                       .order = Order::kHf,
                       .ties = Ties::kExact,
                       .hot = false};
  KeptSetFinder<T> finder(row, phase, maximum, workspace);
  const KeptSet kept = finder.Find(/*weighs=*/false);
  uint64_t* const entries = workspace.candidate_weight;
  if (kept.listed) {
    for (uint32_t i = 0; i < kept.count; ++i)
      entries[i] = definition::Entry(Key(workspace.candidate_logit[i]), first_id + workspace.candidate_id[i]);
    return kept.count;
  }
  uint32_t found = 0;
  ForKept(row, kept.rule, finder.vector_scale(), workspace, [&](uint32_t id, Floats, uint32_t bits) {
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t token = id + static_cast<uint32_t>(__builtin_ctz(bits));
      entries[found++] = definition::Entry(Key(ValueAt(row.logits, token)), first_id + token);
    }
  });
  return found;
}

// Up to so many entries each is compared with all faster than a heap finds them one by one.
inline constexpr uint32_t kFewEntries = 8 * kLanes;

// An entry without the bits that all have, below 2^63 as weights are, so that vectors compare it.
inline uint64_t Packed(uint64_t entry) {
  return entry >> 32 << definition::kIdBits | (entry & ~uint64_t{definition::kOnesAboveId} & 0xFFFFFFFFu);
}

inline uint64_t Unpacked(uint64_t packed) {
  const uint32_t id = static_cast<uint32_t>(packed) | definition::kOnesAboveId;
  return packed >> definition::kIdBits << 32 | id;
}

// Writes different entries in descending order. Their own memory is overwritten, with up to a group behind them.
inline void SortEntries(uint64_t* entries, uint32_t count, uint64_t* out) {
  if (count > kFewEntries) {
    ForLargest(entries, count, count, [&](uint64_t entry) { *out++ = entry; });
    return;
  }
  for (uint32_t i = 0; i < count; ++i) entries[i] = Packed(entries[i]);
  memset(entries + count, 0, kLanes * sizeof *entries);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t place = 0;  // from 1: how many come no later
    for (uint32_t j = 0; j < count; j += kLanes)
      place += static_cast<uint32_t>(__builtin_popcount(Bits(WeightAtLeast(LoadWeights(entries + j), entries[i]))));
    out[place - 1] = Unpacked(entries[i]);
  }
}

template <typename T>
void ShardEntries(const ShardTask& task, uint32_t count, uint64_t* out, Workspace& workspace) {
  const Row<T> row(static_cast<const T*>(task.logits), task.size);
  bool has_nan;
  const float maximum = FindMaxima<true>(row, workspace, &has_nan);
  const uint32_t found = maximum == kMasked ? 0 : GatherFirst(row, maximum, count, task.first_id, workspace);
  SortEntries(workspace.candidate_weight, found, out);
  memset(out + found, 0, (count - found) * sizeof *out);
  out[count] = has_nan ? kShardHasNan : 0;
}

}  // namespace fire::cpu::FIRE_ISA
