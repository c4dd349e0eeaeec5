// Rows that lie in shards, all ranks on one device: entries, states and answers of the kernels beside the definition's,
// in every bit.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "fire/cuda.h"
#include "kernels/shards.h"
#include "tests/cpp/shard_ranks.h"
#include "tests/cuda/plans.h"
#include "tests/cuda/sample_check.h"
#include "tests/cuda/shard_cases.h"

namespace fire::test {

using definition::ReferenceShard;
using definition::ShardRow;

// Brings rows from their first entries to where nothing is asked any more. ShardedRows has what comes after.
class SolvedShards {
 public:
  SolvedShards(Random& random, const ShardCases& cases)
      : random_(random),
        cases_(cases),
        vocabulary_(static_cast<uint32_t>(cases.rows[0].logits.size())),
        layout_(RandomLayout(random, cases.type, cases.rows)),
        batch_(cases.rows, cases.type, layout_),
        asked_stride_(1 + random.Below(2)),
        asked_(Spread(cases.asked, asked_stride_)) {
    uint32_t begin = 0;
    for (const uint32_t size : cases.sizes) {
      first_id_.push_back(begin);
      std::vector<ReferenceShard> shards;
      logits_.emplace_back(random, cases.rows.size(), std::max(size, 1u), BytesOfElement());
      for (size_t row = 0; row < cases.rows.size(); ++row) {
        const std::vector<float>& values = batch_.rows()[row].values();
        shards.emplace_back(std::vector<float>(values.begin() + begin, values.begin() + begin + size), begin);
        const auto* bytes = static_cast<const unsigned char*>(batch_.rows()[row].data());
        if (size > 0) logits_.back().WriteRow(row, bytes + begin * BytesOfElement());
      }
      shards_.push_back(std::move(shards));
      begin += size;
    }
  }

  size_t rows() const { return cases_.rows.size(); }
  size_t ranks() const { return cases_.sizes.size(); }
  const ShardRow& row(size_t i) const { return states_[i]; }
  const TypedRow& logits(size_t i) const { return batch_.rows()[i]; }

  // From entries to the end, by this plan, or by the one that is chosen. The first difference; nothing where all is
  // equal.
  std::string Solve(uint32_t wants, const Plan* plan = nullptr) {
    std::string what = TellEntries();
    if (what.empty()) what = Begin(wants);
    for (int round = 0; what.empty() && HasQuestions(); ++round) what = AnswerRound(plan, round);
    row_runs += static_cast<int64_t>(rows());
    return what;
  }

  ShardBatch BatchOf(size_t rank) const {
    ShardBatch shard;
    shard.logits = logits_[rank].data();
    shard.logits_type = cases_.type;
    shard.rows = static_cast<int64_t>(rows());
    shard.size = cases_.sizes[rank];
    shard.row_stride = logits_[rank].stride();
    shard.first_id = first_id_[rank];
    return shard;
  }
  ShardState* device_states() const { return reinterpret_cast<ShardState*>(states_memory_.at(0)); }
  ShardEntries entries() const {
    return {cases_.count, reinterpret_cast<const uint64_t*>(entries_memory_.at(0)),
            reinterpret_cast<uint64_t*>(weights_memory_.at(0))};
  }

 protected:
  size_t BytesOfElement() const { return static_cast<size_t>(definition::BytesOf(cases_.type)); }

  std::string Where(size_t i) const {
    std::string sizes;
    for (const uint32_t size : cases_.sizes) sizes += " " + std::to_string(size);
    return " in row " + std::to_string(i) + " " + cases_.rows[i].name + " of " + NameOf(cases_.type) + " shards" +
           sizes + ", " + std::to_string(cases_.count) + " entries, step " + std::to_string(cases_.rows[i].step) +
           ", " + Describe(cases_.rows[i].record);
  }

  Random& random_;
  const ShardCases& cases_;
  uint32_t vocabulary_;
  std::vector<DeviceMatrix> logits_;
  std::vector<std::vector<ReferenceShard>> shards_;  // of each rank, of each row

 private:
  using Solver = definition::ShardRowSolver<definition::OneThread>;

  size_t Width() const { return cases_.count + 1; }

  // Lets every rank tell its first entries, and merges them.
  std::string TellEntries() {
    std::vector<std::vector<uint64_t>> all(rows());
    std::vector<uint64_t> flags(rows(), 0);
    for (size_t rank = 0; rank < ranks(); ++rank) {
      if (cases_.sizes[rank] == 0) continue;
      DeviceArray<uint64_t> out(rows() * Width());
      ShardEntriesCuda(BatchOf(rank), cases_.count, out.get(), nullptr);
      ThrowOnError(cudaDeviceSynchronize(), "ShardEntriesCuda");
      const std::vector<uint64_t> got = out.Read();
      for (size_t i = 0; i < rows(); ++i) {
        std::vector<uint64_t> want = shards_[rank][i].FirstEntries(cases_.count);
        all[i].insert(all[i].end(), want.begin(), want.end());
        want.push_back(shards_[rank][i].HasNan() ? kShardHasNan : 0);
        flags[i] |= want.back();
        for (size_t at = 0; at < Width(); ++at)
          if (got[i * Width() + at] != want[at])
            return "rank " + std::to_string(rank) + "'s entry " + std::to_string(at) + Where(i);
      }
    }
    lists_.assign(rows() * Width(), 0);
    for (size_t i = 0; i < rows(); ++i) {
      std::sort(all[i].begin(), all[i].end(), std::greater<>());
      all[i].resize(cases_.count);
      std::copy(all[i].begin(), all[i].end(), lists_.begin() + static_cast<std::ptrdiff_t>(i * Width()));
      lists_[(i + 1) * Width() - 1] = flags[i];
    }
    return "";
  }

  definition::ShardList ListOf(size_t i) {
    return {lists_.data() + i * Width(), weights_.data() + i * cases_.count, cases_.count};
  }

  std::string Begin(uint32_t wants) {
    states_memory_ = DeviceMemory(rows() * sizeof(ShardState));
    weights_memory_ = DeviceMemory(rows() * cases_.count * sizeof(uint64_t));
    entries_memory_ = DeviceMemory(lists_.size() * sizeof(uint64_t));
    entries_memory_.Write(0, lists_.data(), lists_.size() * sizeof(uint64_t));
    weights_.assign(rows() * cases_.count, 0);
    states_.assign(rows(), ShardRow{});
    Batch batch = batch_.batch();
    batch.logits = nullptr;
    ShardQuery query;
    query.ranks = static_cast<int64_t>(ranks()), query.wants = wants;
    query.token = asked_.get(), query.token_stride = static_cast<int64_t>(asked_stride_);
    ShardBeginCuda(batch, entries(), query, device_states(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "ShardBeginCuda");
    for (size_t i = 0; i < rows(); ++i) {
      ShardRow& row = states_[i];
      row.wants = wants, row.vocabulary = vocabulary_, row.ranks = static_cast<uint32_t>(ranks());
      row.key_bits = definition::KeyBitsOf(cases_.type);
      row.record = cases_.rows[i].record, row.step = cases_.rows[i].step;
      if ((wants & kShardWantsLogProb) != 0) row.asked = cases_.asked[i];
      Solver({}, ListOf(i), &row).Begin(lists_[(i + 1) * Width() - 1] != 0, false);
    }
    std::vector<uint64_t> weights(weights_.size());
    weights_memory_.Read(0, weights.data(), weights.size() * sizeof(uint64_t));
    for (size_t at = 0; at < weights.size(); ++at)
      if (weights[at] != weights_[at])
        return "weight " + std::to_string(at % cases_.count) + ": " + std::to_string(weights[at]) + ", expected " +
               std::to_string(weights_[at]) + Where(at / cases_.count);
    return StateDifference("begun");
  }

  bool HasQuestions() const {
    return std::any_of(states_.begin(), states_.end(), [](const ShardRow& row) { return row.questions != 0; });
  }

  std::string AnswerRound(const Plan* plan, int round_number) {
    std::vector<int64_t> asked;
    for (size_t i = 0; i < rows(); ++i)
      if (states_[i].questions != 0) asked.push_back(static_cast<int64_t>(i));
    const bool names_rows = asked.size() < rows() || round_number % 2 == 0;
    if (random_.Below(2) == 0) std::reverse(asked.begin(), asked.end());
    const DeviceArray<int64_t> asked_memory(asked);
    uint32_t slots = 0;
    for (const int64_t i : asked)
      slots = std::max(slots,
                       definition::SlotsFor(states_[static_cast<size_t>(i)].questions, static_cast<uint32_t>(ranks())));
    if (!names_rows) std::sort(asked.begin(), asked.end());
    const ShardRound round = {slots, names_rows ? asked_memory.get() : nullptr, static_cast<int64_t>(asked.size())};
    std::vector<ShardAnswer> sums(asked.size() * slots, ShardAnswer{0, 0});
    for (size_t rank = 0; rank < ranks(); ++rank) {
      if (cases_.sizes[rank] == 0) continue;
      DeviceArray<ShardAnswer> out(sums.size());
      if (plan == nullptr) {
        ShardAnswerCuda(BatchOf(rank), device_states(), round, static_cast<int64_t>(rank), out.get(), nullptr);
      } else {
        kernels::ShardAnswerWithPlan(BatchOf(rank), device_states(), round, static_cast<int64_t>(rank), out.get(),
                                     *plan, nullptr);
      }
      ThrowOnError(cudaDeviceSynchronize(), "ShardAnswerCuda");
      const std::vector<ShardAnswer> got = out.Read();
      for (size_t i = 0; i < asked.size(); ++i) {
        const size_t row = static_cast<size_t>(asked[i]);
        std::vector<ShardAnswer> want = shards_[rank][row].Answer(states_[row], static_cast<uint32_t>(rank));
        want.resize(slots, ShardAnswer{0, 0});
        for (size_t slot = 0; slot < slots; ++slot) {
          const ShardAnswer &a = got[i * slots + slot], &b = want[slot];
          if (a.count != b.count || a.mass != b.mass)
            return "rank " + std::to_string(rank) + "'s answer in slot " + std::to_string(slot) + " to questions " +
                   std::to_string(states_[row].questions) + ": " + std::to_string(a.count) + ", " +
                   std::to_string(a.mass) + ", expected " + std::to_string(b.count) + ", " + std::to_string(b.mass) +
                   Where(row);
          sums[i * slots + slot].count += b.count;
          sums[i * slots + slot].mass += b.mass;
        }
      }
    }
    const DeviceArray<ShardAnswer> sums_memory(sums);
    ShardTakeCuda(device_states(), static_cast<int64_t>(rows()), entries(), round, sums_memory.get(), nullptr);
    ThrowOnError(cudaDeviceSynchronize(), "ShardTakeCuda");
    for (size_t i = 0; i < asked.size(); ++i) {
      const size_t row = static_cast<size_t>(asked[i]);
      Solver({}, ListOf(row), &states_[row]).Take(sums.data() + i * slots);
    }
    return StateDifference("round " + std::to_string(round_number));
  }

  std::string StateDifference(const std::string& when) const {
    std::vector<ShardRow> got(rows());
    states_memory_.Read(0, got.data(), got.size() * sizeof(ShardRow));
    for (size_t i = 0; i < rows(); ++i)
      for (size_t word = 0; word < sizeof(ShardRow) / 4; ++word)
        if (std::memcmp(reinterpret_cast<const char*>(&got[i]) + 4 * word,
                        reinterpret_cast<const char*>(&states_[i]) + 4 * word, 4) != 0)
          return when + ": word " + std::to_string(word) + " of the state" + Where(i);
    return "";
  }

  Layout layout_;
  DeviceBatch batch_;
  size_t asked_stride_;
  DeviceArray<int64_t> asked_;
  std::vector<uint32_t> first_id_;
  std::vector<uint64_t> lists_, weights_;
  std::vector<ShardRow> states_;  // the definition's
  DeviceMemory states_memory_, entries_memory_, weights_memory_;
};

}  // namespace fire::test
