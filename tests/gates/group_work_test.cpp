// What a group costs beside one draw, in warp instructions that the simulated device counts. The table of
// docs/kernels.md is what this program prints.
#include <cstdio>

#include "call_work.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 128256;
constexpr double kMostOfOneDraw = 1.2;  // the busiest block of 64 members, over that of one draw

enum class Call { kSample, kSampleCoded, kSampleGroup };

struct Task {
  Call call = Call::kSample;
  uint32_t size = 1;  // members, or rows
  bool outputs = false;
  int32_t top_k = 16;
  Design design = Design::kIid;
};

Work Measure(const Task& task, uint64_t seed) {
  RowCase row = ModelRow(kVocabulary, seed);
  row.record.hot_temperature = 30, row.record.hot_top_k = task.top_k, row.record.hot_steps = 1;
  row.record.flags = static_cast<uint32_t>(task.design) << kDesignShift;
  const bool is_group = task.call == Call::kSampleGroup;
  const DeviceBatch batch(std::vector<RowCase>(is_group ? 1 : task.size, row), LogitsType::kBFloat16, {});
  const Wanted token_only = {false, false, false, false, false, false};
  const DeviceOutputs out(task.size, task.outputs ? Wanted{} : token_only);
  simulator::TakeWork();
  if (is_group) {
    SampleGroupCuda(batch.batch(), task.size, out.outputs(), nullptr);
  } else if (task.call == Call::kSampleCoded) {
    const DeviceArray<uint64_t> code(std::vector<uint64_t>{0x123456789ABCDEF0});
    DeviceArray<uint64_t> next(1);
    SampleCodedCuda(batch.batch(), code.get(), 1, out.outputs().token, next.get(), nullptr);
  } else {
    SampleCuda(batch.batch(), out.outputs(), nullptr);
  }
  return TakeWork();
}

Work Report(const char* name, const Task& task) {
  const Work work = task.call == Call::kSample && task.size > 1
                        ? Measure(task, 0)
                        : MedianWork([&](uint64_t seed) { return Measure(task, seed); });
  std::printf("| %s | %llu | %llu |\n", name, static_cast<unsigned long long>(work.busiest),
              static_cast<unsigned long long>(work.all));
  return work;
}

class GroupWork : public CountedWork {};

TEST_F(GroupWork, SixtyFourMembersOfFewTokensCostLittleMoreThanOneDraw) {
  const Work one = Report("T = 30, k = 16: one draw", {});
  Report("with a code", {.call = Call::kSampleCoded});
  const auto group_of = [](Design design, bool outputs) {
    return Task{.call = Call::kSampleGroup, .size = 64, .outputs = outputs, .design = design};
  };
  ExpectAtMost(kMostOfOneDraw, Report("a group of 64", group_of(Design::kIid, false)), one);
  ExpectAtMost(kMostOfOneDraw, Report("a lattice of 64", group_of(Design::kLattice, false)), one);
  ExpectAtMost(kMostOfOneDraw, Report("64 places", group_of(Design::kEnumerated, false)), one);
  const Work one_with_all = Report("one draw with all outputs", {.outputs = true});
  ExpectAtMost(kMostOfOneDraw, Report("a group of 64 with all outputs", group_of(Design::kIid, true)), one_with_all);
  EXPECT_LT(20 * one.all, Report("64 rows of their own", {.size = 64}).all);
}

TEST_F(GroupWork, MembersOfAnUnfilteredRowShareItsReading) {
  const Work one = Report("no filter: one draw", {.top_k = 0});
  Report("a group of 8", {.call = Call::kSampleGroup, .size = 8, .top_k = 0});
  const Work group = Report("a group of 64", {.call = Call::kSampleGroup, .size = 64, .top_k = 0});
  EXPECT_LT(group.busiest, 5 * one.busiest);
  Report("64 rows of their own", {.size = 64, .top_k = 0});
}

}  // namespace
}  // namespace fire::test
