// The vectorised shards give the reference's bits, on every instruction set that runs here and for every question.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "cpu_backend_rows.h"
#include "definition/reference.h"
#include "shard_ranks.h"

namespace fire::test {
namespace {

using definition::ReferenceShard;
using definition::ShardRow;

// A row in its type, and the shards that it is cut into: any address that a logit may have.
class TypedShards {
 public:
  TypedShards(const TypedRow& row, const std::vector<uint32_t>& sizes) : row_(row), sharded_(row.values(), sizes) {
    uint32_t begin = 0;
    for (const uint32_t size : sizes) {
      const size_t bytes = row.bytes() / row.size();
      tasks_.push_back({static_cast<const char*>(row.data()) + begin * bytes, row.type(), size, begin});
      begin += size;
    }
  }

  const std::vector<cpu::ShardTask>& tasks() const { return tasks_; }
  const ReferenceShard& reference(uint32_t rank) const { return sharded_.shards()[rank]; }

  // Solves the row by the reference's answers; each must be what `functions` answer. `*what` says what differs.
  ShardRow Solve(const cpu::ShardFunctions& functions, const Record& record, int64_t step, uint32_t wants,
                 uint32_t count, int64_t asked, std::string* what) {
    const uint32_t key_bits = definition::KeyBitsOf(row_.type());
    return sharded_.Solve(record, step, wants, count, key_bits, asked, [&](uint32_t rank, const ShardRow& row) {
      const std::vector<ShardAnswer> want = reference(rank).Answer(row, rank);
      if (tasks_[rank].size == 0) return want;
      std::vector<ShardAnswer> got(want.size(), ShardAnswer{7, 7});
      functions.answer(tasks_[rank], row, rank, static_cast<uint32_t>(got.size()), got.data());
      for (size_t slot = 0; slot < want.size(); ++slot)
        if (got[slot].count != want[slot].count || got[slot].mass != want[slot].mass)
          *what += "questions " + std::to_string(row.questions) + " slot " + std::to_string(slot) + " shift " +
                   std::to_string(row.search.shift) + "; ";
      asked_ |= row.questions;
      return want;
    });
  }

  // The first difference of what each shard writes by a solved row; empty where all is equal.
  std::string WrongOutput(const cpu::ShardFunctions& functions, const ShardRow& row, cpu::Workspace& workspace) const {
    for (uint32_t rank = 0; rank < tasks_.size(); ++rank) {
      const cpu::ShardTask& task = tasks_[rank];
      if (task.size == 0) continue;
      std::vector<float> out(task.size);
      functions.process(task, row, out.data());
      if (!AllSame(out, reference(rank).ProcessedLogits(row))) return "process";
      if ((row.wants & definition::kWantsLogProb) == 0) continue;
      constexpr float kGrad = 1.5f;
      const TypedRow gradient(reference(rank).LogProbGradient(row, kGrad), task.logits_type);
      std::vector<char> bytes(gradient.bytes());
      functions.log_prob_backward(task, row, kGrad, bytes.data(), workspace);
      if (std::memcmp(bytes.data(), gradient.data(), bytes.size()) != 0) return "log_prob_backward";
    }
    return "";
  }

  std::string WrongHeat(const cpu::ShardFunctions& functions, const ShardRow& row) const {
    for (uint32_t rank = 0; rank < tasks_.size(); ++rank) {
      const cpu::ShardTask& task = tasks_[rank];
      if (task.size == 0 || task.logits_type != LogitsType::kFloat32) continue;
      const float* const logits = static_cast<const float*>(task.logits);
      std::vector<float> out(logits, logits + task.size);
      cpu::ShardTask in_place = task;
      in_place.logits = out.data();
      functions.heat(in_place, row, out.data());
      if (!AllSame(out, reference(rank).HeatedLogits(row))) return "heat";
    }
    return "";
  }

  std::string WrongEntries(const cpu::ShardFunctions& functions, uint32_t count, cpu::Workspace& workspace) const {
    for (uint32_t rank = 0; rank < tasks_.size(); ++rank) {
      if (tasks_[rank].size == 0) continue;
      std::vector<uint64_t> got(count + 1, 7), want = reference(rank).FirstEntries(count);
      want.push_back(reference(rank).HasNan() ? kShardHasNan : 0);
      functions.entries(tasks_[rank], count, got.data(), workspace);
      if (got != want) return std::to_string(count) + " entries";
    }
    return "";
  }

  uint32_t asked() const { return asked_; }  // the questions of all rounds

 private:
  const TypedRow& row_;
  ShardedRow sharded_;
  std::vector<cpu::ShardTask> tasks_;
  uint32_t asked_ = 0;
};

std::string Where(const char* set, const Record& record, LogitsType type, const std::vector<uint32_t>& sizes) {
  std::string out = std::string(set) + ", type " + std::to_string(static_cast<int>(type)) + ", shards of";
  for (const uint32_t size : sizes) out += " " + std::to_string(size);
  return out + ", " + Describe(record);
}

// Compares everything that a shard of the row is asked on every instruction set. Returns the questions that came up.
uint32_t Compare(Random& random, const TypedRow& row, const Record& record, int64_t step, uint32_t count,
                 cpu::Workspace& workspace) {
  const std::vector<uint32_t> sizes = TroublesomeSplit(random, row.size());
  const int64_t drawn = definition::ReferenceRow(row.values().data(), row.size(), record, step).Sample().token;
  const int64_t token = random.Below(4) == 0 ? static_cast<int64_t>(random.Below(row.size() + 2)) - 1 : drawn;
  uint32_t asked = 0;
  for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions()) {
    TypedShards shards(row, sizes);
    const cpu::ShardFunctions& shard = functions->shard;
    const std::string where = Where(functions->name, record, row.type(), sizes);
    EXPECT_EQ(shards.WrongEntries(shard, count, workspace), "") << where;
    std::string what;
    for (const uint32_t wants : {definition::kWantsDraw | definition::kWantsReference, definition::kWantsLogProb,
                                 definition::kWantsLogProb | definition::kWantsReference, definition::kWantsHeat}) {
      const ShardRow solved = shards.Solve(shard, record, step, wants, count, token, &what);
      EXPECT_EQ(what, "") << where;
      EXPECT_EQ(wants == definition::kWantsHeat ? shards.WrongHeat(shard, solved)
                                                : shards.WrongOutput(shard, solved, workspace),
                "")
          << where;
    }
    asked |= shards.asked();
  }
  return asked;
}

constexpr uint32_t kAllQuestions = definition::kAskMasses | definition::kAskDigits | definition::kAskReference |
                                   definition::kAskRank | definition::kAskToken;

TEST(CpuBackendShard, EveryAnswerAndEveryOutputIsTheReferencesInEveryBit) {
  Random random(1811);
  const auto workspace = std::make_unique<cpu::Workspace>();
  uint32_t asked = 0;
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const uint32_t vocabulary = 1 + random.Below(random.Below(3) == 0 ? 40 : 1500);
    const TypedRow row(TroublesomeRow(random, vocabulary), random.Pick(kLogitsTypes));
    const Record record = TroublesomeRecord(random, vocabulary);
    asked |= Compare(random, row, record, random.Below(4), 1 + random.Below(random.Below(2) == 0 ? 4 : 80), *workspace);
  }
  EXPECT_EQ(asked, kAllQuestions);
}

TEST(CpuBackendShard, APointAtTheEdgeOfAShareIsTheNextTokens) {
  Random random(1813);
  for (int i = 0; i < 40; ++i) {
    const uint32_t size = 1 + random.Below(300), first_id = random.Below(3) * 1000;
    const TypedRow row(TroublesomeRow(random, size), random.Pick(kLogitsTypes));
    const ReferenceShard reference(row.values(), first_id);
    ShardRow shared = {};
    shared.questions = definition::kAskToken;
    shared.wants = definition::kWantsDraw;
    shared.vocabulary = 4000;
    shared.ranks = 2;
    shared.owner = 1;
    shared.record = PlainRecord(1);
    shared.record.hot_steps = 0;
    shared.maximum = *std::max_element(row.values().begin(), row.values().end(),
                                       [](float a, float b) { return definition::Key(a) < definition::Key(b); });
    if (!HasFiniteMaximum(shared)) continue;
    shared.rule = {i % 2 == 0 ? definition::KeepAll().last : definition::LastOfKey(definition::Key(0.0f)), 0};
    uint64_t mass = 0;
    for (const float logit : row.values()) {
      const uint64_t weight = definition::Weight(logit, ScaleOf(shared));
      if (definition::Keeps(shared.rule, definition::Entry(definition::Key(logit), 0), weight)) mass += weight;
      for (const uint64_t point : {mass - 1, mass}) {
        shared.point = point;
        const std::vector<ShardAnswer> want = reference.Answer(shared, 1);
        for (const cpu::RowFunctions* functions : cpu::RunnableRowFunctions()) {
          ShardAnswer got[definition::kFirstSlot];
          functions->shard.answer({row.data(), row.type(), size, first_id}, shared, 1, definition::kFirstSlot, got);
          ASSERT_EQ(got[definition::kTokenSlot].count, want[definition::kTokenSlot].count) << functions->name;
          ASSERT_EQ(got[definition::kTokenSlot].mass, want[definition::kTokenSlot].mass) << functions->name;
        }
      }
    }
  }
}

TEST(CpuBackendShard, LongRowsWhoseCandidatesDoNotFitTheListGiveTheReferencesBits) {
  Random random(1812);
  const auto workspace = std::make_unique<cpu::Workspace>();
  uint32_t asked = 0;
  for (int i = 0; i < 8 && !HasFailure(); ++i) {
    const uint32_t vocabulary = 20000 + random.Below(i < 2 ? 180000 : 20000);
    const TypedRow row(CrowdedRow(random, vocabulary), random.Pick(kLogitsTypes));
    const uint32_t count = random.Pick({1u, 50u, 1024u, static_cast<uint32_t>(kMaxShardEntries)});
    asked |= Compare(random, row, CrowdedRecord(random, vocabulary), random.Below(2), count, *workspace);
  }
  EXPECT_EQ(asked, kAllQuestions);
}

}  // namespace
}  // namespace fire::test
