// Where a weight exceeds that of a slightly larger logit, by its mantissa's last bit (docs/semantics.md).
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "definition/filter.h"

namespace fire::test {

// Two neighbouring logits below a maximum of 0, of which the smaller weighs more, and a min-p between their weights.
struct Dip {
  float refused, kept;  // the former is the larger logit
  float min_p;
};

inline std::optional<Dip> FindDip(uint32_t vocabulary) {
  const definition::WeightScale scale = definition::MakeWeightScale(0.0f, 1.0f, vocabulary);
  const uint64_t whole = definition::Weight(0.0f, scale);
  for (float larger = -0.125f; larger > -0.25f;) {
    const float smaller = std::nextafter(larger, -1.0f);
    const uint64_t refused = definition::Weight(larger, scale), kept = definition::Weight(smaller, scale);
    if (refused < kept) {
      const float about = static_cast<float>(static_cast<double>(kept) / static_cast<double>(whole));
      for (const float min_p : {about, std::nextafter(about, 0.0f), std::nextafter(about, 1.0f)}) {
        const uint64_t least = definition::MinPThreshold(min_p, whole);
        if (refused < least && least <= kept) return Dip{larger, smaller, min_p};
      }
    }
    larger = smaller;
  }
  return std::nullopt;
}

}  // namespace fire::test
