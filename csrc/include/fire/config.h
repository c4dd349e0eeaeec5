// The packed configuration of one sequence: sixteen 32-bit words, plain data.
//
// A record may hold any bit pattern: every field has a meaning for every value, so no record can make
// a backend fault. docs/semantics.md explains the fields; `fire_sampling.pack` writes them from Python.
#pragma once

#include <cstdint>

namespace fire {

// Where the mass that top-p counts is taken from, and when min-p applies.
enum class Order : uint32_t {
  kHf = 0,    // top-k, top-p of what top-k kept, min-p
  kVllm = 1,  // min-p, top-k of the rest, top-p of what top-k kept
  kJoint = 2  // top-k and top-p each on the whole row, intersected; min-p
};

// What happens to logits equal to the last one kept.
enum class Ties : uint32_t {
  kExact = 0,     // the lower id wins: exactly k tokens, the shortest nucleus
  kKeepTopK = 1,  // top-k keeps every equal of its last token
  kKeep = 2       // top-k and top-p both do
};

struct Record {
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  float hot_temperature;
  int32_t hot_top_k;
  float hot_top_p;
  float hot_min_p;
  int32_t hot_begin;
  int32_t hot_steps;
  uint32_t flags;
  uint32_t stream;
  uint32_t seed_low;
  uint32_t seed_high;
  float ref_temperature;
  uint32_t reserved;
};

inline constexpr int kRecordWords = 16;
static_assert(sizeof(Record) == kRecordWords * sizeof(uint32_t), "a record is sixteen words");

// Layout of Record::flags.
inline constexpr uint32_t kOrderShift = 0;
inline constexpr uint32_t kTiesShift = 2;
inline constexpr uint32_t kFlagFieldMask = 3;
inline constexpr uint32_t kRefTemperatureGiven = 1u << 4;

}  // namespace fire
