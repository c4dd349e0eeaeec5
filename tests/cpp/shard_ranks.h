// A row whose vocabulary lies in shards, all ranks played by one thread: what an exchange brings, and the rounds.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "cpu_backend_rows.h"
#include "definition/one_thread.h"
#include "definition/shard_reference.h"
#include "definition/shard_row_solver.h"

namespace fire::test {

// How a vocabulary is split: a size a rank, 0 among them.
inline std::vector<uint32_t> TroublesomeSplit(Random& random, uint32_t vocabulary) {
  std::vector<uint32_t> ends(random.Below(8));
  for (uint32_t& end : ends) end = random.Below(4) == 0 ? random.Below(2) * vocabulary : random.Below(vocabulary + 1);
  std::sort(ends.begin(), ends.end());
  ends.push_back(vocabulary);
  std::vector<uint32_t> sizes;
  uint32_t begin = 0;
  for (const uint32_t end : ends) {
    sizes.push_back(end - begin);
    begin = end;
  }
  return sizes;
}

class ShardedRow {
 public:
  ShardedRow(const std::vector<float>& logits, const std::vector<uint32_t>& sizes) {
    uint32_t begin = 0;
    for (const uint32_t size : sizes) {
      shards_.emplace_back(std::vector<float>(logits.begin() + begin, logits.begin() + begin + size), begin);
      begin += size;
    }
    vocabulary_ = begin;
  }

  const std::vector<definition::ReferenceShard>& shards() const { return shards_; }
  int rounds() const { return rounds_; }  // of the last Solve()

  // The row when nothing is asked any more. `count`: entries that each rank tells. `answer(rank, row)` in a shard's
  // place.
  template <typename Answer>
  definition::ShardRow Solve(const Record& record, int64_t step, uint32_t wants, uint32_t count, uint32_t key_bits,
                             int64_t asked, const Answer& answer) {
    using definition::OneThread;
    using Solver = definition::ShardRowSolver<OneThread>;
    std::vector<uint64_t> entries;
    bool has_nan = false;
    for (const definition::ReferenceShard& shard : shards_) {
      for (const uint64_t entry : shard.FirstEntries(count)) entries.push_back(entry);
      has_nan |= shard.HasNan();
    }
    std::sort(entries.begin(), entries.end(), std::greater<>());
    entries.resize(count);
    std::vector<uint64_t> weights(count, ~uint64_t{0});
    const definition::ShardList list = {entries.data(), weights.data(), count};
    definition::ShardRow row = {};
    row.wants = wants, row.vocabulary = vocabulary_, row.ranks = static_cast<uint32_t>(shards_.size());
    row.key_bits = key_bits, row.record = record, row.step = step, row.asked = asked;
    Solver(OneThread(), list, &row).Begin(has_nan, /*slot_out_of_range=*/false);
    for (rounds_ = 0; row.questions != 0; ++rounds_) {
      std::vector<definition::ShardAnswer> sum(definition::SlotsFor(row.questions, row.ranks), {0, 0});
      for (uint32_t rank = 0; rank < shards_.size(); ++rank) {
        const std::vector<definition::ShardAnswer> own = answer(rank, row);
        for (size_t i = 0; i < sum.size(); ++i) {
          sum[i].count += own[i].count;
          sum[i].mass += own[i].mass;
        }
      }
      Solver(OneThread(), list, &row).Take(sum.data());
    }
    return row;
  }

  definition::ShardRow Solve(const Record& record, int64_t step, uint32_t wants, uint32_t count, uint32_t key_bits = 32,
                             int64_t asked = 0) {
    return Solve(record, step, wants, count, key_bits, asked,
                 [&](uint32_t rank, const definition::ShardRow& row) { return shards_[rank].Answer(row, rank); });
  }

 private:
  std::vector<definition::ReferenceShard> shards_;
  uint32_t vocabulary_;
  int rounds_ = 0;
};

}  // namespace fire::test
