// The first entries of a sharded row, with their weights: what they alone tell of it.
//
// A Team is the threads that solve a row: one on a host, a warp on a device. All of them hold the same row and take the
// same way. It has
//   Sum(count, at)                             at(0) + … + at(count − 1)
//   FirstReaching(count, target, at, &before)  the first index up to which at() adds up to `target`, else `count`;
//                                              `before`: the sum before it
//   ForEach(count, visit)                      visit(0) … visit(count − 1); what it writes, all threads then read
#pragma once

#include "definition/shard.h"

namespace fire::definition {

// The first entries of a row in their order, 0 behind them where it has fewer tokens above −inf. Of a row with +inf,
// those behind the first may be missing.
struct ShardList {
  const uint64_t* entry;
  uint64_t* weight;  // of the same tokens; ShardRowSolver::Begin() writes them
  uint32_t size;
};

template <typename Team>
class ListedTokens {
 public:
  FIRE_MEMBER ListedTokens(const Team& team, const ShardList& list, uint32_t vocabulary)
      : team_(team),
        list_(list),
        count_(static_cast<uint32_t>(team.Sum(list.size, [&](uint32_t i) -> uint64_t { return list.entry[i] != 0; }))),
        is_whole_(count_ < list.size || list.size >= vocabulary) {}

  FIRE_MEMBER uint32_t count() const { return count_; }
  FIRE_MEMBER bool is_whole() const { return is_whole_; }  // no other token of the row is above −inf
  FIRE_MEMBER uint64_t entry(uint32_t i) const { return list_.entry[i]; }
  FIRE_MEMBER uint64_t LastEntry() const { return list_.entry[count_ - 1]; }

  FIRE_MEMBER void Weigh(const ShardRow& row) const {
    const bool finite = HasFiniteMaximum(row);
    const WeightScale scale = finite ? ScaleOf(row) : WeightScale{};
    team_.ForEach(list_.size, [&](uint32_t i) {
      const uint64_t entry = list_.entry[i];
      list_.weight[i] = finite && entry != 0 ? Weight(KeyToFloat(KeyOf(entry)), scale) : 0;
    });
  }

  // Whether all that the rule keeps is listed. A logit that is smaller than the last listed one may weigh more by 2^-23
  // of it, or by 1 (docs/semantics.md, "Weights").
  FIRE_MEMBER bool HoldAll(const KeptRule& rule) const {
    if (is_whole_ || LastEntry() <= rule.last) return true;
    const uint64_t weight = list_.weight[count_ - 1];
    return weight + (weight >> 22) + 1 < rule.min_weight;
  }

  FIRE_MEMBER uint64_t CountKept(const KeptRule& rule) const {
    return team_.Sum(count_, [&](uint32_t i) -> uint64_t { return IsKept(rule, i); });
  }
  FIRE_MEMBER uint64_t MassKept(const KeptRule& rule) const {
    return team_.Sum(count_, [&](uint32_t i) { return KeptWeight(rule, i); });
  }

  // The first place up to which the rule keeps so many tokens, or so much mass; else count().
  FIRE_MEMBER uint32_t FirstReachingCount(const KeptRule& rule, uint64_t target) const {
    uint64_t before;
    return team_.FirstReaching(
        count_, target, [&](uint32_t i) -> uint64_t { return IsKept(rule, i); }, &before);
  }
  FIRE_MEMBER uint32_t FirstReachingMass(const KeptRule& rule, uint64_t target) const {
    uint64_t before;
    return team_.FirstReaching(
        count_, target, [&](uint32_t i) { return KeptWeight(rule, i); }, &before);
  }

  // The entry and weight of a token; 0 where it is not listed.
  FIRE_MEMBER void Find(int64_t id, uint64_t* entry, uint64_t* weight) const {
    const auto is_asked = [&](uint32_t i) { return static_cast<int64_t>(IdOf(list_.entry[i])) == id; };
    *entry = team_.Sum(count_, [&](uint32_t i) { return is_asked(i) ? list_.entry[i] : 0; });
    *weight = team_.Sum(count_, [&](uint32_t i) { return is_asked(i) ? list_.weight[i] : 0; });
  }

  // The lowest id up to which the tokens kept weigh more than the point, from its highest bit down.
  FIRE_MEMBER uint32_t TokenAt(const KeptRule& rule, uint64_t point) const {
    uint32_t id = 0;
    for (uint32_t bit = 1u << (kIdBits - 1); bit != 0; bit >>= 1) {
      const uint32_t middle = id | bit;
      const uint64_t mass =
          team_.Sum(count_, [&](uint32_t i) { return IdOf(list_.entry[i]) < middle ? KeptWeight(rule, i) : 0; });
      if (mass <= point) id = middle;
    }
    return id;
  }

  FIRE_MEMBER uint64_t CountAtLeast(uint32_t key) const {
    return team_.Sum(count_, [&](uint32_t i) -> uint64_t { return KeyOf(list_.entry[i]) >= key; });
  }

  FIRE_MEMBER uint64_t MassOf(const WeightScale& scale) const {
    return team_.Sum(count_, [&](uint32_t i) { return Weight(KeyToFloat(KeyOf(list_.entry[i])), scale); });
  }

 private:
  FIRE_MEMBER bool IsKept(const KeptRule& rule, uint32_t i) const {
    return Keeps(rule, list_.entry[i], list_.weight[i]);
  }
  FIRE_MEMBER uint64_t KeptWeight(const KeptRule& rule, uint32_t i) const {
    return IsKept(rule, i) ? list_.weight[i] : 0;
  }

  Team team_;
  ShardList list_;
  uint32_t count_;
  bool is_whole_;
};

}  // namespace fire::definition
