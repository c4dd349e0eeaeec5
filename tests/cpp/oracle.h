// A second reading of docs/semantics.md, for definition/reference.h to be compared with.
//
// It shares no code and no structure with csrc/definition: sets of tokens and their places instead of sorted
// prefixes, real-number comparisons in 128-bit integers instead of thresholds, its own Philox, its own rounding of
// fused multiply-adds, logarithms in long double. Quadratic in the vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fire/config.h"

namespace fire::test {

using TokenSet = std::vector<bool>;

class Oracle {
 public:
  Oracle(const std::vector<float>& logits, const Record& record, int64_t step);

  int64_t token = 0;
  bool decided = false;
  TokenSet kept;
  int32_t kept_count = 0;
  uint64_t mass = 0;
  int32_t rank = 0;
  int32_t status = 0;
  long double logprob = 0;
  long double ref_logprob = 0;

  std::vector<float> ProcessedLogits() const;
  std::vector<float> HeatedLogits() const;
  long double LogProb(int64_t id) const;
  std::vector<long double> LogProbGradient(int64_t id) const;

  struct Support {
    std::vector<int32_t> token;
    std::vector<long double> logprob;
    int32_t status;
  };
  Support SupportOf(size_t width) const;

  struct Coded {
    int64_t token;
    uint64_t code;
  };
  Coded SampleCoded(uint64_t code) const;
  // The largest code that draws `token`, where the fresh bits may carry beyond its share.
  uint64_t LastCode() const;

 private:
  struct Settings {
    float temperature;
    int32_t top_k;
    float top_p, min_p;
  };

  size_t Size() const { return values_.size(); }
  bool Before(size_t a, size_t b) const;
  size_t PlaceIn(const TokenSet& set, size_t id) const;
  uint64_t MassOf(const TokenSet& set) const;
  uint64_t MassBefore(size_t id) const;
  TokenSet TopK(const TokenSet& set, int32_t top_k) const;
  TokenSet TopP(const TokenSet& set) const;
  TokenSet MinP(const TokenSet& set) const;
  TokenSet WithEqualsOf(const TokenSet& chosen, const TokenSet& among) const;
  TokenSet Filtered() const;
  uint32_t Design() const;
  uint32_t MemberIndex() const;
  uint64_t RandomWords(uint32_t w, int high, int low) const;
  uint64_t RandomBits() const;
  int64_t Draw(uint64_t u) const;
  long double LogSoftmax(size_t id, float temperature, long double mass, long double weight_of_maximum) const;
  bool HandsOver() const;

  Record record_;
  int64_t step_;
  std::vector<float> raw_;
  std::vector<double> values_;  // NaN read as −inf
  double maximum_;
  bool hot_;
  Settings now_;
  uint32_t order_, ties_;
  std::vector<uint64_t> weights_;
};

// weight(x) of semantics.md, in IEEE single without a fused multiply-add of the machine.
uint64_t OracleWeight(float logit, float maximum, float temperature, uint32_t vocabulary);

// Philox4x32-10 as its paper states it.
void OraclePhilox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

}  // namespace fire::test
