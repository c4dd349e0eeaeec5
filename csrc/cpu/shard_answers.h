// What a shard answers to the questions of a row: one read of its logits for each, no matter how many tokens.
#pragma once

#include "cpu/sample.h"
#include "cpu/shard_table.h"

namespace fire::cpu::FIRE_ISA {

using definition::ShardRow;
using definition::ShardSearch;

// How many tokens of a strip a rule keeps, and their mass.
template <typename T>
ShardAnswer MeasureStrip(const Row<T>& row, uint32_t strip, const RuleMasks& masks) {
  Counts counts;
  Mass mass;
  row.ForGroups(strip, [&](uint32_t id, Floats x) {
    const Mask by_logit = masks.ByLogit(id, x);
    if (Bits(by_logit) == 0) return;
    const Weights weights = WeightsOf(x, masks.scale);
    const Mask kept = masks.min_weight == 0 ? by_logit : And(by_logit, WeightAtLeast(weights, masks.min_weight));
    Count(counts, kept);
    Add(mass, KeepLanes(weights, kept));
  });
  return {Total(counts), Total(mass)};
}

inline bool KeepsAll(const KeptRule& rule) { return rule.min_weight == 0 && ThresholdOf(rule) <= kLowestFinite; }

// The same of the row, whose maximum is finite.
template <typename T>
ShardAnswer MeasureKept(const Row<T>& row, const KeptRule& rule, const VectorScale& scale) {
  ShardAnswer out = {0, 0};
  if (KeepsAll(rule)) {
    out.count = RankAndMass(row, kLowestFinite, scale, &out.mass);
    return out;
  }
  const RuleMasks masks(rule, scale);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    const ShardAnswer of_strip = MeasureStrip(row, strip, masks);
    out.count += of_strip.count;
    out.mass += of_strip.mass;
  }
  return out;
}

// The entry, with the shard's own id, and the weight of the kept token whose share covers `point`; zeros where all of
// them weigh less. Reads no further.
template <typename T>
ShardAnswer TokenAtPoint(const Row<T>& row, const KeptRule& rule, const VectorScale& scale, uint64_t point) {
  const RuleMasks masks(rule, scale);
  const bool keeps_all = KeepsAll(rule);
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    const uint64_t mass = keeps_all ? MassOfStrip(row, strip, scale) : MeasureStrip(row, strip, masks).mass;
    if (point < mass) {
      const Drawn drawn = DrawFromStrip(point, row, strip, masks);
      return {definition::Entry(Key(ValueAt(row.logits, drawn.token)), drawn.token), drawn.weight};
    }
    point -= mass;
  }
  return {0, 0};
}

// How many logits are at least `value`.
template <typename T>
uint64_t CountFrom(const Row<T>& row, float value) {
  const Floats least = Broadcast(value);
  Counts counts;
  for (uint32_t strip = 0; strip < row.strips; ++strip)
    row.ForGroups(strip, [&](uint32_t, Floats x) { Count(counts, AtLeast(x, least)); });
  return Total(counts);
}

inline constexpr uint32_t kAllLanes = (1u << kLanes) - 1;

// Several, so that neighbours with one digit do not wait for each other.
struct DigitHistograms {
  static constexpr uint32_t kCount = 4;

  void Add(uint32_t lane, uint32_t digit, uint64_t weight) {
    ShardAnswer& answer = digits[lane % kCount][digit];
    ++answer.count;
    answer.mass += weight;
  }

  ShardAnswer digits[kCount][definition::kDigits] = {};
};

// A search at a digit of the key. Keys in range follow each other, and so do their logits.
template <typename T>
void AnswerKeyDigits(const Row<T>& row, const ShardSearch& search, uint64_t min_weight, const VectorScale& scale,
                     ShardAnswer* out) {
  const uint64_t digits = (uint64_t{1} << search.shift << definition::DigitBits(search.shift)) - 1;  // from this one on
  uint32_t first = definition::KeyOf(search.prefix & ~digits), last = definition::KeyOf(search.prefix | digits);
  if (first <= definition::kMaskedKey) first = definition::kMaskedKey + 1;
  if (last > definition::kInfinityKey) last = definition::kInfinityKey;
  if (last == Key(0.0f) - 1) --last;  // no token has the key of −0, which compares as +0
  if (first > last) return;
  const Floats least = Broadcast(KeyToFloat(first)), most = Broadcast(KeyToFloat(last));
  // Inside are neither NaN nor, once 0 is added, −0.
  const Floats zero = Broadcast(0.0f);
  const int shift = search.shift - 32;
  const auto digit_of = [shift](float logit) {
    return definition::KeyOfBits(definition::FloatBits(logit)) >> shift & (definition::kDigits - 1);
  };
  DigitHistograms histograms;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    row.ForGroups(strip, [&](uint32_t, Floats x) {
      const Mask inside = And(AtLeast(x, least), AtLeast(most, x));
      uint32_t bits = Bits(inside);
      if (bits == 0) return;
      const Weights weights = WeightsOf(x, scale);
      if (min_weight != 0) bits &= Bits(WeightAtLeast(weights, min_weight));
      alignas(64) uint64_t weight[kLanes];
      alignas(64) float logit[kLanes];
      StoreWeights(weight, weights);
      Store(logit, Add(x, zero));
      if (bits == kAllLanes) {
        for (uint32_t lane = 0; lane < kLanes; ++lane) histograms.Add(lane, digit_of(logit[lane]), weight[lane]);
      } else {
        for (; bits != 0; bits &= bits - 1) {
          const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
          histograms.Add(lane, digit_of(logit[lane]), weight[lane]);
        }
      }
    });
  }
  for (const auto& histogram : histograms.digits) {
    for (uint32_t digit = 0; digit < definition::kDigits; ++digit) {
      out[digit].count += histogram[digit].count;
      out[digit].mass += histogram[digit].mass;
    }
  }
}

// How many logits of [begin, end) equal `value`.
template <typename T>
uint32_t CountEqual(const Row<T>& row, uint32_t begin, uint32_t end, float value) {
  const Floats wanted = Broadcast(value);
  uint32_t count = 0;
  for (uint32_t i = begin; i < end; i += kLanes) {
    uint32_t bits = Bits(Equals(row.Group(i), wanted));
    if (end - i < kLanes) bits &= (1u << (end - i)) - 1;
    count += static_cast<uint32_t>(__builtin_popcount(bits));
  }
  return count;
}

// A search at a digit of the id: all tokens in range have one logit, and those of a digit have ids that follow each
// other.
template <typename T>
void AnswerIdDigits(const Row<T>& row, const ShardSearch& search, uint64_t min_weight, const WeightScale& scale,
                    uint32_t first_id, ShardAnswer* out) {
  const uint32_t key = definition::KeyOf(search.prefix);
  if (key <= definition::kMaskedKey || key > definition::kInfinityKey) return;
  const float logit = KeyToFloat(key);
  const uint64_t weight = definition::Weight(logit, scale);
  if (weight < min_weight) return;
  const uint64_t digits = (uint64_t{1} << search.shift << definition::DigitBits(search.shift)) - 1;
  const uint64_t first = definition::IdOf(search.prefix | digits), shard_end = uint64_t{first_id} + row.size;
  const uint64_t end = first + digits + 1 < shard_end ? first + digits + 1 : shard_end;
  for (uint64_t id = first > first_id ? first : first_id; id < end;) {
    const uint64_t next = (id >> search.shift << search.shift) + (uint64_t{1} << search.shift);
    const uint64_t behind = next < end ? next : end;
    const uint32_t count =
        CountEqual(row, static_cast<uint32_t>(id - first_id), static_cast<uint32_t>(behind - first_id), logit);
    ShardAnswer& answer = out[definition::DigitOf(search, definition::Entry(key, static_cast<uint32_t>(id)))];
    answer.count += count;
    answer.mass += count * weight;
    id = behind;
  }
}

template <typename T>
ShardAnswer AnswerReference(const Row<T>& row, const ShardRow& shared) {
  ShardAnswer out = {0, 0};
  const uint32_t key = definition::KeyOf(shared.entry);
  const bool asks_rank = (shared.questions & definition::kAskRank) != 0;
  const bool asks_mass = (shared.questions & definition::kAskReference) != 0 && HasFiniteMaximum(shared);
  if (asks_mass) {
    const VectorScale scale(ReferenceScaleOf(shared));
    out.count = RankAndMass(row, KeyToFloat(key), scale, &out.mass);
  } else if (asks_rank) {
    out.count = CountFrom(row, KeyToFloat(key));
  }
  if (!asks_rank) out.count = 0;
  if (asks_rank && key <= definition::kMaskedKey) out.count = row.size;
  return out;
}

// Of the drawn token its owner tells, of the caller's the rank that has it.
template <typename T>
ShardAnswer AnswerToken(const Row<T>& row, const ShardRow& shared, uint32_t rank, uint32_t first_id) {
  const bool is_finite = HasFiniteMaximum(shared);
  if ((shared.wants & definition::kWantsLogProb) != 0) {
    if (shared.asked < first_id || shared.asked >= int64_t{first_id} + row.size) return {0, 0};
    const uint32_t id = static_cast<uint32_t>(shared.asked);
    const float logit = ValueAt(row.logits, id - first_id);
    return {definition::Entry(Key(logit), id), is_finite ? definition::Weight(logit, ScaleOf(shared)) : 0};
  }
  if (rank != shared.owner || !is_finite) return {0, 0};
  const KeptRule rule = definition::RuleOfShard(shared.rule, first_id, row.size);
  ShardAnswer out = TokenAtPoint(row, rule, VectorScale(ScaleOf(shared)), shared.point);
  if (out.count != 0) out.count -= first_id;  // an entry has its id's complement
  return out;
}

template <typename T>
void ShardAnswers(const ShardTask& task, const ShardRow& shared, uint32_t rank, uint32_t slots, ShardAnswer* out) {
  const Row<T> row(static_cast<const T*>(task.logits), task.size);
  memset(out, 0, slots * sizeof *out);
  const uint32_t questions = shared.questions;
  if ((questions & (definition::kAskReference | definition::kAskRank)) != 0)
    out[definition::kReferenceSlot] = AnswerReference(row, shared);
  if ((questions & definition::kAskToken) != 0)
    out[definition::kTokenSlot] = AnswerToken(row, shared, rank, task.first_id);
  if (!HasFiniteMaximum(shared)) return;
  ShardAnswer* const first = out + definition::kFirstSlot;
  const WeightScale scale = ScaleOf(shared);
  if ((questions & definition::kAskMasses) != 0) {
    const KeptRule rule = definition::RuleOfShard(shared.rule, task.first_id, task.size);
    first[rank] = MeasureKept(row, rule, VectorScale(scale));
  }
  if ((questions & definition::kAskDigits) == 0) return;
  if (shared.search.shift >= 32) {
    AnswerKeyDigits(row, shared.search, shared.rule.min_weight, VectorScale(scale), first);
  } else {
    AnswerIdDigits(row, shared.search, shared.rule.min_weight, scale, task.first_id, first);
  }
}

}  // namespace fire::cpu::FIRE_ISA
