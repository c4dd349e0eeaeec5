// Random numbers without state: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011), a function of (seed, step, stream) alone.
#pragma once

#include "definition/bits.h"

namespace fire::definition {

struct Philox {
  uint32_t word[4];
};

FIRE_RULE Philox Philox4x32(Philox counter, uint32_t key_low, uint32_t key_high) {
  constexpr uint32_t kMultiplierA = 0xD2511F53u, kMultiplierB = 0xCD9E8D57u;
  constexpr uint32_t kWeylA = 0x9E3779B9u, kWeylB = 0xBB67AE85u;
  for (int round = 0; round < 10; ++round) {
    // In 32 bits: of products in 64 a compiler for GPUs makes twice the instructions.
    const uint32_t a = counter.word[0], b = counter.word[2];
    counter = {{MulHigh32(kMultiplierB, b) ^ counter.word[1] ^ key_low, kMultiplierB * b,
                MulHigh32(kMultiplierA, a) ^ counter.word[3] ^ key_high, kMultiplierA * a}};
    key_low += kWeylA;
    key_high += kWeylB;
  }
  return counter;
}

FIRE_RULE uint64_t FirstTwoWords(const Philox& block) {
  return (static_cast<uint64_t>(block.word[1]) << 32) | block.word[0];
}

// The block of a sequence's step. `w` separates the uses of its numbers (definition/design.h, code.h).
FIRE_RULE Philox StepBlock(uint64_t seed, int64_t step, uint32_t stream, uint32_t w) {
  const uint64_t counter = static_cast<uint64_t>(step);
  return Philox4x32({{static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream, w}},
                    static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// The 64 random bits of a draw without a group.
FIRE_RULE uint64_t DrawBits(uint64_t seed, int64_t step, uint32_t stream) {
  return FirstTwoWords(StepBlock(seed, step, stream, 0));
}

// The seed of sequence `index` when one configuration is spread over many: `pack(config, rows=…, first_row=…)`.
FIRE_RULE uint64_t SpreadSeed(uint64_t seed, uint64_t index) {
  return FirstTwoWords(Philox4x32({{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 1}},
                                  static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)));
}

}  // namespace fire::definition
