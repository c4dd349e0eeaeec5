// The packed configuration of one sequence: sixteen 32-bit words, plain data.
//
// A record may hold any bit pattern: every field has a meaning for every value, so no record can make
// a backend fault. docs/semantics.md explains the fields; `fire_sampling.pack` writes them from Python, and RecordOf
// and Pack of fire/sampling_config.h from C++.
#pragma once

#include <cstdint>
#include <tuple>
#include <utility>

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

// How the members of a group are drawn at a hot step: the completions of one prompt, whose records differ in the member
// alone. Each member by itself is drawn from the row's distribution, but for kEnumerated.
enum class Design : uint32_t {
  kNone = 0,        // no group: Record::group is ignored
  kIid = 1,         // independent of each other
  kStratified = 2,  // one from each n-th of the mass
  kLattice = 3,     // at equal distances through the mass
  kEnumerated = 4   // not drawn: member i takes the i-th most probable of the kept set
};

// What is left out is off, and step 0 is hot: Record() is what Python's SamplingConfig(seed=0) packs to. Its hot fields
// are plain words and do not follow the regular ones; SamplingConfig's do.
struct Record {
  float temperature = 1.0f;  // 0: greedy
  int32_t top_k = 0;         // 0: off
  float top_p = 1.0f;        // 1: off
  float min_p = 0.0f;        // 0: off
  float hot_temperature = 30.0f;
  int32_t hot_top_k = 16;
  float hot_top_p = 1.0f;
  float hot_min_p = 0.0f;
  int32_t hot_begin = 0;  // the first hot step
  int32_t hot_steps = 1;  // 0: never hot
  uint32_t flags = 0;     // layout below
  uint32_t stream = 0;
  uint32_t seed_low = 0;
  uint32_t seed_high = 0;
  float ref_temperature = 0.0f;  // read where the flags say that it is given
  uint32_t group = 0;  // members less 1 in the low half, which of them in the high half; read where flags have a design
};

inline constexpr int kRecordWords = 16;
static_assert(sizeof(Record) == kRecordWords * sizeof(uint32_t), "a record is sixteen words");

// The words by name, in their order.
inline constexpr auto kRecordFields =
    std::make_tuple(std::pair{"temperature", &Record::temperature}, std::pair{"top_k", &Record::top_k},
                    std::pair{"top_p", &Record::top_p}, std::pair{"min_p", &Record::min_p},
                    std::pair{"hot_temperature", &Record::hot_temperature}, std::pair{"hot_top_k", &Record::hot_top_k},
                    std::pair{"hot_top_p", &Record::hot_top_p}, std::pair{"hot_min_p", &Record::hot_min_p},
                    std::pair{"hot_begin", &Record::hot_begin}, std::pair{"hot_steps", &Record::hot_steps},
                    std::pair{"flags", &Record::flags}, std::pair{"stream", &Record::stream},
                    std::pair{"seed_low", &Record::seed_low}, std::pair{"seed_high", &Record::seed_high},
                    std::pair{"ref_temperature", &Record::ref_temperature}, std::pair{"group", &Record::group});
static_assert(std::tuple_size_v<decltype(kRecordFields)> == kRecordWords, "every word has a name");

// Layout of Record::flags.
inline constexpr uint32_t kOrderShift = 0;
inline constexpr uint32_t kTiesShift = 2;
inline constexpr uint32_t kFlagFieldMask = 3;
inline constexpr uint32_t kRefTemperatureGiven = 1u << 4;
inline constexpr uint32_t kDesignShift = 5;
inline constexpr uint32_t kDesignMask = 7;

// Layout of Record::group.
inline constexpr uint32_t kMemberShift = 16;
inline constexpr int64_t kMaxGroupSize = int64_t{1} << kMemberShift;

}  // namespace fire
