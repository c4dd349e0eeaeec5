// The tokens of an enumerated group: the kept set in its order.
#pragma once

#include "cpu/heap.h"
#include "cpu/kept_row.h"

namespace fire::cpu::FIRE_ISA {

// The entry of the kept token before which `place` others stand, of a kept set that is a rule over the row. Writes the
// candidate list.
template <typename T>
uint64_t EntryAtPlace(const KeptRow<T>& kept, uint32_t place, Workspace& workspace) {
  const uint64_t target = uint64_t{place} + 1;
  Threshold at;
  ThresholdInRow<Measure::kCount>(kept.row(), kept.maximum(), target, kept.kept_set().rule.min_weight, kept.scale(),
                                  kept.vector_scale(), workspace, &at);
  return NthEqual(kept.row(), workspace, at.threshold, TiesNeeded(at, target));
}

// The entries of `rule` from place `first` on, into `entries`; `before` is the entry in front of them.
template <typename T>
uint32_t GatherEntries(const KeptRow<T>& kept, const KeptRule& rule, bool has_before, uint64_t before,
                       uint64_t* entries, const Workspace& workspace) {
  const RuleMasks masks(rule, kept.vector_scale());
  const RuleMasks masks_before({.last = before, .min_weight = rule.min_weight}, kept.vector_scale());
  const Floats least = Broadcast(ThresholdOf(rule));
  uint32_t count = 0;
  for (uint32_t strip = 0; strip < kept.row().strips; ++strip) {
    if (Bits(AtLeast(Load(workspace.lane_maxima + strip * kLanes), least)) == 0) continue;
    kept.row().ForGroups(strip, [&](uint32_t id, Floats x) {
      uint32_t bits = Bits(masks.Kept(id, x));
      if (bits != 0 && has_before) bits &= ~Bits(masks_before.Kept(id, x));
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t token = id + static_cast<uint32_t>(__builtin_ctz(bits));
        entries[count++] = definition::Entry(Key(ValueAt(kept.row().logits, token)), token);
      }
    });
  }
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
      const uint64_t last = EntryAtPlace(kept, end - 1, workspace);
      const KeptRule rule = {.last = last, .min_weight = kept.kept_set().rule.min_weight};
      const uint32_t gathered = GatherEntries(kept, rule, done != 0, before, entries, workspace);
      ForLargest(entries, gathered, gathered, write);
      before = last;
    }
  }
  for (; done < size; ++done) token[done] = token[done - count];
}

}  // namespace fire::cpu::FIRE_ISA
