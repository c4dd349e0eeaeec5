// A row whose vocabulary lies in shards, one a rank: what all ranks know of it, and what they still ask each other.
//
// A kept set is a rule and a mass is an integer, so nobody needs the whole row. The ranks exchange the first entries of
// the order; what these do not settle is asked in rounds: every rank answers for its shard, the answers are added, and
// all take in the same sums. shard_row_solver.h decides what to ask; a backend's shard answers.
#pragma once

#include "definition/batch.h"
#include "definition/draw.h"
#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/kept_rule.h"
#include "definition/row_sample.h"
#include "definition/shard_search.h"
#include "definition/status.h"
#include "fire/shards.h"

namespace fire::definition {

using fire::ShardAnswer;

// What a row asks. Bits: a round may answer several.
inline constexpr uint32_t kAskMasses = 1;     // what the rule keeps of each shard: how many, and their mass
inline constexpr uint32_t kAskDigits = 2;     // the same of the search's range, by the next digit of the entry
inline constexpr uint32_t kAskReference = 4;  // the row's mass at the reference temperature
inline constexpr uint32_t kAskRank = 8;       // how many keys are at least the token's
inline constexpr uint32_t kAskToken = 16;     // the token that is drawn, or asked for, with its weight

// What the caller wants to know of a row.
inline constexpr uint32_t kWantsDraw = kShardWantsDraw;
inline constexpr uint32_t kWantsReference = kShardWantsReference;
inline constexpr uint32_t kWantsLogProb = kShardWantsLogProb;  // of a token of the caller's
inline constexpr uint32_t kWantsHeat = kShardWantsHeat;        // what heat_logits_ leaves

// An answer is so many pairs of integers. All but those of a search lie in the first slots.
inline constexpr uint32_t kReferenceSlot = 0;  // (how many for the rank, the mass at the reference temperature)
inline constexpr uint32_t kTokenSlot = 1;      // (entry, weight)
inline constexpr uint32_t kFirstSlot = 2;      // (count, mass) of each rank, or of each digit

// Slots that the answer to these questions takes.
FIRE_RULE uint32_t SlotsFor(uint32_t questions, uint32_t ranks) {
  return kFirstSlot + ((questions & kAskDigits) != 0 ? kDigits : (questions & kAskMasses) != 0 ? ranks : 0);
}

// Plain data, the same on every rank between two rounds.
struct ShardRow {
  uint32_t questions;  // first: the host looks at it
  uint32_t wants;
  uint32_t known;  // questions that need not be asked any more
  uint32_t stage;  // of ShardRowSolver
  int32_t status;
  uint32_t vocabulary;  // of all shards
  uint32_t ranks;
  uint32_t key_bits;  // KeyBitsOf() the type
  float maximum;      // of the whole row
  uint32_t unused;    // keeps what follows aligned
  Record record;
  int64_t step;
  KeptRule rule;        // what is kept, as far as it is known
  uint64_t top_k_last;  // joint: where top-k ends
  uint64_t counted;     // the mass that top-p counts
  ShardSearch search;
  uint64_t mass;    // of the kept set
  uint64_t kept;    // its size
  uint64_t point;   // where the draw falls: within the owner's mass, once that is known
  uint64_t owner;   // the rank whose token is drawn
  int64_t token;    // the one drawn, or the one that a decided row has
  int64_t asked;    // the caller's, where its log-probability is wanted
  uint64_t entry;   // of the token, or of the one that is asked for: 0 where no shard has it
  uint64_t weight;  // likewise
  uint64_t reference_mass;
  uint64_t rank;
};

static_assert(sizeof(ShardRow) == sizeof(ShardState) && alignof(ShardRow) == alignof(ShardState));

// A row that was handed back may hold any bits: those that would lead out of an answer come into range.
FIRE_RULE void BringIntoRange(ShardRow* row) {
  if (row->ranks < 1 || row->ranks > kMaxShardRanks) row->ranks = 1;
  if (row->search.shift < 0 || row->search.shift > kFirstDigit) row->search.shift = 0;
}

// Which of the `rows` rows takes part as the i-th of a round.
FIRE_RULE int64_t RowAt(const ShardRound& round, int64_t i, int64_t rows) {
  return round.rows == nullptr ? i : ClampSlot(round.rows[i], rows).index;
}

FIRE_RULE Phase PhaseOf(const ShardRow& row) { return PhaseOf(row.record, row.step, row.vocabulary); }

FIRE_RULE bool IsDecided(const ShardRow& row) { return (row.status & kStatusDecided) != 0; }

FIRE_RULE bool HasFiniteMaximum(const ShardRow& row) {
  return (FloatBits(row.maximum) & kInfinityBits) != kInfinityBits;
}

// Whether heat_logits_ leaves the row to the engine's own filters.
FIRE_RULE bool IsHandedOver(const ShardRow& row) {
  return (row.wants & kWantsHeat) != 0 && HasFiniteMaximum(row) && IsHot(row.record, row.step) &&
         HandsOver(row.record, row.vocabulary);
}

// Of a row whose largest logit is finite. A greedy one weighs nothing, but its state has the same bits everywhere.
FIRE_RULE WeightScale ScaleOf(const ShardRow& row) {
  const Phase phase = PhaseOf(row);
  return MakeWeightScale(row.maximum, phase.heat == Heat::kGreedy ? 1.0f : phase.temperature, row.vocabulary);
}

FIRE_RULE WeightScale ReferenceScaleOf(const ShardRow& row) {
  return MakeWeightScale(row.maximum, ReferenceTemperature(row.record), row.vocabulary);
}

// ln of the probability of the drawn token, or of the one asked for.
FIRE_RULE float LogProbOf(const ShardRow& row) {
  const bool asks = (row.wants & kWantsLogProb) != 0;
  if (IsDecided(row)) return !asks || row.asked == row.token ? 0.0f : BitsToFloat(kNegativeInfinityBits);
  if (!asks) return LogRatio(row.weight, row.mass);
  if (!Keeps(row.rule, row.entry, row.weight)) return BitsToFloat(kNegativeInfinityBits);
  return LogSoftmax(KeyToFloat(KeyOf(row.entry)), row.maximum, PhaseOf(row).temperature,
                    WeightOfMaximum(row.vocabulary), row.mass);
}

// ln softmax of the drawn token, or of the one asked for, at the reference temperature.
FIRE_RULE float RefLogProbOf(const ShardRow& row) {
  if (!HasFiniteMaximum(row)) return 0.0f;
  const uint32_t key = KeyOf(row.entry);
  return LogSoftmax(KeyToFloat(key > kMaskedKey ? key : kMaskedKey), row.maximum, ReferenceTemperature(row.record),
                    WeightOfMaximum(row.vocabulary), row.reference_mass);
}

// What is told of a row. One that still asks has a token of the vocabulary, the first of the order until its own is
// known, and kStatusUnsettled.
FIRE_RULE RowSample SampleOf(const ShardRow& row, bool reference) {
  const bool asks = row.questions != 0;
  RowSample out;
  out.token = row.token;
  out.logprob = asks ? kNoRefLogprob : LogProbOf(row);
  out.ref_logprob = asks || !reference ? kNoRefLogprob : RefLogProbOf(row);
  out.rank = asks || !reference ? kNoRank : static_cast<int32_t>(row.rank);
  out.kept = static_cast<int32_t>(row.kept);
  out.status = row.status | (asks ? kStatusUnsettled : 0);
  return out;
}

// A rule over the row as one over a shard of `size` tokens from `first_id` on, which have ids of their own from 0.
FIRE_RULE KeptRule RuleOfShard(const KeptRule& rule, uint32_t first_id, uint32_t size) {
  const uint32_t key = KeyOf(rule.last), id = IdOf(rule.last);
  if (id < first_id) return {LastOfKey(key) + (uint64_t{1} << 32), rule.min_weight};  // its key's tokens come later
  if (id - first_id >= size) return {LastOfKey(key), rule.min_weight};
  return {Entry(key, id - first_id), rule.min_weight};
}

}  // namespace fire::definition
