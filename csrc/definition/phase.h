// Which settings rule a row at this step: the record's regular phase or its flaming-hot one.
#pragma once

#include "definition/bits.h"
#include "fire/config.h"

namespace fire::definition {

enum class Heat { kGreedy, kFinite, kInfinite };

inline constexpr uint32_t kSmallestTemperatureBits = 0x1F800000u;  // 2^-64: below it, greedy
inline constexpr uint32_t kLargestTemperatureBits = 0x7B800000u;   // 2^120: above it, infinite

// Zero, negative, tiny and NaN temperatures are greedy; huge ones are infinite.
FIRE_RULE Heat HeatOf(float temperature) {
  const uint32_t bits = FloatBits(temperature);
  if (bits < kSmallestTemperatureBits || bits > kInfinityBits) return Heat::kGreedy;
  return bits > kLargestTemperatureBits ? Heat::kInfinite : Heat::kFinite;
}

struct Phase {
  float temperature;
  Heat heat;
  uint32_t top_k;  // in [1, vocabulary]; the vocabulary when off
  float top_p;
  float min_p;
  Order order;
  Ties ties;
  bool hot;
};

// Whether a step is hot: in the record's window, counted in 64 bits.
FIRE_RULE bool IsHot(const Record& record, int64_t step) {
  const int64_t begin = record.hot_begin;
  return step >= begin && step < begin + record.hot_steps;
}

// The k that counts: the whole vocabulary when top-k is off.
FIRE_RULE uint32_t EffectiveTopK(int32_t top_k, uint32_t vocabulary) {
  return top_k <= 0 || static_cast<uint32_t>(top_k) >= vocabulary ? vocabulary : static_cast<uint32_t>(top_k);
}

FIRE_RULE Order OrderOf(const Record& record) {
  const uint32_t field = (record.flags >> kOrderShift) & kFlagFieldMask;
  return field == 3 ? Order::kHf : static_cast<Order>(field);
}

FIRE_RULE Ties TiesOf(const Record& record) {
  const uint32_t field = (record.flags >> kTiesShift) & kFlagFieldMask;
  return field == 3 ? Ties::kKeep : static_cast<Ties>(field);
}

FIRE_RULE Phase PhaseOf(const Record& record, int64_t step, uint32_t vocabulary) {
  const bool hot = IsHot(record, step);
  const float temperature = hot ? record.hot_temperature : record.temperature;
  return {temperature,
          HeatOf(temperature),
          EffectiveTopK(hot ? record.hot_top_k : record.top_k, vocabulary),
          hot ? record.hot_top_p : record.top_p,
          hot ? record.hot_min_p : record.min_p,
          OrderOf(record),
          TiesOf(record),
          hot};
}

// The temperature of ref_logprob. One that is greedy counts as 1.
FIRE_RULE float ReferenceTemperature(const Record& record) {
  const float temperature = (record.flags & kRefTemperatureGiven) ? record.ref_temperature : record.temperature;
  return HeatOf(temperature) == Heat::kGreedy ? 1.0f : temperature;
}

FIRE_RULE uint64_t SeedOf(const Record& record) {
  return (static_cast<uint64_t>(record.seed_high) << 32) | record.seed_low;
}

struct Slot {
  int64_t index;
  bool out_of_range;
};

// An engine's slot index, clamped into [0, count).
FIRE_RULE Slot ClampSlot(int64_t slot, int64_t count) {
  if (slot < 0) return {0, true};
  if (slot >= count) return {count - 1, true};
  return {slot, false};
}

}  // namespace fire::definition
