// The bits of the `status` output: what was special about a row.
#pragma once

#include <cstdint>

namespace fire {

inline constexpr int32_t kStatusHot = 1 << 0;             // the flaming-hot phase was used
inline constexpr int32_t kStatusGreedy = 1 << 1;          // temperature 0: the argmax was taken
inline constexpr int32_t kStatusNan = 1 << 2;             // a NaN logit was read as −inf
inline constexpr int32_t kStatusNoFiniteLogit = 1 << 3;   // every logit is −inf or NaN
inline constexpr int32_t kStatusInfinity = 1 << 4;        // a +inf logit was taken
inline constexpr int32_t kStatusSlotOutOfRange = 1 << 5;  // the slot index was clamped
inline constexpr int32_t kStatusDecided = 1 << 6;         // nothing was drawn: one token was certain
inline constexpr int32_t kStatusSupportCut = 1 << 7;      // more tokens were kept than the support has places for
inline constexpr int32_t kStatusRefused = 1 << 8;         // SupportLogProb: no valid support or temperature
inline constexpr int32_t kStatusUnsettled = 1 << 9;       // ShardFinish: the row still asks

}  // namespace fire
