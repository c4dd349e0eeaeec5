// Rows that no list of candidates settles, because too many tokens are equal or nearly so, and records for them.
// A sixteenth is longer than what a block lists.
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "tests/cuda/named_rows.h"
#include "tests/cuda/settings.h"

namespace fire::test {

inline constexpr uint32_t kFlatVocabulary = 36864;

inline constexpr NamedRow kFlatRows[] = {
    {"all equal", [](Random&, uint32_t, uint32_t) { return 1.5f; }},
    {"two values in turn", [](Random&, uint32_t id, uint32_t) { return id % 2 == 0 ? 0.0f : -1.0f; }},
    {"three values, one of them once",
     [](Random&, uint32_t id, uint32_t) { return id == 9000 ? 4.0f : static_cast<float>(id % 2) * 0.125f; }},
    {"noise of deviation 3", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(3 * random.Bell()); }},
    {"noise of deviation 1", [](Random& random, uint32_t, uint32_t) { return static_cast<float>(random.Bell()); }},
    {"noise of a thousandth",
     [](Random& random, uint32_t, uint32_t) { return static_cast<float>(5 + 1e-3 * random.Uniform()); }},
    {"noise around zero of both signs, and a mask",
     [](Random& random, uint32_t id, uint32_t) {
       return id % 5 == 0 ? -kInfinity : id % 5 == 1 ? -0.0f : static_cast<float>(1e-2 * random.Bell());
     }},
    {"equals below a few, with NaN",
     [](Random& random, uint32_t id, uint32_t) {
       return id % 999 == 5 ? kNan : id % 1001 == 7 ? 3.0f + static_cast<float>(random.Uniform()) : 1.0f;
     }},
    {"every large logit in the first sixteenth",
     [](Random& random, uint32_t id, uint32_t v) {
       return static_cast<float>(random.Bell()) + (id < v / 16 ? 9.0f : 0.0f);
     }},
};

inline std::vector<NamedRecord> FlatRecords() {
  FilterRecords records = {Seed()};
  records.Add("k 50 and top-p", 50, 0.9f, 0);
  records.Add("top-p", 0, 0.9f, 0);
  records.Add("top-p and min-p", 0, 0.97f, 0.05f);
  records.Add("top-p but for a millionth", 0, 0.999999f, 0);
  records.Add("k 50 and top-p, joint", 50, 0.4f, 0).flags = Flags(static_cast<uint32_t>(Order::kJoint), 0);
  records.Add("k 700 and min-p, vLLM's order", 700, 0.9f, 0.3f).flags = Flags(static_cast<uint32_t>(Order::kVllm), 0);
  records.Add("k 2048", 2048, 1, 0);
  records.Add("k 2049 and top-p", 2049, 0.5f, 0);
  records.Add("k 5000 and top-p with equals", 5000, 0.9f, 0).flags = Flags(0, static_cast<uint32_t>(Ties::kKeep));
  records.Add("k 100 with equals", 100, 0.9f, 0).flags = Flags(0, static_cast<uint32_t>(Ties::kKeepTopK));
  records.Add("min-p", 0, 1, 1e-3f);
  records.Add("k 3000, at infinite temperature", 3000, 0.9f, 0).temperature = kInfinity;
  records.Add("hot", 0, 0.9f, 0).temperature = 30;
  Record& place = records.Add("a place of k 60", 60, 1, 0);
  place.hot_begin = 1, place.hot_steps = 1, place.hot_top_k = 60, place.hot_temperature = 2;
  place.hot_top_p = 1, place.flags = 4u << kDesignShift, place.group = GroupWord(64, 37);
  return records.all;
}

// The next `count` rows under the next records: in turn, each row meets each record.
inline std::vector<RowCase> FlatCases(Random& random, size_t* turn, size_t count) {
  static_assert(std::size(kFlatRows) % 2 != 0 && std::size(kFlatRows) % 7 != 0);  // of fourteen records
  const std::vector<NamedRecord> records = FlatRecords();
  std::vector<RowCase> cases;
  for (; cases.size() < count; ++*turn)
    cases.push_back(
        CaseUnder(records[*turn % records.size()], kFlatRows[*turn % std::size(kFlatRows)], random, kFlatVocabulary));
  return cases;
}

}  // namespace fire::test
