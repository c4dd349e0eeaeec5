// The carried code: 64 random bits that a sequence draws with at every step. What a draw uses up of them, fresh ones
// replace, so that codes spread over the unit interval spread whole sequences.
#pragma once

#include "definition/design.h"

namespace fire::definition {

// Counter words below kGroupWord: one a member.
inline constexpr uint32_t kCodeWord = 0xFFFFFFFEu;

// The code that a sequence begins with.
FIRE_RULE uint64_t FirstCode(const Record& record, int64_t step) { return DrawBits(record, step); }

// The fresh bits of one step.
FIRE_RULE uint64_t FreshBits(const Record& record, int64_t step) {
  const uint32_t member = DesignOf(record) == Design::kNone ? 0 : MemberOf(record).index;
  return FirstTwoWords(StepBlock(record, step, kCodeWord - member));
}

// What `code` becomes when it has drawn, of a kept set of `mass`, a token of `weight` whose share begins `rest` below
// its point: floor((code · M − before · 2^64 + fresh) / weight), of which code · M is the point in 64 fractional bits.
FIRE_RULE uint64_t NextCode(uint64_t code, uint64_t mass, uint64_t rest, uint64_t weight, uint64_t fresh_bits) {
  const uint64_t used = code * mass;  // below the point
  const uint64_t low = used + MulHigh64(fresh_bits, mass);
  const uint64_t high = rest + (low < used ? 1 : 0);
  return DivideWide(high, low, weight);  // high = weight, low < mass: a carry beyond the share
}

}  // namespace fire::definition
