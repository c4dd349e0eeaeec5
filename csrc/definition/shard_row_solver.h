// From the first entries of a sharded row, and the sums that the ranks answer with, to its kept set and its token.
//
// The filters of docs/semantics.md, one stage after another. Each looks into the list of first entries, and where that
// does not settle it, leaves a question; Take() brings the answer and goes on.
//
// A Team (shard_list.h) is the threads that solve the row together.
#pragma once

#include "definition/design.h"
#include "definition/draw.h"
#include "definition/shard_list.h"

namespace fire::definition {

template <typename Team>
class ShardRowSolver {
 public:
  FIRE_MEMBER ShardRowSolver(const Team& team, const ShardList& list, ShardRow* row)
      : team_(team), listed_(team, list, row->vocabulary), row_(*row) {}

  // A row before its first question. Set must be its wants, vocabulary, ranks, key_bits, record, step and, where its
  // log-probability is wanted, the token asked for; all else is 0.
  FIRE_MEMBER void Begin(bool has_nan, bool slot_out_of_range) {
    const uint64_t first = listed_.count() == 0 ? Entry(kMaskedKey, 0) : listed_.entry(0);
    row_.maximum = KeyToFloat(KeyOf(first));
    Prepare();
    const bool decided =
        !HasFiniteMaximum(row_) || phase_.heat == Heat::kGreedy || min_weight_ > WeightOfMaximum(row_.vocabulary);
    row_.status = StatusOf(phase_, row_.maximum, has_nan, decided) | (slot_out_of_range ? kStatusSlotOutOfRange : 0);
    row_.rule = {KeepAll().last, phase_.order == Order::kVllm ? min_weight_ : 0};
    row_.kept = 1;
    row_.token = IdOf(first);  // of a row that is told before it is settled
    listed_.Weigh(row_);
    LookUp();
    if (decided) Decide(first);
    row_.stage = decided ? kToken : kTopK;
    if (Wants(kWantsHeat) && !phase_.hot) row_.stage = kDone;
    Advance();
  }

  // `answers`: those of all ranks to the row's questions, added up.
  FIRE_MEMBER void Take(const ShardAnswer* answers) {
    BringIntoRange(&row_);
    Prepare();
    const uint32_t questions = row_.questions;
    row_.questions = 0;
    row_.known |= questions & (kAskReference | kAskRank | kAskToken);
    if ((questions & kAskReference) != 0) row_.reference_mass = answers[kReferenceSlot].mass;
    if ((questions & kAskRank) != 0) row_.rank = answers[kReferenceSlot].count;
    if ((questions & kAskToken) != 0) TakeToken(answers[kTokenSlot]);
    if ((questions & kAskMasses) != 0) TakeMasses(answers + kFirstSlot);
    if ((questions & kAskDigits) != 0) TakeDigits(answers + kFirstSlot);
    if (row_.questions == 0) Advance();
  }

 private:
  enum Stage : uint32_t { kTopK, kCountedMass, kTopP, kMinP, kMass, kPlace, kToken, kReference, kDone };

  FIRE_MEMBER bool Wants(uint32_t what) const { return (row_.wants & what) != 0; }
  FIRE_MEMBER bool IsKnown(uint32_t question) const { return (row_.known & question) != 0; }
  FIRE_MEMBER bool IsListed() const { return listed_.HoldAll(row_.rule); }

  FIRE_MEMBER void Prepare() {
    phase_ = PhaseOf(row_);
    if (IsHandedOver(row_)) phase_ = HandOverPhase(phase_);
    min_weight_ = MinPThreshold(phase_.min_p, WeightOfMaximum(row_.vocabulary));
  }

  // What the list tells at once: the caller's token, and a whole row's mass.
  FIRE_MEMBER void LookUp() {
    if (Wants(kWantsLogProb)) {
      listed_.Find(row_.asked, &row_.entry, &row_.weight);
      if (row_.entry != 0 || listed_.is_whole()) row_.known |= kAskToken;
    }
    if (!HasFiniteMaximum(row_)) {
      row_.known |= kAskReference;  // ref_logprob is 0
    } else if (listed_.is_whole()) {
      row_.reference_mass = listed_.MassOf(ReferenceScaleOf(row_));
      row_.known |= kAskReference;
    }
  }

  // Whether what the rule keeps is the row, at the reference temperature.
  FIRE_MEMBER bool MassIsReference() const {
    return FloatBits(ReferenceTemperature(row_.record)) == FloatBits(phase_.temperature) &&
           row_.rule.last == KeepAll().last && row_.rule.min_weight == 0;
  }

  // Leaves questions, and with them all that will be asked anyway.
  FIRE_MEMBER bool Ask(uint32_t questions) {
    if (Wants(kWantsReference) && ((questions & kAskMasses) == 0 || !MassIsReference())) questions |= kAskReference;
    if (Wants(kWantsLogProb)) questions |= kAskToken;
    row_.questions = questions & ~row_.known;
    return false;
  }

  FIRE_MEMBER void Advance() {
    while (row_.stage < kDone && Settles()) ++row_.stage;
  }

  // Whether the stage is settled; else it has asked.
  FIRE_MEMBER bool Settles() {
    switch (row_.stage) {
      case kTopK:
        return CutsToTopK();
      case kCountedMass:
        return CountsMass();
      case kTopP:
        return CutsToNucleus();
      case kMinP:
        return CutsByMinP();
      case kMass:
        return WeighsKept();
      case kPlace:
        return TakesPlace();
      case kToken:
        return FindsToken();
      default:
        return FindsReference();
    }
  }

  FIRE_MEMBER bool CutsToTopK() {
    if (phase_.top_k >= row_.vocabulary) return true;
    const bool keeps_ties = phase_.ties != Ties::kExact;
    const uint32_t i = listed_.FirstReachingCount(row_.rule, phase_.top_k);
    if (i == listed_.count()) return IsListed() || Search({.target = phase_.top_k, .keeps_ties = keeps_ties});
    EndTopK(LastWith(listed_.entry(i), keeps_ties));
    return true;
  }

  FIRE_MEMBER void EndTopK(uint64_t last) {
    if (phase_.order == Order::kJoint) {
      row_.top_k_last = last;  // top-p counts the whole row
    } else {
      row_.rule.last = last;
    }
  }

  FIRE_MEMBER bool CountsMass() {
    if (!TopPIsOn(phase_.top_p)) return true;
    if (!IsListed()) return Ask(kAskMasses);
    row_.counted = listed_.MassKept(row_.rule);
    return true;
  }

  FIRE_MEMBER bool CutsToNucleus() {
    if (!TopPIsOn(phase_.top_p)) return true;
    const bool keeps_ties = phase_.ties == Ties::kKeep;
    const uint64_t target = TopPTarget(phase_.top_p, row_.counted);
    const uint32_t i = listed_.FirstReachingMass(row_.rule, target);
    if (i < listed_.count()) {
      EndTopP(LastWith(listed_.entry(i), keeps_ties));
      return true;
    }
    const auto is_beyond_top_k = [&] { return row_.top_k_last != 0 && listed_.LastEntry() <= row_.top_k_last; };
    return IsListed() || is_beyond_top_k() || Search({.target = target, .by_mass = true, .keeps_ties = keeps_ties});
  }

  FIRE_MEMBER void EndTopP(uint64_t last) {
    if (last > row_.rule.last) row_.rule.last = last;
  }

  FIRE_MEMBER bool CutsByMinP() {
    if (row_.top_k_last > row_.rule.last) row_.rule.last = row_.top_k_last;
    row_.rule.min_weight = min_weight_;
    if (IsHandedOver(row_)) row_.stage = kDone - 1;  // the engine weighs
    return true;
  }

  FIRE_MEMBER bool WeighsKept() {
    if (!IsListed()) return Ask(kAskMasses);
    row_.mass = listed_.MassKept(row_.rule);
    row_.kept = listed_.CountKept(row_.rule);
    return true;
  }

  FIRE_MEMBER bool TakesPlace() {
    if (!IsEnumerated(row_.record, row_.step)) return true;
    const uint32_t kept = static_cast<uint32_t>(row_.kept);
    const uint64_t target = uint64_t{PlaceOf(row_.record, kept == 0 ? 1 : kept)} + 1;  // 0: of answers that are none
    const uint32_t i = listed_.FirstReachingCount(row_.rule, target);
    if (i == listed_.count()) return Search({.target = target, .finds_token = true});
    Decide(listed_.entry(i));
    return true;
  }

  FIRE_MEMBER void Decide(uint64_t entry) {
    row_.status |= kStatusDecided;
    row_.token = IdOf(entry);
    if (!Wants(kWantsLogProb)) row_.entry = entry;
  }

  FIRE_MEMBER bool FindsToken() {
    // The log-probability of a decided row's token is told without its logit; its rank is not.
    if (IsDecided(row_) && !(Wants(kWantsLogProb) && Wants(kWantsReference))) return true;
    if (Wants(kWantsLogProb)) return IsKnown(kAskToken) || Ask(kAskToken);
    if (!Wants(kWantsDraw | kWantsHeat) || IsKnown(kAskToken)) return true;
    if (!IsListed()) return Ask(kAskToken);
    const uint64_t point = DrawPoint(DrawBits(row_.record, row_.step), row_.mass);
    const uint32_t id = listed_.TokenAt(row_.rule, point);
    row_.token = id;
    listed_.Find(id, &row_.entry, &row_.weight);
    return true;
  }

  FIRE_MEMBER bool FindsReference() {
    if (!Wants(kWantsReference)) return true;
    const uint32_t key = KeyOf(row_.entry);
    if (key <= kMaskedKey) {
      row_.rank = row_.vocabulary;  // masked, or in no list, of which this one is whole: all reach it
    } else if (HasFiniteMaximum(row_) && (listed_.is_whole() || KeyOf(listed_.LastEntry()) < key)) {
      row_.rank = listed_.CountAtLeast(key);
    } else {
      Ask(kAskRank);
    }
    if (!IsKnown(kAskReference)) Ask(row_.questions);
    return row_.questions == 0;
  }

  // ---- a search, and the answers ----

  FIRE_MEMBER static uint64_t LastWith(uint64_t entry, bool keeps_ties) {
    return keeps_ties ? LastOfKey(KeyOf(entry)) : entry;
  }

  FIRE_MEMBER bool Search(ShardSearch search) {
    search.shift = kFirstDigit;
    row_.search = search;
    return Ask(kAskDigits);
  }

  FIRE_MEMBER void TakeDigits(const ShardAnswer* answers) {
    ShardSearch& search = row_.search;
    const uint32_t digits = 1u << DigitBits(search.shift);
    const auto answer_at = [&](uint32_t i) {
      const ShardAnswer& answer = answers[digits - 1 - i];
      return search.by_mass ? answer.mass : answer.count;
    };
    uint64_t before;
    const uint32_t i = team_.FirstReaching(digits, search.target - search.above, answer_at, &before);
    if (i == digits) {
      ++row_.stage;  // the row has fewer tokens than top-k: nothing is cut
      return;
    }
    const uint32_t digit = digits - 1 - i;
    search.above += before;
    search.prefix |= uint64_t{digit} << search.shift;
    const uint64_t count = answers[digit].count;
    const bool is_told = search.by_mass ? count == 1 : search.above + count == search.target;
    if ((is_told && !search.finds_token) || !NextDigit(&search, row_.key_bits)) return EndSearch(search.prefix);
    Ask(kAskDigits);
  }

  FIRE_MEMBER void EndSearch(uint64_t last) {
    if (row_.stage == kTopK) EndTopK(last);
    if (row_.stage == kTopP) EndTopP(last);
    if (row_.stage == kPlace) Decide(last);
    ++row_.stage;
  }

  FIRE_MEMBER void TakeMasses(const ShardAnswer* answers) {
    const auto mass_at = [&](uint32_t i) { return answers[i].mass; };
    const uint64_t mass = team_.Sum(row_.ranks, mass_at);
    if (MassIsReference()) {
      row_.reference_mass = mass;
      row_.known |= kAskReference;
    }
    if (row_.stage == kCountedMass) {
      row_.counted = mass;
    } else {
      row_.mass = mass;
      row_.kept = team_.Sum(row_.ranks, [&](uint32_t i) { return answers[i].count; });
      const uint64_t point = DrawPoint(DrawBits(row_.record, row_.step), mass);
      uint64_t before;
      row_.owner = team_.FirstReaching(row_.ranks, point + 1, mass_at, &before);
      row_.point = point - before;
    }
    ++row_.stage;
  }

  FIRE_MEMBER void TakeToken(const ShardAnswer& answer) {
    row_.entry = answer.count;
    row_.weight = answer.mass;
    if (!Wants(kWantsLogProb)) row_.token = IdOf(row_.entry);
  }

  Team team_;
  ListedTokens<Team> listed_;
  ShardRow& row_;
  Phase phase_ = {};
  uint64_t min_weight_ = 0;
};

}  // namespace fire::definition
