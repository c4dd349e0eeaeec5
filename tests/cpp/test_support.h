// What several tests need: repeatable random numbers, a record to start from, floats by their bits, types of logits,
// what was thrown.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "fire/config.h"
#include "fire/sampling.h"

namespace fire::test {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kMax = std::numeric_limits<float>::max();
inline constexpr LogitsType kLogitsTypes[] = {LogitsType::kFloat32, LogitsType::kBFloat16, LogitsType::kFloat16};

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// −0 and +0 are one value; a NaN equals one of the same bits.
inline bool SameFloat(float a, float b) { return a == b || BitsOf(a) == BitsOf(b); }
inline bool AllSame(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), SameFloat);
}

// SplitMix64: the same numbers on every standard library, unlike std::normal_distribution and its kin.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(((Bits() >> 32) * end) >> 32); }
  double Uniform() { return static_cast<double>(Bits() >> 11) * 0x1p-53; }
  // The sum of twelve uniforms: bell-shaped, variance 1, no library function in it.
  double Bell() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += Uniform();
    return sum;
  }
  template <typename T, size_t n>
  T Pick(const T (&values)[n]) {
    return values[Below(static_cast<uint32_t>(n))];
  }

 private:
  uint64_t state_;
};

// T = 1, no filter, never hot.
inline Record PlainRecord(uint64_t seed = 0) {
  Record record;
  record.hot_temperature = 1.0f;
  record.hot_top_k = record.hot_steps = 0;
  record.seed_low = static_cast<uint32_t>(seed);
  record.seed_high = static_cast<uint32_t>(seed >> 32);
  return record;
}

inline uint32_t Flags(uint32_t order, uint32_t ties) { return order << kOrderShift | ties << kTiesShift; }

// Any bit pattern at all.
inline Record JunkRecord(Random& random) {
  uint32_t words[kRecordWords];
  for (uint32_t& word : words) word = static_cast<uint32_t>(random.Bits());
  Record record;
  std::memcpy(&record, words, sizeof record);
  return record;
}

// Two draws whose 64 random bits are 2^63 and 2^63 − 1, found by running Philox backwards: over an even number of
// equal logits they fall on the two sides of the boundary in the middle.
struct ChosenDraw {
  uint64_t seed;
  int64_t step;
  uint32_t stream;
};
inline constexpr ChosenDraw kDrawOfTheHalf = {0x0123456789ABCDEF, 0x68102F5B74F0474B, 0x06FE74F8};
inline constexpr ChosenDraw kDrawBelowTheHalf = {0x0123456789ABCDEF, 0x319B51D3AA646D05, 0x83DD304E};
// Of member 4 of an independent group: 2^63.
inline constexpr ChosenDraw kFifthMembersDrawOfTheHalf = {0x0123456789ABCDEF, 0x369390006C3F5572, 0xAE1573C5};

// Record::group of one member, which may be beyond the size.
inline uint32_t GroupWord(uint64_t size, uint32_t member) { return static_cast<uint32_t>(size - 1) | member << 16; }

// A record of a design whose step 0 is hot and draws from the whole row as it is.
inline Record OpenRecord(Design design, uint64_t seed) {
  Record record = PlainRecord(seed);
  record.hot_temperature = 1.0f;
  record.hot_top_k = 0;
  record.hot_steps = 1;
  record.flags = static_cast<uint32_t>(design) << kDesignShift;
  return record;
}

inline constexpr char kNothingThrown[] = "nothing was thrown";

// What was thrown, if that was an Error.
template <typename Error, typename Call>
std::string MessageOf(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("of another type: ") + error.what();
  }
  return kNothingThrown;
}

template <typename Call>
std::string RefusalOf(const Call& call) {
  return MessageOf<std::invalid_argument>(call);
}

inline std::string Describe(const Record& r) {
  return "T " + std::to_string(r.temperature) + " k " + std::to_string(r.top_k) + " p " + std::to_string(r.top_p) +
         " min-p " + std::to_string(r.min_p) + " hot: T " + std::to_string(r.hot_temperature) + " k " +
         std::to_string(r.hot_top_k) + " p " + std::to_string(r.hot_top_p) + " min-p " + std::to_string(r.hot_min_p) +
         " begin " + std::to_string(r.hot_begin) + " steps " + std::to_string(r.hot_steps) + " flags " +
         std::to_string(r.flags) + " T_ref " + std::to_string(r.ref_temperature) + " group " + std::to_string(r.group);
}

}  // namespace fire::test
