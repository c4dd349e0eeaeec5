// The first tokens of a shard in their order: those that top-k would keep, sorted.
#pragma once

#include "cpu/heap.h"
#include "cpu/kept_set.h"
#include "cpu/shard_table.h"

namespace fire::cpu::FIRE_ISA {

// The entries, with the shard's own ids, of the row's first `count` tokens; in any order. Returns how many there are:
// fewer where the row has no more logits above −inf. Into the memory of the candidate list's weights.
template <typename T>
uint32_t GatherFirst(const Row<T>& row, float maximum, uint32_t count, Workspace& workspace) {
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
      entries[i] = definition::Entry(Key(workspace.candidate_logit[i]), workspace.candidate_id[i]);
    return kept.count;
  }
  uint32_t found = 0;
  ForKept(row, kept.rule, finder.vector_scale(), workspace, [&](uint32_t id, Floats, uint32_t bits) {
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t token = id + static_cast<uint32_t>(__builtin_ctz(bits));
      entries[found++] = definition::Entry(Key(ValueAt(row.logits, token)), token);
    }
  });
  return found;
}

template <typename T>
void ShardEntries(const ShardTask& task, uint32_t count, uint64_t* out, Workspace& workspace) {
  const Row<T> row(static_cast<const T*>(task.logits), task.size);
  bool has_nan;
  const float maximum = FindMaxima<true>(row, workspace, &has_nan);
  uint32_t done = 0;
  if (maximum != kMasked) {
    const uint32_t found = GatherFirst(row, maximum, count, workspace);
    // An entry has its id's complement.
    ForLargest(workspace.candidate_weight, found, found, [&](uint64_t entry) { out[done++] = entry - task.first_id; });
  }
  memset(out + done, 0, (count - done) * sizeof *out);
  out[count] = has_nan ? kShardHasNan : 0;
}

}  // namespace fire::cpu::FIRE_ISA
