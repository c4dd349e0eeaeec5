// A kept set as a rule over the row. Every filter keeps a prefix of the order of tokens; min-p alone weighs each.
#pragma once

#include "definition/order.h"

namespace fire::definition {

// Kept are the tokens of the order up to `last`, an Entry, that weigh at least `min_weight`.
struct KeptRule {
  uint64_t last;
  uint64_t min_weight;
};

// Keeps every finite logit, and so never −inf.
FIRE_RULE KeptRule KeepAll() { return {LastOfKey(kMaskedKey + 1), 0}; }

FIRE_RULE bool Keeps(const KeptRule& rule, uint64_t entry, uint64_t weight) {
  return entry >= rule.last && weight >= rule.min_weight;
}

}  // namespace fire::definition
