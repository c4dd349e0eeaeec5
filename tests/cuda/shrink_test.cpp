// A failing row is made small without losing what makes it fail.
#include "tests/cuda/shrink.h"

#include <gtest/gtest.h>

namespace fire::test {
namespace {

TEST(Shrink, KeepsWhatFailsAndPutsPlainValuesInPlaceOfTheRest) {
  Random random(5);
  RowCase row = {std::vector<float>(1000, 1.0f), JunkRecord(random), 77, "a row"};
  row.record.top_k = 3;
  row.logits[200] = 7;
  const auto fails = [](const RowCase& one) {
    return one.record.top_k == 3 && one.logits.size() > 200 && one.logits[200] == 7;
  };
  const RowCase small = Shrunk(row, fails);
  EXPECT_TRUE(fails(small));
  EXPECT_EQ(small.logits.size(), 256u);
  EXPECT_EQ(small.step, 0);
  Record expected = PlainRecord();
  expected.top_k = 3;
  EXPECT_EQ(std::memcmp(&small.record, &expected, sizeof expected), 0);
  for (size_t id = 0; id < small.logits.size(); ++id) {
    if (id / 4 == 200 / 4) continue;  // nearer than a shrink goes
    EXPECT_EQ(small.logits[id], -kInfinity) << id;
  }
}

}  // namespace
}  // namespace fire::test
