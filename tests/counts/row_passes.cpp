// Samples one row in each of many cases, and asks a shard, once to touch what a first call sets up and once to be
// counted: callgrind collects within CountedCall, and writes what it found when that returns. Prints the names of the
// counted cases.
// Usage: row_passes INSTRUCTION_SET
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "cpu/row_table.h"
#include "test_support.h"

namespace fire::test {
namespace {

constexpr uint32_t kVocabulary = 32000;  // one that bench/cpu.py times

struct Setting {
  const char* name;
  float temperature;
  int32_t top_k;
  float top_p, min_p;
  bool flat;
};

constexpr Setting kSettings[] = {
    // under their names in bench/harness/settings.py
    {"hot T=30 k=16", 30.0f, 16, 1.0f, 0.0f, false},   {"k=50 p=0.95 T=0.7", 0.7f, 50, 0.95f, 0.0f, false},
    {"k=1000 p=0.95", 1.0f, 1000, 0.95f, 0.0f, false}, {"p=0.9", 1.0f, 0, 0.9f, 0.0f, false},
    {"p=0.9, flat", 1.0f, 0, 0.9f, 0.0f, true},        {"min-p=0.05", 1.0f, 0, 1.0f, 0.05f, false},
    {"no filter", 1.0f, 0, 1.0f, 0.0f, false},         {"greedy", 0.0f, 0, 1.0f, 0.0f, false},
};

// Rows of which more tokens than the candidate list holds are equal, or large.
constexpr const char* kCrowdedRows[] = {"all equal", "two values", "a few larger", "large in one place"};

std::vector<float> MakeCrowdedRow(size_t which) {
  Random random(2);
  std::vector<float> row(kVocabulary);
  for (uint32_t id = 0; id < kVocabulary; ++id) {
    row[id] = 0.5f;
    if (which == 1 && random.Below(2) != 0) row[id] = 1.5f;
    if (which == 2 && random.Below(kVocabulary) < 10) row[id] = 1.5f;
    if (which == 3) row[id] = static_cast<float>(static_cast<int>(random.Bell() * 16)) / 8;
    if (which == 3 && id / 10000 == 1) row[id] += 16;
  }
  return row;
}

struct Type {
  const char* name;
  LogitsType type;
};

constexpr Type kTypes[] = {
    {"float32", LogitsType::kFloat32}, {"bfloat16", LogitsType::kBFloat16}, {"float16", LogitsType::kFloat16}};

Record RecordOf(const Setting& setting) {
  Record record = PlainRecord(7);
  record.temperature = setting.temperature;
  record.top_k = setting.top_k;
  record.top_p = setting.top_p;
  record.min_p = setting.min_p;
  return record;
}

// Bell-shaped noise; unless flat, twice as wide, with 64 tokens well above it. Whole eighths, so that every type holds
// the same values and no function of the math library, whose results differ, has a part in them.
std::vector<float> MakeRow(bool flat) {
  Random random(1);
  std::vector<float> row(kVocabulary);
  for (float& x : row) x = static_cast<float>(static_cast<int>(random.Bell() * (flat ? 8 : 16))) / 8;
  if (!flat)
    for (int i = 0; i < 64; ++i) row[random.Below(kVocabulary)] = 18.0f - static_cast<float>(i) / 8;
  return row;
}

std::vector<uint16_t> Narrow(const std::vector<float>& row, LogitsType type) {
  std::vector<uint16_t> out;
  for (const float x : row) {
    const uint32_t bits = BitsOf(x), sign = bits >> 31 << 15;
    // Whole eighths below 32 in magnitude: all their bits fit, and none is subnormal in float16.
    const uint32_t half = x == 0 ? sign : sign | (((bits >> 23 & 0xFF) - 112) << 10) | (bits >> 13 & 0x3FF);
    out.push_back(static_cast<uint16_t>(type == LogitsType::kFloat16 ? half : bits >> 16));
  }
  return out;
}

}  // namespace
}  // namespace fire::test

// A name of its own, never inlined, and a return of its own, for callgrind to find.
extern "C" __attribute__((noinline)) int CountedCall(void (*call)(const void*), const void* of) {
  call(of);
  return 0;
}

namespace fire::test {
namespace {

// Volatile: else the compiler makes copies of the function, under other names.
int (*volatile counted_call)(void (*call)(const void*), const void* of) = CountedCall;

template <typename Call>
void Count(const std::string& name, const Call& call) {
  call();
  counted_call([](const void* of) { (*static_cast<const Call*>(of))(); }, &call);
  std::printf("%s\n", name.c_str());
}

struct Question {
  const char* name;
  uint32_t questions;
  int shift;    // of a search
  float min_p;  // below which nothing is kept
};

constexpr Question kQuestions[] = {
    {"all masses", definition::kAskMasses, 0, 0.0f},
    {"masses above min-p", definition::kAskMasses, 0, 0.05f},
    {"the first digit of a search", definition::kAskDigits, definition::kFirstDigit, 0.0f},
    {"the first digit of an id", definition::kAskDigits, definition::kIdBits - 7, 0.0f},
    {"rank and reference", definition::kAskRank | definition::kAskReference, 0, 0.0f},
    {"the drawn token", definition::kAskToken, 0, 0.0f},
};

// What rank 1 of two, which have a peaked row of `type` each, tells of it.
void CountShards(const cpu::ShardFunctions& functions, const Type& type, cpu::Workspace* workspace) {
  const std::vector<float> row = MakeRow(false);
  const std::vector<uint16_t> narrow = Narrow(row, type.type);
  const bool wide = type.type == LogitsType::kFloat32;
  const cpu::ShardTask task = {wide ? static_cast<const void*>(row.data()) : narrow.data(), type.type, kVocabulary,
                               kVocabulary};
  const std::string prefix = std::string(type.name) + ", shard, ";
  for (const uint32_t count : {51u, 1000u}) {
    std::vector<uint64_t> out(count + 1);
    Count(prefix + std::to_string(count) + " entries", [&] { functions.entries(task, count, out.data(), *workspace); });
  }
  for (const Question& question : kQuestions) {
    definition::ShardRow asked = {};
    asked.questions = question.questions;
    asked.wants = definition::kWantsDraw | definition::kWantsReference;
    asked.vocabulary = 2 * kVocabulary, asked.ranks = 2, asked.owner = 1;
    asked.record = PlainRecord(7);
    asked.maximum = 18.0f;
    const uint64_t whole = definition::WeightOfMaximum(asked.vocabulary);
    asked.point = 3 * whole;  // of the few tokens that weigh most
    asked.rule = {definition::KeepAll().last, definition::MinPThreshold(question.min_p, whole)};
    asked.entry = definition::Entry(definition::Key(1.0f), kVocabulary + 5);
    asked.search.shift = question.shift;
    if (question.shift < 32) asked.search.prefix = asked.entry >> 32 << 32 | definition::kOnesAboveId;
    std::vector<ShardAnswer> out(definition::SlotsFor(asked.questions, asked.ranks));
    Count(prefix + question.name,
          [&] { functions.answer(task, asked, 1, static_cast<uint32_t>(out.size()), out.data()); });
  }
}

}  // namespace
}  // namespace fire::test

int main(int argc, char** argv) {
  using namespace fire;
  const cpu::RowFunctions* chosen = nullptr;
  for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions())
    if (argc == 2 && std::strcmp(functions->name, argv[1]) == 0) chosen = functions;
  if (chosen == nullptr) {
    std::fprintf(stderr, "usage: row_passes INSTRUCTION_SET, one that runs here\n");
    return 2;
  }
  const auto workspace = std::make_unique<cpu::Workspace>();
  int64_t sum = 0;
  const auto count = [&](const cpu::RowTask& task, bool whole_row, const std::string& name) {
    test::Count(name, [&] { sum += chosen->sample(task, {whole_row, whole_row}, *workspace).token; });
  };
  for (const test::Type& type : test::kTypes) {
    for (const test::Setting& setting : test::kSettings) {
      const std::vector<float> row = test::MakeRow(setting.flat);
      const std::vector<uint16_t> narrow = test::Narrow(row, type.type);
      const bool wide = type.type == LogitsType::kFloat32;
      const cpu::RowTask task = {wide ? static_cast<const void*>(row.data()) : narrow.data(), type.type,
                                 test::kVocabulary, 1, test::RecordOf(setting)};
      const std::string name = std::string(type.name) + ", " + setting.name;
      count(task, false, name);
      count(task, true, name + ", all outputs");
    }
  }
  for (size_t which = 0; which < std::size(test::kCrowdedRows); ++which) {
    const std::vector<float> row = test::MakeCrowdedRow(which);
    for (const test::Setting& setting : test::kSettings) {
      if (setting.flat) continue;
      const cpu::RowTask task = {row.data(), LogitsType::kFloat32, test::kVocabulary, 1, test::RecordOf(setting)};
      count(task, false, std::string(setting.name) + ", " + test::kCrowdedRows[which]);
    }
  }
  for (const test::Type& type : test::kTypes) test::CountShards(chosen->shard, type, workspace.get());
  std::fprintf(stderr, "%lld\n", static_cast<long long>(sum));  // what is computed is used
}
