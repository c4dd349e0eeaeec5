// What rows cost that no list of candidates settles, beside a peaked one of the same setting, in warp instructions that
// the simulated device counts. What equals cost where many lanes add to one bin it does not count; a bin has copies, so
// that four lanes take turns at most.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "call_work.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 128256;

struct Kind {
  const char* name;
  double most_of_nucleus, most_of_top_k;  // of a peaked row's work
  float (*logit)(Random& random, uint32_t id);
};
constexpr Kind kKinds[] = {
    {"noise of deviation 3", 6, 2, [](Random& random, uint32_t) { return static_cast<float>(3 * random.Bell()); }},
    {"noise of deviation 1", 6, 2, [](Random& random, uint32_t) { return static_cast<float>(random.Bell()); }},
    {"all equal", 6, 5, [](Random&, uint32_t) { return 0.0f; }},
    {"two values", 6, 5, [](Random&, uint32_t id) { return static_cast<float>(id % 2); }},
    {"every large logit in one block", 6, 3.2,
     [](Random& random, uint32_t id) { return static_cast<float>(random.Bell() + (id < kVocabulary / 8 ? 20 : 0)); }},
};

class FlatWork : public CountedWork {};

TEST_F(FlatWork, RowsThatAreSearchedTakeAFewTimesTheWorkOfAPeakedOne) {
  const std::vector<float> peaked = ModelRow(kVocabulary, 1).logits;
  for (const int32_t top_k : {0, 50})
    for (const int64_t rows : {1, 32, 128, 512}) {
      const Work of_peaked = WorkOfRow(peaked, top_k, 0.9f, rows);
      std::printf("k = %d, p = 0.9, %lld rows: %llu peaked;", top_k, static_cast<long long>(rows),
                  static_cast<unsigned long long>(of_peaked.busiest));
      for (const Kind& kind : kKinds) {
        Random random(3);
        std::vector<float> logits;
        for (uint32_t id = 0; id < kVocabulary; ++id) logits.push_back(kind.logit(random, id));
        const Work of_kind = WorkOfRow(logits, top_k, 0.9f, rows);
        std::printf(" %s %llu;", kind.name, static_cast<unsigned long long>(of_kind.busiest));
        SCOPED_TRACE(std::string(kind.name) + ", k = " + std::to_string(top_k) + ", " + std::to_string(rows) + " rows");
        ExpectAtMost(top_k == 0 ? kind.most_of_nucleus : kind.most_of_top_k, of_kind, of_peaked);
      }
      std::printf("\n");
    }
}

}  // namespace
}  // namespace fire::test
