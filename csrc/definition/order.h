// The order of tokens: by key descending, then by id ascending. A total order, so nothing depends on luck.
#pragma once

#include "definition/bits.h"

namespace fire::definition {

// NaN reads as −inf, −0 as +0; every other logit is itself.
FIRE_RULE uint32_t SanitisedBits(uint32_t bits) {
  if (IsNanBits(bits)) return kNegativeInfinityBits;
  return bits == kSignBit ? 0u : bits;
}

FIRE_RULE float Sanitised(float logit) { return BitsToFloat(SanitisedBits(FloatBits(logit))); }

// Monotone image of a sanitised logit: x < y exactly when KeyOfBits(x) < KeyOfBits(y).
FIRE_RULE uint32_t KeyOfBits(uint32_t bits) { return (bits & kSignBit) ? ~bits : bits | kSignBit; }

FIRE_RULE uint32_t Key(float logit) { return KeyOfBits(SanitisedBits(FloatBits(logit))); }

FIRE_RULE float KeyToFloat(uint32_t key) { return BitsToFloat((key & kSignBit) ? key & ~kSignBit : ~key); }

inline constexpr int32_t kNoToken = -1;                             // in the places behind a support's ids
inline constexpr uint32_t kMaskedKey = ~kNegativeInfinityBits;      // the key of −inf: never kept
inline constexpr uint32_t kInfinityKey = kInfinityBits | kSignBit;  // the key of +inf: decides a row

// A token's place in the order as one integer: the key above, the id's complement below. Larger is earlier.
FIRE_RULE uint64_t Entry(uint32_t key, uint32_t id) {
  return (static_cast<uint64_t>(key) << 32) | static_cast<uint32_t>(~id);
}
FIRE_RULE uint32_t KeyOf(uint64_t entry) { return static_cast<uint32_t>(entry >> 32); }
FIRE_RULE uint32_t IdOf(uint64_t entry) { return ~static_cast<uint32_t>(entry); }
// Comes after every token of this key: the entry of its last possible id.
FIRE_RULE uint64_t LastOfKey(uint32_t key) { return static_cast<uint64_t>(key) << 32; }

}  // namespace fire::definition
