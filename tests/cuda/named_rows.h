// Rows and records by the trouble they are made for, whatever the vocabulary.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda/device_batch.h"

namespace fire::test {

struct NamedRow {
  const char* name;
  float (*logit)(Random& random, uint32_t id, uint32_t vocabulary);
};

// −inf but for `survivors` tokens spread over the row.
template <uint32_t survivors>
float Survivor(Random& random, uint32_t id, uint32_t vocabulary) {
  const uint32_t apart = std::max(1u, vocabulary / survivors);
  return id % apart == apart / 2 && id / apart < survivors ? static_cast<float>(random.Bell()) : -kInfinity;
}

inline float Model(Random& random, uint32_t vocabulary) {
  return static_cast<float>(18 - 2.2 * std::log(1.0 + random.Below(vocabulary)));
}

inline bool IsWithin(uint32_t id, uint32_t begin, uint32_t count) { return id >= begin && id - begin < count; }

inline constexpr NamedRow kNamedRows[] = {
    {"a model's", [](Random& random, uint32_t, uint32_t v) { return Model(random, v); }},
    {"all equal", [](Random&, uint32_t, uint32_t) { return -3.25f; }},
    {"zeros of both signs", [](Random&, uint32_t id, uint32_t) { return id % 3 == 0 ? 0.0f : -0.0f; }},
    {"zeros of both signs above a slope",
     [](Random&, uint32_t id, uint32_t) { return id % 7 == 3 ? (id % 2 ? 0.0f : -0.0f) : -1.0f - 0.01f * id; }},
    {"ties from the 41st to the 60th",
     [](Random&, uint32_t id, uint32_t) { return id * 37 % 1000 < 40   ? 5.0f
                                                 : id * 37 % 1000 < 60 ? 2.0f
                                                                       : -4.0f; }},
    {"two tokens, then equals to the nucleus's edge",
     [](Random&, uint32_t id, uint32_t) { return id == 5 || id == 11 ? 6.0f
                                                 : id % 4 == 0       ? 1.0f
                                                                     : -6.0f; }},
    {"few values", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(random.Below(5)); }},
    {"one survivor", Survivor<1>},
    {"two survivors", Survivor<2>},
    {"three survivors", Survivor<3>},
    {"four survivors", Survivor<4>},
    {"seven survivors", Survivor<7>},
    {"ten survivors", Survivor<10>},
    {"nothing but a mask", [](Random&, uint32_t, uint32_t) { return -kInfinity; }},
    {"the first token alone", [](Random&, uint32_t id, uint32_t) { return id == 0 ? 1.0f : -kInfinity; }},
    {"the last token alone", [](Random&, uint32_t id, uint32_t v) { return id == v - 1 ? 1.0f : -kInfinity; }},
    {"+inf once", [](Random& random, uint32_t id, uint32_t v) { return id == v / 2 ? kInfinity : Model(random, v); }},
    {"+inf here and there",
     [](Random& random, uint32_t, uint32_t v) { return random.Below(50) == 0 ? kInfinity : Model(random, v); }},
    {"NaN here and there",
     [](Random& random, uint32_t, uint32_t v) {
       return random.Below(20) == 0 ? (random.Below(2) ? kNan : -kNan) : Model(random, v);
     }},
    {"one NaN at the end",
     [](Random& random, uint32_t id, uint32_t v) { return id == v - 1 ? kNan : Model(random, v); }},
    {"one NaN beside the maximum",
     [](Random& random, uint32_t id, uint32_t v) {
       return id == v / 2 ? kNan : id == v / 2 + 1 ? 30.0f : Model(random, v);
     }},
    {"NaN and masks", [](Random&, uint32_t id, uint32_t) { return id % 2 ? kNan : -kInfinity; }},
    {"nothing but NaN", [](Random&, uint32_t, uint32_t) { return kNan; }},
    {"NaN, +inf and masks",
     [](Random&, uint32_t id, uint32_t) { return id % 5 == 4 ? kInfinity
                                                 : id % 2    ? kNan
                                                             : -kInfinity; }},
    {"subnormals",
     [](Random& random, uint32_t, uint32_t) { return FloatOf((static_cast<uint32_t>(random.Bits()) & 0x807FFFFFu)); }},
    {"rising", [](Random&, uint32_t id, uint32_t v) { return 20.0f * static_cast<float>(id) / static_cast<float>(v); }},
    {"falling",
     [](Random&, uint32_t id, uint32_t v) { return -20.0f * static_cast<float>(id) / static_cast<float>(v); }},
    {"every large logit in the last eighth",
     [](Random& random, uint32_t id, uint32_t v) {
       return static_cast<float>(random.Bell()) + (id >= v - v / 8 ? 25.0f : 0.0f);
     }},
    {"every large logit in the first eighth",
     [](Random& random, uint32_t id, uint32_t v) {
       return static_cast<float>(random.Bell()) + (id < v / 8 ? 25.0f : 0.0f);
     }},
    {"three hundred neighbours",
     [](Random& random, uint32_t id, uint32_t v) {
       return static_cast<float>(random.Bell()) + (IsWithin(id, v / 3, 300) ? 12.0f : 0.0f);
     }},
    {"more equal maxima than a list holds", [](Random&, uint32_t id, uint32_t) { return id % 8 != 7 ? 2.0f : -1.0f; }},
    {"more equals than a list holds, below a few",
     [](Random& random, uint32_t id, uint32_t) {
       return id % 500 == 9 ? 4.0f + static_cast<float>(random.Uniform()) : id % 8 != 7 ? 2.0f : -1.0f;
     }},
    {"a flat nucleus", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(1e-3 * random.Uniform()); }},
    {"noise of sixteen bits",
     [](Random& random, uint32_t, uint32_t) { return FloatOf(0x40000000u | (random.Below(1 << 15))); }},
    {"huge", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(1e30 * random.Bell()); }},
    {"the largest floats",
     [](Random&, uint32_t id, uint32_t) { return id % 3 == 0   ? kMax
                                                 : id % 3 == 1 ? -kMax
                                                               : 0.0f; }},
    {"the lowest floats", [](Random&, uint32_t id, uint32_t) { return id % 3 == 0 ? -kMax : -kInfinity; }},
    {"far from zero", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(3e4 + 4 * random.Bell()); }},
    {"around a tenth of the maximum's weight",
     [](Random& random, uint32_t id, uint32_t) {
       return id == 3 ? 0.0f : FloatOf(0xC0135D8Eu + random.Below(64) - 32);
     }},
    {"any bits", [](Random& random, uint32_t, uint32_t) { return FloatOf(static_cast<uint32_t>(random.Bits())); }},
};

inline std::vector<float> LogitsOf(const NamedRow& row, Random& random, uint32_t vocabulary) {
  std::vector<float> logits;
  for (uint32_t id = 0; id < vocabulary; ++id) logits.push_back(row.logit(random, id, vocabulary));
  return logits;
}

struct NamedRecord {
  std::string name;
  Record record;
  int64_t step = 1;
};

// Logits under a record; `row` is what to call them when that fails.
inline RowCase CaseUnder(const NamedRecord& named, std::vector<float> logits, const std::string& row) {
  return {std::move(logits), named.record, named.step, row + " under \"" + named.name + "\""};
}
inline RowCase CaseUnder(const NamedRecord& named, const NamedRow& row, Random& random, uint32_t vocabulary) {
  return CaseUnder(named, LogitsOf(row, random, vocabulary), std::string("row \"") + row.name + "\"");
}

// Records that differ in their filters, each with a seed of its own from `seed` on.
struct FilterRecords {
  uint64_t seed;
  std::vector<NamedRecord> all = {};

  Record& Add(const char* name, int32_t k, float p, float min_p) {
    Record record = PlainRecord(seed + all.size());
    record.top_k = k, record.top_p = p, record.min_p = min_p;
    all.push_back({name, record});
    return all.back().record;
  }
};

// Order, ties and seed are the caller's.
inline std::vector<NamedRecord> NamedRecords(Random& random, uint32_t vocabulary) {
  std::vector<NamedRecord> all;
  const auto add = [&all](const std::string& name, float temperature, int32_t k, float p, float min_p) {
    Record record = PlainRecord();
    record.temperature = temperature, record.top_k = k, record.top_p = p, record.min_p = min_p;
    all.push_back({name, record});
  };
  add("no filter", 0.7f, 0, 1, 0);
  const auto v = static_cast<int32_t>(vocabulary);
  for (const int32_t k : {1, 2, 50, 127, 128, 129, 1000, 2048, 2049, v - 1, v, v + 1}) {
    add("k " + std::to_string(k), 1, k, 1, 0);
    add("k " + std::to_string(k) + " and top-p", 0.8f, k, 0.9f, 0);
  }
  for (const float p : {0.0f, 1e-6f, 0.5f, 0.9f, 0.999999f}) add("top-p " + std::to_string(p), 1, 0, p, 0);
  for (const float p : {1e-12f, 1e-3f, 0.1f, 0.9999f, 1.5f}) add("min-p " + std::to_string(p), 1, 0, 1, p);
  add("k 50, top-p and min-p", 0.8f, 50, 0.95f, 0.05f);
  add("k 55 and min-p near it", 1, 55, 1, 0.02f);
  add("top-p and min-p", 1.5f, 0, 0.8f, 0.1f);
  add("greedy", 0, 50, 0.9f, 0);
  add("infinite temperature", kInfinity, 0, 1, 0);
  add("infinite temperature, k and top-p", kInfinity, 70, 0.5f, 0.3f);
  add("cold", 0.01f, 0, 0.9f, 0);
  add("hot", 100, 0, 0.9f, 0);
  all.push_back({"a hot step", all[3].record, 0});
  Record& hot = all.back().record;
  hot.hot_steps = 1, hot.hot_temperature = 30, hot.hot_top_k = 16, hot.hot_top_p = 0.95f;
  // Over an even number of equal logits these fall on the two sides of the boundary in the middle.
  for (const ChosenDraw& draw : {kDrawOfTheHalf, kDrawBelowTheHalf}) {
    Record record = PlainRecord(draw.seed);
    record.stream = draw.stream;
    all.push_back({"a draw at the half", record, draw.step});
  }
  for (int i = 0; i < 2; ++i) all.push_back({"junk", JunkRecord(random), static_cast<int64_t>(random.Bits())});
  for (NamedRecord& named : all) {
    Record& record = named.record;
    if (named.name == "junk" || named.name == "a draw at the half") continue;
    const uint64_t seed = random.Bits();
    record.seed_low = static_cast<uint32_t>(seed), record.seed_high = static_cast<uint32_t>(seed >> 32);
    record.flags = Flags(random.Below(3), random.Below(3)) | (random.Below(2) ? kRefTemperatureGiven : 0);
    record.ref_temperature = TroublesomeTemperature(random);
  }
  return all;
}

// Makes the step hot, under the same settings unless the record has hot ones, and the record a member of a group of any
// design: every other takes a place.
inline void PutInAGroup(Random& random, Record* record, int64_t step) {
  if (record->hot_steps == 0) {
    record->hot_temperature = record->temperature, record->hot_top_k = record->top_k;
    record->hot_top_p = record->top_p, record->hot_min_p = record->min_p;
    record->hot_begin = static_cast<int32_t>(step), record->hot_steps = 1;
  }
  record->flags |= (random.Below(2) == 0 ? 4 : 1 + random.Below(3)) << kDesignShift;
  const uint32_t most = random.Pick({200u, 65536u});  // strata of large groups go beyond 16 bits before they go round
  record->group = GroupWord(1 + random.Below(most), random.Below(most));
}

// Every named row once, under records that begin at number `turn` of the named ones: with as many turns as there are
// records, each row meets each record. One in three is a member of a group.
inline std::vector<RowCase> NamedCases(uint64_t seed, uint32_t vocabulary, size_t turn) {
  Random random(seed);
  const std::vector<NamedRecord> records = NamedRecords(random, vocabulary);
  std::vector<RowCase> cases;
  for (const NamedRow& row : kNamedRows) {
    const NamedRecord& named = records[(turn + cases.size()) % records.size()];
    RowCase one = CaseUnder(named, row, random, vocabulary);
    if (named.name != "junk" && named.name != "a draw at the half" && random.Below(3) == 0)
      PutInAGroup(random, &one.record, one.step);
    cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace fire::test
