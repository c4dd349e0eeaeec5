// ref_logprob and rank of many members of one row, in one more read of it.
#pragma once

#include "cpu/heap.h"
#include "cpu/kept_row.h"
#include "definition/draw.h"

namespace fire::cpu::FIRE_ISA {

// Up to so many thresholds are each compared with sixteen logits at once; more are searched for a logit at a time.
inline constexpr uint32_t kMostCompared = 32;

// Of each of `thresholds`, which fall, how many logits of the row are at least that; and the mass of all.
template <typename T>
uint64_t RanksAndMass(const Row<T>& row, const float* thresholds, uint32_t thresholds_count, const VectorScale& scale,
                      const Workspace& workspace, uint32_t* ranks) {
  const Floats lowest = Broadcast(thresholds[thresholds_count - 1]);
  Counts counts[kMostCompared];
  uint64_t mass = 0;
  for (uint32_t i = 0; i < thresholds_count; ++i) ranks[i] = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    mass += MassOfStrip(row, strip, scale);
    const Floats maxima = Load(workspace.lane_maxima + strip * kLanes);
    if (Bits(AtLeast(maxima, lowest)) == 0) continue;
    if (thresholds_count <= kMostCompared) {
      uint32_t first = 0;  // that the strip reaches
      while (Bits(AtLeast(maxima, Broadcast(thresholds[first]))) == 0) ++first;
      for (uint32_t i = first; i < thresholds_count; ++i) {
        const Floats least = Broadcast(thresholds[i]);
        row.ForGroups(strip, [&](uint32_t, Floats x) { Count(counts[i], AtLeast(x, least)); });
      }
      continue;
    }
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      for (uint32_t bits = Bits(AtLeast(x, lowest)); bits != 0; bits &= bits - 1) {
        const float logit = ValueAt(row.logits, id + static_cast<uint32_t>(__builtin_ctz(bits)));
        // The first threshold that it reaches.
        ++ranks[FirstWhere(0, thresholds_count - 1, [&](uint32_t i) { return thresholds[i] <= logit; })];
      }
    });
  }
  for (uint32_t i = 0; i < thresholds_count; ++i) {
    if (thresholds_count <= kMostCompared) {
      ranks[i] = static_cast<uint32_t>(Total(counts[i]));
    } else if (i > 0) {
      ranks[i] += ranks[i - 1];
    }
  }
  return mass;
}

// Of a row that is not decided.
template <typename T>
void AddReferences(const RowTask& task, const KeptRow<T>& kept, const GroupRequest& request,
                   const SampleOutputs& outputs, Workspace& workspace) {
  const uint32_t size = request.size;
  const GroupScratch& scratch = request.scratch;
  const auto logit_of = [&](uint32_t member) {
    return ValueAt(kept.row().logits, static_cast<uint32_t>(outputs.token[member]));
  };
  // The members' logits without repetition, from the largest down, and where each member's stands among them.
  for (uint32_t member = 0; member < size; ++member)
    scratch.entry[member] = definition::Entry(Key(logit_of(member)), member);
  uint32_t distinct = 0;
  ForLargest(scratch.entry, size, size, [&](uint64_t entry) {
    const float logit = KeyToFloat(definition::KeyOf(entry));
    if (distinct == 0 || logit != scratch.logit[distinct - 1]) scratch.logit[distinct++] = logit;
    scratch.place[definition::IdOf(entry)] = distinct - 1;
  });
  const float temperature = definition::ReferenceTemperature(task.record);
  const VectorScale scale(definition::MakeWeightScale(kept.maximum(), temperature, task.vocabulary));
  const uint64_t mass = RanksAndMass(kept.row(), scratch.logit, distinct, scale, workspace, scratch.rank);
  const uint64_t weight_of_maximum = definition::WeightOfMaximum(task.vocabulary);
  for (uint32_t member = 0; member < size; ++member) {
    if (outputs.rank != nullptr) outputs.rank[member] = static_cast<int32_t>(scratch.rank[scratch.place[member]]);
    if (outputs.ref_logprob != nullptr)
      outputs.ref_logprob[member] =
          definition::LogSoftmax(logit_of(member), kept.maximum(), temperature, weight_of_maximum, mass);
  }
}

}  // namespace fire::cpu::FIRE_ISA
