// Looking for an entry among shards, digit by digit: a histogram of the next digit over all shards tells in which of
// its values a running count or mass, from the first entry on, reaches a target.
#pragma once

#include "definition/order.h"
#include "fire/sampling.h"

namespace fire::definition {

// A search looks for an entry digit by digit: four of the key, then three of the id, whose bits beyond the largest
// vocabulary are all ones in an entry.
inline constexpr uint32_t kDigits = 256;  // at most
inline constexpr int kFirstDigit = 56;    // its lowest bit
inline constexpr int kIdBits = 21;
inline constexpr uint32_t kOnesAboveId = ~((1u << kIdBits) - 1);

FIRE_RULE int DigitBits(int shift) { return shift >= 32 ? 8 : 7; }

// From the highest down, the bits in which two keys of the type can differ beyond their sign.
FIRE_RULE uint32_t KeyBitsOf(LogitsType type) {
  return type == LogitsType::kFloat32 ? 32 : type == LogitsType::kBFloat16 ? 16 : 19;
}

// Where a search stands: among the tokens whose entries have the prefix's bits above the digit.
struct ShardSearch {
  uint64_t prefix = 0;
  uint64_t above = 0;  // reached by earlier tokens than those
  uint64_t target = 0;
  int32_t shift = 0;         // the digit's lowest bit
  uint32_t by_mass = 0;      // else by count
  uint32_t keeps_ties = 0;   // ends with a key; else with a token
  uint32_t finds_token = 0;  // the very token; else where the tokens end is enough
};

FIRE_RULE bool IsInRange(const ShardSearch& search, uint64_t entry) {
  return ((entry ^ search.prefix) >> search.shift >> DigitBits(search.shift)) == 0;
}

FIRE_RULE uint32_t DigitOf(const ShardSearch& search, uint64_t entry) {
  return static_cast<uint32_t>(entry >> search.shift) & ((1u << DigitBits(search.shift)) - 1);
}

// Goes on to the next digit that can differ. False where there is none: the prefix is then the end of a key, where the
// search keeps ties, or an entry.
FIRE_RULE bool NextDigit(ShardSearch* search, uint32_t key_bits) {
  if (search->shift > 32 && search->shift > 64 - static_cast<int>(key_bits)) {
    search->shift -= DigitBits(search->shift);
    return true;
  }
  if (search->shift >= 32) {
    // What is left of a key: its logit's bits are zeros there, which the key of a negative one inverts.
    const bool is_negative = (search->prefix >> 63) == 0;
    if (is_negative) search->prefix |= (uint64_t{1} << search->shift) - (uint64_t{1} << 32);
    if (search->keeps_ties) return false;
    search->prefix |= kOnesAboveId;
    search->shift = kIdBits;
  }
  search->shift -= DigitBits(0);
  return search->shift >= 0;
}

}  // namespace fire::definition
