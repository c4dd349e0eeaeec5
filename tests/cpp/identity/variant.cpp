// One build of the definition. Prints a hash of what each rule returns for a wide set of bit patterns; every compiler
// and every set of flags must print identity/golden.txt, with subnormals flushed (argument `flush`) as without.
#include <cinttypes>
#include <cstdio>
#include <cstring>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "definition/code.h"
#include "definition/design.h"
#include "definition/draw.h"
#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/philox.h"
#include "definition/weight.h"

namespace {

using namespace fire;
using namespace fire::definition;

class Hash {
 public:
  void Add(uint64_t value) { state_ = MulHigh64(state_ ^ value, kPrime) ^ ((state_ ^ value) * kPrime); }
  void Print(const char* name) const { std::printf("%s %016" PRIx64 "\n", name, state_); }

 private:
  static constexpr uint64_t kPrime = 0x9E3779B97F4A7C15u;
  uint64_t state_ = 0x243F6A8885A308D3u;
};

// The inputs are random bits, made without any float arithmetic.
class Patterns {
 public:
  uint64_t Next() { return DrawBits(2026, index_++, 0); }

  // Any bits, a subnormal, or a number of a chosen range of exponents.
  uint32_t Any() {
    const uint64_t bits = Next();
    const uint32_t low = static_cast<uint32_t>(bits);
    switch (bits >> 32 & 7) {
      case 0:
        return low;
      case 1:
        return low & 0x807FFFFFu;
      case 2:
        return kNegativeInfinityBits;
      default:
        return WithExponent(low, 110, 140);
    }
  }
  static uint32_t WithExponent(uint32_t bits, uint32_t least, uint32_t most) {
    return (bits & 0x807FFFFFu) | (least + (bits >> 23 & 0xFF) % (most - least + 1)) << 23;
  }

 private:
  int64_t index_ = 0;
};

void HashKeys(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 200000; ++i) {
    const uint32_t bits = patterns.Any();
    const uint32_t key = Key(BitsToFloat(bits));
    hash.Add(uint64_t{key} << 32 | FloatBits(KeyToFloat(key)));
    hash.Add(uint64_t{IsNanBits(bits)} << 32 | Float16ToFloatBits(static_cast<uint16_t>(bits)));
  }
  hash.Print("keys");
}

void HashWeights(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 4000; ++i) {
    // Temperatures of every kind: all exponents, their ends, greedy ones replaced as ref_logprob replaces them.
    Record record = {};
    record.temperature = BitsToFloat(i % 4 == 0 ? patterns.Any() : Patterns::WithExponent(patterns.Any(), 62, 250));
    const float temperature = ReferenceTemperature(record);
    float maximum = Sanitised(BitsToFloat(patterns.Any()));
    if (Key(maximum) == kMaskedKey || Key(maximum) == kInfinityKey) maximum = 1.5f;
    const uint32_t vocabulary = 1 + static_cast<uint32_t>(patterns.Next() >> (43 + i % 21));
    const WeightScale scale = MakeWeightScale(maximum, temperature, vocabulary);
    hash.Add(uint64_t{FloatBits(scale.slope)} << 32 | FloatBits(scale.floor));
    for (int j = 0; j < 100; ++j) {
      uint32_t bits = patterns.Any();
      // Half of the logits lie within a few scales of the maximum, by their bits.
      if (j % 2 == 0) bits = FloatBits(maximum) + (bits & 0xFFFFFFu) * (FloatBits(maximum) >> 31 ? 1u : ~0u);
      if (Key(BitsToFloat(bits)) <= Key(maximum)) hash.Add(Weight(BitsToFloat(bits), scale));
    }
  }
  hash.Print("weights");
}

void HashThresholds(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 200000; ++i) {
    const float fraction = BitsToFloat(patterns.Any());
    const uint64_t mass = patterns.Next() >> (1 + i % 60);
    hash.Add(uint64_t{TopPIsOn(fraction)} + 2 * TopPTarget(fraction, mass));
    hash.Add(MinPThreshold(fraction, mass));
    hash.Add(DrawPoint(patterns.Next(), mass));
  }
  hash.Print("thresholds");
}

void HashDesigns(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 100000; ++i) {
    Record record;
    record.flags = patterns.Any();
    record.group = patterns.Any() >> (i % 24);
    record.seed_low = patterns.Any();
    record.stream = patterns.Any();
    const int64_t step = i % 3;
    hash.Add(DrawBits(record, step));
    hash.Add(uint64_t{IsEnumerated(record, step)} << 32 | PlaceOf(record, 1 + patterns.Any() % 300));
  }
  hash.Print("designs");
}

void HashCodes(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 100000; ++i) {
    const uint64_t mass = patterns.Next() >> 1 | 1;
    const uint64_t weight = patterns.Next() % mass + 1;
    const uint64_t rest = patterns.Next() % weight;
    const uint64_t code = patterns.Next();
    hash.Add(NextCode(code, mass, rest, weight, patterns.Next()));
  }
  hash.Print("codes");
}

void HashPhases(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 100000; ++i) {
    uint32_t words[kRecordWords];
    for (uint32_t& word : words) word = patterns.Any();
    Record record;
    std::memcpy(&record, words, sizeof record);
    const int64_t step = static_cast<int64_t>(patterns.Next()) >> (i % 64);
    const uint32_t vocabulary = 1 + static_cast<uint32_t>(patterns.Next() >> 43);
    const Phase phase = PhaseOf(record, step, vocabulary);
    hash.Add(uint64_t{FloatBits(phase.temperature)} << 32 | phase.top_k);
    hash.Add(uint64_t{FloatBits(phase.top_p)} << 32 | FloatBits(phase.min_p));
    hash.Add(static_cast<uint64_t>(phase.heat) | static_cast<uint64_t>(phase.order) << 8 |
             static_cast<uint64_t>(phase.ties) << 16 | uint64_t{phase.hot} << 24 |
             uint64_t{HandsOver(record, vocabulary)} << 25);
    hash.Add(FloatBits(ReferenceTemperature(record)));
  }
  hash.Print("phases");
}

// Float outputs that are exact across backends, where neither input nor output is subnormal: flushing is the process's
// own wish there.
void HashScaledLogits(Patterns& patterns) {
  Hash hash;
  for (int i = 0; i < 200000; ++i) {
    const float logit = BitsToFloat(Patterns::WithExponent(patterns.Any(), 64, 190));
    const float temperature = BitsToFloat(Patterns::WithExponent(patterns.Any() & ~kSignBit, 80, 170));
    hash.Add(FloatBits(ScaledLogit(logit, temperature)));
    hash.Add(FloatBits(HeatedLogit(logit, temperature)));
  }
  hash.Print("scaled_logits");
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__SSE__)
  // A build with -ffast-math starts with both flags set, so both ways are set here.
  constexpr unsigned kFlushToZeroAndDenormalsAreZero = 0x8040;
  const bool flush = argc > 1 && std::strcmp(argv[1], "flush") == 0;
  _mm_setcsr(flush ? _mm_getcsr() | kFlushToZeroAndDenormalsAreZero : _mm_getcsr() & ~kFlushToZeroAndDenormalsAreZero);
#else
  static_cast<void>(argc);
  static_cast<void>(argv);
#endif
  Patterns patterns;
  HashKeys(patterns);
  HashWeights(patterns);
  HashThresholds(patterns);
  HashPhases(patterns);
  HashScaledLogits(patterns);
  HashDesigns(patterns);
  HashCodes(patterns);
}
