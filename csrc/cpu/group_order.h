// The tokens of an enumerated group: the kept set in its order.
#pragma once

#include "cpu/heap.h"
#include "cpu/kept_row.h"

namespace fire::cpu::FIRE_ISA {

// The entries of `rule` from place `first` on, into `entries`; `before` is the entry in front of them.
template <typename T>
uint32_t GatherEntries(const KeptRow<T>& kept, const KeptRule& rule, bool has_before, uint64_t before,
                       uint64_t* entries, const Workspace& workspace) {
  const RuleMasks masks_before({.last = before, .min_weight = rule.min_weight}, kept.vector_scale());
  uint32_t count = 0;
  ForKept(kept.row(), rule, kept.vector_scale(), workspace, [&](uint32_t id, Floats x, uint32_t bits) {
    if (has_before) bits &= ~Bits(masks_before.Kept(id, x));
    for (; bits != 0; bits &= bits - 1) {
      const uint32_t token = id + static_cast<uint32_t>(__builtin_ctz(bits));
      entries[count++] = definition::Entry(Key(ValueAt(kept.row().logits, token)), token);
    }
  });
  return count;
}

// Member m takes the token in place m mod `count`, the size of the kept set. Writes the candidate list.
template <typename T>
void WriteByOrder(const KeptRow<T>& kept, uint32_t count, uint32_t size, int64_t* token, Workspace& workspace) {
  uint64_t* const entries = workspace.candidate_weight;  // nothing is drawn by them
  const uint32_t places = count < size ? count : size;
  uint32_t done = 0;
  const auto write = [&](uint64_t entry) { token[done++] = definition::IdOf(entry); };
  if (kept.kept_set().listed) {
    for (uint32_t i = 0; i < count; ++i)
      entries[i] = definition::Entry(Key(workspace.candidate_logit[i]), workspace.candidate_id[i]);
    ForLargest(entries, count, places, write);
  } else {
    // As many at once as the list has room for.
    for (uint64_t before = 0; done < places;) {
      const uint32_t end = places - done < kMaxCandidates ? places : done + kMaxCandidates;
      const uint64_t last = kept.EntryAt(end - 1);
      const KeptRule rule = {.last = last, .min_weight = kept.kept_set().rule.min_weight};
      const uint32_t gathered = GatherEntries(kept, rule, done != 0, before, entries, workspace);
      ForLargest(entries, gathered, gathered, write);
      before = last;
    }
  }
  for (; done < size; ++done) token[done] = token[done - count];
}

}  // namespace fire::cpu::FIRE_ISA
