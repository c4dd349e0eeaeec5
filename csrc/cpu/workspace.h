// The scratch memory of one thread: of fixed size, whatever the vocabulary. Functions here have internal linkage, as
// the definition's have (definition/bits.h).
#pragma once

#include <cstdint>

#include "fire/sampling.h"

namespace fire::cpu {

inline constexpr uint32_t kLanes = 16;            // logits handled together, on every instruction set
inline constexpr uint32_t kMaxStrips = 512;       // a row is cut into at most so many strips
inline constexpr uint32_t kMaxCandidates = 8192;  // tokens that fit the candidate list
inline constexpr uint32_t kBins = 1024;

// Logits a strip: the smallest power of two ≥ 256 that leaves at most kMaxStrips of them.
static constexpr uint32_t StripSize(uint32_t vocabulary) {
  uint32_t size = 256;
  while (vocabulary > size * kMaxStrips) size *= 2;
  return size;
}
static_assert(kMaxVocabulary / StripSize(kMaxVocabulary) <= kMaxStrips);

struct Workspace {
  // Of each strip, the largest logits of sixteen disjoint parts: one a lane. Which logits share a lane does not matter.
  alignas(64) float lane_maxima[kMaxStrips * kLanes];
  alignas(64) float folded_maxima[kMaxStrips * kLanes];

  // The candidate list, by ascending id; padded by one group beyond its end.
  alignas(64) float candidate_logit[kMaxCandidates + kLanes];
  alignas(64) uint64_t candidate_weight[kMaxCandidates + kLanes];
  alignas(64) uint32_t candidate_id[kMaxCandidates + kLanes];

  uint64_t strip_mass[kMaxStrips];
  uint64_t histogram[2][kBins + 1];  // two, so that neighbours in one bin do not wait for each other; last bin: others
};

}  // namespace fire::cpu
