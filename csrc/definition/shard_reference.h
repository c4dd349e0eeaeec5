// A shard's answers, scalar and obvious: what every backend must answer, and every test compares with. Host only.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "definition/draw.h"
#include "definition/shard.h"

namespace fire::definition {

class ReferenceShard {
 public:
  // `logits`: the shard's, as float32, whose first token has the id `first_id`.
  ReferenceShard(std::vector<float> logits, uint32_t first_id) : logits_(std::move(logits)), first_id_(first_id) {}

  // Its first tokens of the order, of finite logits and +inf, and 0 behind them.
  std::vector<uint64_t> FirstEntries(size_t count) const {
    std::vector<uint64_t> out;
    for (size_t i = 0; i < logits_.size(); ++i)
      if (Key(logits_[i]) != kMaskedKey) out.push_back(EntryAt(i));
    std::sort(out.begin(), out.end(), std::greater<>());
    out.resize(count);
    return out;
  }

  bool HasNan() const {
    return std::any_of(logits_.begin(), logits_.end(), [](float logit) { return IsNanBits(FloatBits(logit)); });
  }

  // What `rank`, whose shard this is, answers to the row's questions.
  std::vector<ShardAnswer> Answer(const ShardRow& row, uint32_t rank) const {
    std::vector<ShardAnswer> out(SlotsFor(row.questions, row.ranks), ShardAnswer{0, 0});
    for (size_t i = 0; i < logits_.size(); ++i) {
      const uint64_t entry = EntryAt(i);
      if ((row.questions & kAskRank) != 0) out[kReferenceSlot].count += KeyOf(entry) >= KeyOf(row.entry);
      if (!HasFiniteMaximum(row)) continue;
      const uint64_t weight = Weight(logits_[i], ScaleOf(row));
      if ((row.questions & kAskReference) != 0) out[kReferenceSlot].mass += Weight(logits_[i], ReferenceScaleOf(row));
      if ((row.questions & kAskMasses) != 0 && Keeps(row.rule, entry, weight)) Add(weight, &out[kFirstSlot + rank]);
      const KeptRule searched = {KeepAll().last, row.rule.min_weight};
      if ((row.questions & kAskDigits) != 0 && IsInRange(row.search, entry) && Keeps(searched, entry, weight))
        Add(weight, &out[kFirstSlot + DigitOf(row.search, entry)]);
    }
    if ((row.questions & kAskToken) != 0) out[kTokenSlot] = TokenOf(row, rank);
    return out;
  }

  // The shard's part of process_logits.
  std::vector<float> ProcessedLogits(const ShardRow& row) const {
    std::vector<float> out(logits_.size(), -std::numeric_limits<float>::infinity());
    for (size_t i = 0; i < logits_.size(); ++i) {
      if (IsDecided(row)) {
        if (IdAt(i) == row.token) out[i] = 0.0f;
      } else if (IsKept(row, i)) {
        out[i] = ScaledLogit(Sanitised(logits_[i]), PhaseOf(row).temperature);
      }
    }
    return out;
  }

  // The shard's part of heat_logits_.
  std::vector<float> HeatedLogits(const ShardRow& row) const {
    if (!PhaseOf(row).hot) return logits_;
    std::vector<float> out(logits_.size(), -std::numeric_limits<float>::infinity());
    if ((row.status & kStatusNoFiniteLogit) != 0) return out;
    const float ratio = Divide(row.record.temperature, row.record.hot_temperature);
    for (size_t i = 0; i < logits_.size(); ++i) {
      if (!IsHandedOver(row)) {
        if (IdAt(i) == row.token) out[i] = 0.0f;
      } else if (EntryAt(i) >= row.rule.last) {
        out[i] = HeatedLogit(Sanitised(logits_[i]), ratio);
      }
    }
    return out;
  }

  // The shard's part of log_prob's gradient.
  std::vector<float> LogProbGradient(const ShardRow& row, float grad) const {
    std::vector<float> out(logits_.size(), 0.0f);
    if (IsDecided(row) || !Keeps(row.rule, row.entry, row.weight)) return out;
    for (size_t i = 0; i < logits_.size(); ++i) {
      if (!IsKept(row, i)) continue;
      const uint64_t weight = Weight(logits_[i], ScaleOf(row));
      out[i] = LogProbSlope(weight, row.mass, IdAt(i) == row.asked, PhaseOf(row).temperature) * grad;
    }
    return out;
  }

 private:
  int64_t IdAt(size_t i) const { return static_cast<int64_t>(first_id_ + i); }
  uint64_t EntryAt(size_t i) const { return Entry(Key(logits_[i]), static_cast<uint32_t>(IdAt(i))); }
  bool IsKept(const ShardRow& row, size_t i) const {
    return Keeps(row.rule, EntryAt(i), Weight(logits_[i], ScaleOf(row)));
  }

  static void Add(uint64_t weight, ShardAnswer* answer) {
    ++answer->count;
    answer->mass += weight;
  }

  // Of the drawn token its owner tells, of the caller's the rank that has it.
  ShardAnswer TokenOf(const ShardRow& row, uint32_t rank) const {
    uint64_t mass = 0;
    for (size_t i = 0; i < logits_.size(); ++i) {
      const uint64_t weight = HasFiniteMaximum(row) ? Weight(logits_[i], ScaleOf(row)) : 0;
      if ((row.wants & kWantsLogProb) != 0) {
        if (IdAt(i) == row.asked) return {EntryAt(i), weight};
      } else if (rank == row.owner && IsKept(row, i)) {
        mass += weight;
        if (mass > row.point) return {EntryAt(i), weight};
      }
    }
    return {0, 0};
  }

  std::vector<float> logits_;
  uint32_t first_id_;
};

}  // namespace fire::definition
