// Packs a SamplingConfig: checks its values, as Python's does, and fills in what is left empty.
#include "fire/sampling_config.h"

#include <limits>

#include "batch_checks.h"
#include "definition/design.h"
#include "definition/phase.h"
#include "fire/sampling.h"
#include "group_records.h"

namespace fire {
namespace {

void RequireReal(bool met, const char* field, float came, const char* expected) {
  if (!met)
    throw std::invalid_argument(std::string("SamplingConfig::") + field + " is " + std::to_string(came) +
                                ", expected " + expected);
}

// Refuses NaN, which is not at least anything.
void RequireTemperature(float value, const char* field) {
  RequireReal(value >= 0, field, value, "0 or more, where 0 is greedy");
}

void RequireFraction(float value, const char* field) { RequireReal(value >= 0 && value <= 1, field, value, "0 to 1"); }

void RequireAtLeast(int32_t least, int32_t value, const char* field) {
  Require(value >= least, (std::string("SamplingConfig::") + field).c_str(), value, std::to_string(least) + " or more");
}

void RequireRange(int32_t least, int64_t most, int32_t value, const char* field) {
  Require(value >= least && value <= most, (std::string("SamplingConfig::") + field).c_str(), value,
          std::to_string(least) + " to " + std::to_string(most));
}

template <typename Enum>
uint32_t Flag(Enum value, Enum last, uint32_t shift, const char* field) {
  const auto code = static_cast<uint32_t>(value);
  Require(code <= static_cast<uint32_t>(last), field, code, "a value of its enumeration");
  return code << shift;
}

}  // namespace

Record RecordOf(const SamplingConfig& config) {
  RequireTemperature(config.temperature, "temperature");
  RequireTemperature(config.hot_temperature, "hot_temperature");
  Record record;
  record.temperature = config.temperature;
  record.top_k = config.top_k;
  record.top_p = config.top_p;
  record.min_p = config.min_p;
  record.hot_temperature = config.hot_temperature;
  record.hot_top_k = config.hot_top_k.value_or(config.top_k > 0 ? config.top_k : record.hot_top_k);
  record.hot_top_p = config.hot_top_p.value_or(config.top_p);
  record.hot_min_p = config.hot_min_p.value_or(config.min_p);
  record.hot_begin = config.hot_begin;
  const bool greedy = definition::HeatOf(config.temperature) == definition::Heat::kGreedy;
  record.hot_steps = config.hot_steps.value_or(greedy ? 0 : record.hot_steps);
  RequireFraction(record.top_p, "top_p");
  RequireFraction(record.min_p, "min_p");
  RequireFraction(record.hot_top_p, "hot_top_p");
  RequireFraction(record.hot_min_p, "hot_min_p");
  RequireAtLeast(-1, record.top_k, "top_k");
  RequireAtLeast(-1, record.hot_top_k, "hot_top_k");
  RequireAtLeast(0, record.hot_begin, "hot_begin");
  RequireAtLeast(0, record.hot_steps, "hot_steps");
  record.flags = Flag(config.order, Order::kJoint, kOrderShift, "SamplingConfig::order") |
                 Flag(config.ties, Ties::kKeep, kTiesShift, "SamplingConfig::ties");
  if (config.ref_temperature) {
    RequireReal(*config.ref_temperature > 0, "ref_temperature", *config.ref_temperature, "more than 0");
    record.ref_temperature = *config.ref_temperature;
    record.flags |= kRefTemperatureGiven;
  }
  record.flags |= Flag(config.design, Design::kEnumerated, kDesignShift, "SamplingConfig::design");
  RequireRange(1, kMaxGroupSize, config.group_size, "group_size");
  if (config.design == Design::kNone)
    Require(config.group_size == 1, "SamplingConfig::group_size", config.group_size, "1 without a design");
  RequireRange(0, config.group_size - 1, config.member, "member");
  record.group = static_cast<uint32_t>(config.group_size - 1) | static_cast<uint32_t>(config.member) << kMemberShift;
  record.stream = config.stream;
  record.seed_low = static_cast<uint32_t>(config.seed);
  record.seed_high = static_cast<uint32_t>(config.seed >> 32);
  return record;
}

std::vector<Record> Pack(const SamplingConfig& config, int64_t rows, int64_t first_row) {
  Require(rows >= 0, "rows", rows, "0 or more");
  Require(first_row >= 0, "first_row", first_row, "0 or more");
  const Record record = RecordOf(config);
  std::vector<Record> records;
  records.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row)
    records.push_back(SpreadRecord(record, static_cast<uint64_t>(first_row) + static_cast<uint64_t>(row)));
  return records;
}

std::vector<Record> PackGroup(const SamplingConfig& config, int64_t prompts, int64_t size, int64_t first_prompt,
                              int64_t blocks) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Require(size >= 1 && size <= kMaxGroupSize, "size", size, "1 to " + std::to_string(kMaxGroupSize));
  Require(blocks >= 1, "blocks", blocks, "1 or more");
  Require(prompts >= 0 && prompts <= kMost / size / blocks, "prompts", prompts, "0 to 2^63 - 1 records");
  Require(first_prompt >= 0 && first_prompt <= kMost / blocks - prompts, "first_prompt", first_prompt,
          "0 or more, the last block below 2^63");
  const Record record = RecordOf(config);
  Require(record.group == 0, "SamplingConfig::group_size", config.group_size, "1: size says it");
  Require(definition::DesignOf(record) <= Design::kIid || record.hot_steps > 0, "SamplingConfig::hot_steps",
          record.hot_steps, "1 or more, or another design: this one acts at hot steps alone");
  const uint64_t first = static_cast<uint64_t>(first_prompt) * static_cast<uint64_t>(blocks);
  std::vector<Record> records;
  records.reserve(static_cast<size_t>(prompts * blocks * size));
  ForEachGroupRecord(record, first, static_cast<uint64_t>(prompts * blocks), static_cast<uint32_t>(size),
                     [&](const Record& one) { records.push_back(one); });
  return records;
}

}  // namespace fire
