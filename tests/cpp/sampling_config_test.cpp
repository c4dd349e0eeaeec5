// What a record and a SamplingConfig mean where a field is left out.
#include "fire/sampling_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "batch_support.h"
#include "test_support.h"

namespace fire::test {
namespace {

static_assert(std::is_trivially_copyable_v<Record> && std::is_standard_layout_v<Record>, "a record is plain words");

constexpr int64_t kVocabulary = 64;
constexpr int kSeeds = 40;

bool Same(const Record& a, const Record& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Every field as docs/semantics.md has its default, none left to the struct.
Record Spelled() { return {1.0f, 0, 1.0f, 0.0f, 30.0f, 16, 1.0f, 0.0f, 0, 1, 0, 0, 0, 0, 0.0f, 0}; }

// The tokens that `record` draws with forty seeds from logits of which none is far ahead.
std::vector<int64_t> TokensOf(const Record& record, int64_t step) {
  std::vector<float> logits(kVocabulary);
  for (int64_t id = 0; id < kVocabulary; ++id) logits[static_cast<size_t>(id)] = -0.05f * static_cast<float>(id);
  std::vector<Record> records;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) records.push_back(SpreadRecord(record, seed));
  Batch batch;
  batch.logits = logits.data();
  batch.rows = batch.record_count = kSeeds;
  batch.vocabulary = kVocabulary;
  batch.row_stride = batch.step_stride = 0;
  batch.step = &step;
  batch.records = records.data();
  return Tokens(batch);
}

struct Field {
  const char* name;
  std::function<void(Record& to, const Record& from)> copy;
};

std::vector<Field> Fields() {
  std::vector<Field> fields;
  const auto add = [&](const char* name, auto field) {
    fields.push_back({name, [=](Record& to, const Record& from) { to.*field = from.*field; }});
  };
  std::apply([&](const auto&... known) { (add(known.first, known.second), ...); }, kRecordFields);
  return fields;
}

class LeftOut : public ::testing::TestWithParam<Field> {};

TEST_P(LeftOut, IsOffAndNeverMakesAStepGreedy) {
  Record record = Spelled();
  GetParam().copy(record, Record());
  EXPECT_TRUE(Same(record, Spelled()));
  for (const int64_t step : {0, 1}) {
    const std::vector<int64_t> tokens = TokensOf(record, step);
    EXPECT_GT(std::set<int64_t>(tokens.begin(), tokens.end()).size(), 5u) << "at step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Record, LeftOut, ::testing::ValuesIn(Fields()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(SamplingConfig, LeftOutAltogetherPacksToTheRecordLeftOutAltogether) {
  EXPECT_TRUE(Same(RecordOf(SamplingConfig()), Record()));
  EXPECT_TRUE(Same(Record{}, Spelled()));
}

TEST(SamplingConfig, HotFiltersLeftOutFollowTheRegularOnes) {
  SamplingConfig config;
  config.top_p = 0.9f;
  config.min_p = 0.125f;
  for (const auto& [top_k, hot_top_k] : {std::pair{0, 16}, {-1, 16}, {1, 1}, {5, 5}, {50, 50}}) {
    config.top_k = top_k;
    const Record record = RecordOf(config);
    EXPECT_EQ(record.hot_top_k, hot_top_k);
    EXPECT_EQ(record.hot_top_p, 0.9f);
    EXPECT_EQ(record.hot_min_p, 0.125f);
    EXPECT_EQ(record.hot_steps, 1);
  }
}

TEST(SamplingConfig, HotFieldsGivenStayAsTheyAreGiven) {
  SamplingConfig config;
  config.temperature = 0;
  config.top_k = 50;
  config.hot_top_k = 0;
  config.hot_top_p = 0.0f;
  config.hot_min_p = 1.0f;
  config.hot_steps = 3;
  const Record record = RecordOf(config);
  EXPECT_EQ(record.hot_top_k, 0);
  EXPECT_EQ(record.hot_top_p, 0.0f);
  EXPECT_EQ(record.hot_min_p, 1.0f);
  EXPECT_EQ(record.hot_steps, 3);
}

TEST(SamplingConfig, AGreedyOneStaysGreedyAtStepZeroUnlessItAsksForHotSteps) {
  SamplingConfig config;
  config.temperature = 0;
  EXPECT_EQ(RecordOf(config).hot_steps, 0);
  EXPECT_EQ(TokensOf(RecordOf(config), 0), std::vector<int64_t>(kSeeds, 0));
}

TEST(SamplingConfig, OrderTiesSeedStreamAndReferenceTemperatureReachTheirWords) {
  SamplingConfig config;
  config.order = Order::kJoint;
  config.ties = Ties::kKeepTopK;
  config.seed = 0x0123456789ABCDEF;
  config.stream = 9;
  config.ref_temperature = 2.0f;
  const Record record = RecordOf(config);
  EXPECT_EQ(record.flags, Flags(2, 1) | kRefTemperatureGiven);
  EXPECT_EQ(record.seed_low, 0x89ABCDEFu);
  EXPECT_EQ(record.seed_high, 0x01234567u);
  EXPECT_EQ(record.stream, 9u);
  EXPECT_EQ(record.ref_temperature, 2.0f);
}

TEST(SamplingConfig, ADesignItsGroupAndTheMemberReachTheirWords) {
  SamplingConfig config;
  config.ties = Ties::kKeep;
  config.design = Design::kLattice;
  config.group_size = 65536;
  config.member = 40000;
  const Record record = RecordOf(config);
  EXPECT_EQ(record.flags, Flags(0, 2) | 3u << 5);
  EXPECT_EQ(record.group, 65535u | 40000u << 16);
}

TEST(SamplingConfig, PacksTheMembersOfEachBlockOfEachPromptWithTheSeedOfTheBlock) {
  SamplingConfig config;
  config.seed = 7;
  config.top_k = 5;
  for (const Design design : {Design::kNone, Design::kIid, Design::kEnumerated}) {
    config.design = design;
    const std::vector<Record> records = PackGroup(config, 3, 4, 5, 2);
    ASSERT_EQ(records.size(), 24u);
    SamplingConfig named = config;
    named.design = std::max(design, Design::kIid);
    named.group_size = 4;
    for (int row = 0; row < 24; ++row) {
      named.member = row % 4;
      const uint64_t block = 5 * 2 + static_cast<uint64_t>(row / 4);
      EXPECT_TRUE(Same(records[static_cast<size_t>(row)], SpreadRecord(RecordOf(named), block))) << row;
    }
  }
  EXPECT_TRUE(PackGroup(config, 0, 4).empty());
  EXPECT_EQ(PackGroup(config, 1, 65536).size(), 65536u);
}

TEST(SamplingConfig, AGroupThatCannotBePackedIsRefusedByTheArgumentsName) {
  SamplingConfig lattice;
  lattice.design = Design::kLattice;
  const auto refusal = [](const SamplingConfig& config, int64_t prompts, int64_t size, int64_t first, int64_t blocks) {
    return RefusalOf([&] { PackGroup(config, prompts, size, first, blocks); });
  };
  const int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(refusal(lattice, -1, 4, 0, 1).find("prompts is -1, expected"), 0u);
  EXPECT_EQ(refusal(lattice, kMost / 4, 8, 0, 1).find("prompts is "), 0u);
  EXPECT_EQ(refusal(lattice, 1, 0, 0, 1).find("size is 0, expected 1 to 65536"), 0u);
  EXPECT_EQ(refusal(lattice, 1, 65537, 0, 1).find("size is 65537, expected 1 to 65536"), 0u);
  EXPECT_EQ(refusal(lattice, 1, 4, -1, 1).find("first_prompt is -1, expected"), 0u);
  EXPECT_EQ(refusal(lattice, 1, 4, kMost, 1).find("first_prompt is "), 0u);
  EXPECT_EQ(refusal(lattice, 1, 4, 0, 0).find("blocks is 0, expected"), 0u);
  EXPECT_EQ(refusal(lattice, 1, 4, kMost / 2, 2).find("first_prompt is "), 0u);
  SamplingConfig cold = lattice, sized = lattice;
  cold.hot_steps = 0;
  sized.group_size = 4;
  EXPECT_EQ(refusal(cold, 1, 4, 0, 1).find("SamplingConfig::hot_steps is 0, expected"), 0u);
  EXPECT_EQ(refusal(sized, 1, 4, 0, 1).find("SamplingConfig::group_size is 4, expected 1"), 0u);
  cold.design = Design::kIid;
  EXPECT_EQ(refusal(cold, 1, 4, 0, 1), "nothing was thrown");
}

TEST(SamplingConfig, PacksARecordARowEachWithTheSeedOfItsSequence) {
  SamplingConfig config;
  config.seed = 7;
  const std::vector<Record> all = Pack(config, 5), rest = Pack(config, 3, 2);
  ASSERT_EQ(all.size(), 5u);
  ASSERT_EQ(rest.size(), 3u);
  for (size_t row = 0; row < 5; ++row) EXPECT_TRUE(Same(all[row], SpreadRecord(RecordOf(config), row))) << row;
  for (size_t row = 0; row < 3; ++row) EXPECT_TRUE(Same(rest[row], all[row + 2])) << row;
  EXPECT_TRUE(Pack(config, 0).empty());
}

std::string Refusal(const std::function<void(SamplingConfig&)>& change) {
  SamplingConfig config;
  change(config);
  return RefusalOf([&] { RecordOf(config); });
}

TEST(SamplingConfig, ValuesOutOfRangeAreRefusedByTheFieldsName) {
  using C = SamplingConfig;
  const std::pair<const char*, std::function<void(C&)>> bad[] = {
      {"temperature", [](C& c) { c.temperature = -1; }},
      {"temperature", [](C& c) { c.temperature = kNan; }},
      {"hot_temperature", [](C& c) { c.hot_temperature = -1; }},
      {"ref_temperature", [](C& c) { c.ref_temperature = 0.0f; }},
      {"top_p", [](C& c) { c.top_p = 1.5f; }},
      {"min_p", [](C& c) { c.min_p = -0.5f; }},
      {"hot_top_p", [](C& c) { c.hot_top_p = kNan; }},
      {"hot_min_p", [](C& c) { c.hot_min_p = 2.0f; }},
      {"top_k", [](C& c) { c.top_k = -2; }},
      {"hot_top_k", [](C& c) { c.hot_top_k = -2; }},
      {"hot_begin", [](C& c) { c.hot_begin = -1; }},
      {"hot_steps", [](C& c) { c.hot_steps = -1; }},
      {"order", [](C& c) { c.order = static_cast<Order>(3); }},
      {"ties", [](C& c) { c.ties = static_cast<Ties>(3); }},
      {"design", [](C& c) { c.design = static_cast<Design>(5); }},
      {"group_size", [](C& c) { c.group_size = 4; }},
      {"group_size", [](C& c) { c.design = Design::kIid, c.group_size = 0; }},
      {"group_size", [](C& c) { c.design = Design::kIid, c.group_size = 65537; }},
      {"member", [](C& c) { c.member = 1; }},
      {"member", [](C& c) { c.design = Design::kIid, c.group_size = 4, c.member = 4; }},
      {"member", [](C& c) { c.design = Design::kIid, c.group_size = 4, c.member = -1; }},
  };
  for (const auto& [field, change] : bad)
    EXPECT_EQ(Refusal(change).find(std::string("SamplingConfig::") + field + " is "), 0u) << Refusal(change);
  EXPECT_THROW(Pack(SamplingConfig(), -1), std::invalid_argument);
  EXPECT_THROW(Pack(SamplingConfig(), 1, -1), std::invalid_argument);
}

}  // namespace
}  // namespace fire::test
