// Rows and records that look for trouble, for comparing a backend with the reference.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cpu/row_table.h"
#include "definition/bits.h"
#include "definition/row_sample.h"
#include "test_support.h"

namespace fire::test {

// One of the shapes in which samplers have been wrong.
inline std::vector<float> TroublesomeRow(Random& random, uint32_t vocabulary) {
  std::vector<float> row(vocabulary);
  const uint32_t shape = random.Below(14);
  const double spread = std::pow(10.0, random.Uniform() * 4 - 2);
  const auto chance = [&random](double probability) { return random.Uniform() < probability; };
  for (uint32_t id = 0; id < vocabulary; ++id) {
    const double bell = random.Bell();
    float x = static_cast<float>(bell * spread);
    if (shape == 1) x = static_cast<float>(static_cast<int>(bell * 2));                            // many ties
    if (shape == 2 && chance(0.5)) x = -kInfinity;                                                 // a mask
    if (shape == 3) x = 1.5f;                                                                      // all equal
    if (shape == 4 && chance(0.1)) x = kNan;                                                       //
    if (shape == 5) x = FloatOf(BitsOf(x) & 0xFFFF0000u);                                          // bfloat16 values
    if (shape == 6 && chance(0.01)) x = 1e30f;                                                     //
    if (shape == 7) x = chance(0.1) ? -1e-40f : (chance(0.5) ? 0.0f : -0.0f);                      // around zero
    if (shape == 8 && chance(0.001)) x = kInfinity;                                                //
    if (shape == 9) x = FloatOf(static_cast<uint32_t>(random.Bits()));                             // any bits
    if (shape == 10) x = static_cast<float>(id) * 0.01f;                                           // rising
    if (shape == 11) x = static_cast<float>(1e4 + bell);                                           // far from zero
    if (shape == 12) x = static_cast<float>(18 - 2.2 * std::log(1.0 + random.Below(vocabulary)));  // a model's
    if (shape == 13) x = -kInfinity;
    row[id] = x;
  }
  if (shape == 13 && !chance(0.05))  // all but a few masked
    for (uint32_t i = 0; i <= random.Below(10); ++i) row[random.Below(vocabulary)] = static_cast<float>(random.Bell());
  return row;
}

inline float TroublesomeTemperature(Random& random) {
  switch (random.Below(10)) {
    case 0:
      return 0.0f;
    case 1:
      return kInfinity;
    case 2:
      return 1.0f;
    default:
      return static_cast<float>(std::pow(10.0, random.Uniform() * 6 - 2));
  }
}

inline int32_t TroublesomeTopK(Random& random, uint32_t vocabulary) {
  const uint32_t kind = random.Below(4);
  if (kind == 0) return 0;
  return static_cast<int32_t>(1 + random.Below(kind == 1 ? 64 : vocabulary + 10));
}

inline float TroublesomeFraction(Random& random, float off) {
  switch (random.Below(8)) {
    case 0:
    case 1:
    case 2:
      return off;
    case 3:
      return static_cast<float>(random.Uniform() * 0.01);
    case 4:
      return static_cast<float>(1 - random.Uniform() * 1e-4);
    case 5:
      return random.Below(5) == 0 ? static_cast<float>(std::pow(2.0, -150 * random.Uniform())) : 0.9f;
    case 6:
      return random.Below(10) == 0 ? 1.0f - off : 0.95f;
    default:
      return static_cast<float>(random.Uniform());
  }
}

// Mostly what people ask for; now and then any bits at all.
inline Record TroublesomeRecord(Random& random, uint32_t vocabulary) {
  if (random.Below(12) == 0) return JunkRecord(random);
  Record record = PlainRecord(random.Bits());
  record.temperature = TroublesomeTemperature(random);
  record.hot_temperature = TroublesomeTemperature(random);
  record.top_k = TroublesomeTopK(random, vocabulary);
  record.hot_top_k = TroublesomeTopK(random, vocabulary);
  record.top_p = TroublesomeFraction(random, 1.0f);
  record.hot_top_p = random.Below(2) == 0 ? record.top_p : TroublesomeFraction(random, 1.0f);
  record.min_p = TroublesomeFraction(random, 0.0f);
  record.hot_min_p = random.Below(2) == 0 ? record.min_p : TroublesomeFraction(random, 0.0f);
  record.hot_begin = static_cast<int32_t>(random.Below(3));
  record.hot_steps = static_cast<int32_t>(random.Below(3));
  record.flags = static_cast<uint32_t>(random.Bits()) & 0x1F;
  if (random.Below(2) == 0) {
    record.flags |= (1 + random.Below(4)) << kDesignShift;
    record.group =
        random.Below(4) == 0 ? static_cast<uint32_t>(random.Bits()) : GroupWord(1 + random.Below(64), random.Below(64));
  }
  record.stream = static_cast<uint32_t>(random.Bits());
  record.ref_temperature = TroublesomeTemperature(random);
  return record;
}

// Rows whose candidates do not fit the list: of few values, of a narrow range, and with all large logits in one place.
inline std::vector<float> CrowdedRow(Random& random, uint32_t vocabulary) {
  const uint32_t shape = random.Below(7);
  const float low = random.Pick({-3.0f, 0.0f, 1e-30f, 5.0f}), high = low + random.Pick({0x1p-20f, 0.5f, 8.0f, 60.0f});
  const uint32_t few = random.Pick({1u, 10u, 60u, 9000u}), place = random.Below(vocabulary);
  const uint32_t block = vocabulary / random.Pick({2u, 3u, 20u});
  std::vector<float> row;
  for (uint32_t id = 0; id < vocabulary; ++id) {
    float x = low;                                               // all equal
    const bool is_in_block = id - place < block;                 //
    if (shape == 1) x = random.Below(2) != 0 ? high : low;       // two values, as many of either
    if (shape == 2 && random.Below(vocabulary) < few) x = high;  // a few larger ones
    if (shape == 3) x = random.Below(vocabulary) < few ? high : low * 0.5f + high * 0.5f * random.Below(2);
    if (shape == 4) x = FloatOf(BitsOf(5.0f) + random.Below(3000));  // neighbouring floats
    if (shape == 5) x = static_cast<float>(random.Bell()) + (is_in_block ? 9.0f : 0.0f);
    if (shape == 6) x = is_in_block ? high : low - static_cast<float>(random.Below(3));
    row.push_back(x);
  }
  return row;
}

inline Record CrowdedRecord(Random& random, uint32_t vocabulary) {
  Record record = PlainRecord(random.Bits());
  record.temperature = random.Pick({0.05f, 1.0f, 30.0f});
  record.top_k = random.Pick({0, 0, 1, 50, 200, 8191, 8192, 8193, static_cast<int>(vocabulary / 2)});
  record.top_p = random.Pick({1.0f, 0.9f, 0.5f, 0.0001f, 0.9999f});
  record.min_p = random.Pick({0.0f, 0.0f, 0.05f, 0.7f, 1.0f});
  record.flags = random.Below(3) | random.Below(3) << 2;
  return record;
}

// One logit of a row in memory, whatever its type.
inline float LogitAt(const void* row, LogitsType type, size_t id) {
  if (type == LogitsType::kFloat32) {
    float value;
    std::memcpy(&value, static_cast<const char*>(row) + 4 * id, 4);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, static_cast<const char*>(row) + 2 * id, 2);
  return FloatOf(type == LogitsType::kBFloat16 ? definition::BFloat16ToFloatBits(half)
                                               : definition::Float16ToFloatBits(half));
}

// A row in one of the logit types, and the float32 values it holds.
class TypedRow {
 public:
  TypedRow(std::vector<float> values, LogitsType type) : type_(type), values_(std::move(values)) {
    for (float& x : values_) {
      if (type == LogitsType::kFloat32) break;
      halves_.push_back(type == LogitsType::kBFloat16 ? definition::FloatToBFloat16(x) : definition::FloatToFloat16(x));
      x = LogitAt(&halves_.back(), type, 0);
    }
  }

  const std::vector<float>& values() const { return values_; }
  const void* data() const {
    return type_ == LogitsType::kFloat32 ? static_cast<const void*>(values_.data()) : halves_.data();
  }
  size_t bytes() const { return values_.size() * (type_ == LogitsType::kFloat32 ? 4 : 2); }
  LogitsType type() const { return type_; }
  uint32_t size() const { return static_cast<uint32_t>(values_.size()); }

 private:
  LogitsType type_;
  std::vector<float> values_;
  std::vector<uint16_t> halves_;
};

// A row that looks for trouble, its record and its step.
struct TroublesomeTask {
  TroublesomeTask(Random& random, uint32_t largest_vocabulary)
      : vocabulary(1 + random.Below(random.Below(3) == 0 ? 40 : largest_vocabulary)),
        row(TroublesomeRow(random, vocabulary), random.Pick(kLogitsTypes)),
        record(TroublesomeRecord(random, vocabulary)),
        step(random.Below(10) != 0 ? random.Below(4) : static_cast<int64_t>(random.Bits())) {}

  cpu::RowTask ToTask() const { return {row.data(), row.type(), row.size(), step, record}; }
  std::string Text() const {
    return std::to_string(vocabulary) + " logits of type " + std::to_string(static_cast<int>(row.type())) + ", step " +
           std::to_string(step) + ", " + Describe(record);
  }

  uint32_t vocabulary;
  TypedRow row;
  Record record;
  int64_t step;
};

// The first output of a row that differs, by name; empty where none does.
inline std::string SampleDifference(const RowSample& ours, const RowSample& wanted) {
  if (ours.token != wanted.token) return "token";
  if (!SameFloat(ours.logprob, wanted.logprob)) return "logprob";
  if (!SameFloat(ours.ref_logprob, wanted.ref_logprob)) return "ref_logprob";
  if (ours.rank != wanted.rank) return "rank";
  if (ours.kept != wanted.kept) return "kept";
  if (ours.status != wanted.status) return "status";
  return "";
}

}  // namespace fire::test
