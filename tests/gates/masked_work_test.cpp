// What a masked row costs beside the whole one, in warp instructions that the simulated device counts.
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "call_work.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 128256;
constexpr double kMostOfWhole = 1.1;  // the busiest block, over that of the row without a mask

struct Filters {
  const char* name;
  int32_t top_k;
  float top_p;
};
constexpr Filters kFilters[] = {{"k = 50, p = 0.9", 50, 0.9f}, {"p = 0.9", 0, 0.9f}, {"no filter", 0, 1}};

// The ids in a random order: a mask leaves the first of them.
std::vector<uint32_t> ShuffledIds() {
  Random random(2);
  std::vector<uint32_t> ids(kVocabulary);
  std::iota(ids.begin(), ids.end(), 0u);
  for (uint32_t i = kVocabulary - 1; i > 0; --i) std::swap(ids[i], ids[random.Below(i + 1)]);
  return ids;
}

class MaskedWork : public CountedWork {};

TEST_F(MaskedWork, AMaskMakesNoRowDearerThanATenthMoreHoweverManyTokensItLeaves) {
  const std::vector<float> whole = ModelRow(kVocabulary, 1).logits;
  const std::vector<uint32_t> ids = ShuffledIds();
  for (const Filters& filters : kFilters)
    for (const int64_t rows : {1, 32, 64, 128, 512}) {
      const Work of_whole = WorkOfRow(whole, filters.top_k, filters.top_p, rows);
      std::printf("%s, %lld rows: %llu whole; masked", filters.name, static_cast<long long>(rows),
                  static_cast<unsigned long long>(of_whole.busiest));
      for (const uint32_t finite : {0u, 1u, 20u, 49u, 60u, 100u, 130u, 200u, 400u, 2000u, 8000u, 64000u, 128000u}) {
        std::vector<float> masked(kVocabulary, -kInfinity);
        for (uint32_t i = 0; i < finite; ++i) masked[ids[i]] = whole[ids[i]];
        const Work of_masked = WorkOfRow(masked, filters.top_k, filters.top_p, rows);
        std::printf(" %llu", static_cast<unsigned long long>(of_masked.busiest));
        SCOPED_TRACE(std::to_string(finite) + " tokens, " + filters.name + ", " + std::to_string(rows) + " rows");
        ExpectAtMost(kMostOfWhole, of_masked, of_whole);
      }
      std::printf("\n");
    }
}

}  // namespace
}  // namespace fire::test
