// One row, scalar and obvious: docs/semantics.md written as code, with a full sort. Every backend must return
// these bits; every test compares with them. Host only, and slow on purpose.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "definition/code.h"
#include "definition/design.h"
#include "definition/draw.h"
#include "definition/filter.h"
#include "definition/heat.h"
#include "definition/philox.h"
#include "definition/row_sample.h"
#include "definition/status.h"
#include "definition/weight.h"

namespace fire::definition {

struct ReferenceSample : RowSample {
  uint64_t mass = 0;               // M, the mass of the kept set
  std::vector<uint32_t> kept_ids;  // ascending
};

class ReferenceRow {
 public:
  // `logits`: the row as float32, `vocabulary` ≥ 1 of them. `record` and `step` are that row's.
  ReferenceRow(const float* logits, uint32_t vocabulary, const Record& record, int64_t step)
      : ReferenceRow(logits, vocabulary, record, step, PhaseOf(record, step, vocabulary)) {}

  // A row that `phase` rules, whatever the record says.
  ReferenceRow(const float* logits, uint32_t vocabulary, const Record& record, int64_t step, const Phase& phase)
      : vocabulary_(vocabulary), record_(record), step_(step), phase_(phase) {
    bool has_nan = false;
    for (uint32_t id = 0; id < vocabulary; ++id) {
      has_nan |= IsNanBits(FloatBits(logits[id]));
      logits_.push_back(Sanitised(logits[id]));
      ids_.push_back(id);
    }
    std::sort(ids_.begin(), ids_.end(), [this](uint32_t a, uint32_t b) { return EntryAt(a) > EntryAt(b); });
    const uint32_t top_key = KeyAt(ids_[0]);
    finite_maximum_ = top_key != kMaskedKey && top_key != kInfinityKey;
    if (finite_maximum_ && phase_.heat != Heat::kGreedy) Filter();
    decided_ = mass_ == 0;
    if (decided_) kept_ = {ids_[0]};
    kept_count_ = kept_.size();
    if (!decided_ && IsEnumerated(record, step)) {
      kept_ = {kept_[PlaceOf(record, static_cast<uint32_t>(kept_count_))]};
      decided_ = true;
    }
    status_ = StatusOf(phase_, Maximum(), has_nan, decided_);
    std::sort(kept_.begin(), kept_.end());
  }

  ReferenceSample Sample() const {
    ReferenceSample out;
    out.token = Token();
    out.mass = mass_;
    out.kept = static_cast<int32_t>(kept_count_);
    out.kept_ids = kept_;
    out.status = status_;
    out.logprob = decided_ ? 0.0f : LogRatio(WeightAt(static_cast<uint32_t>(out.token)), mass_);
    const uint32_t token_key = KeyAt(static_cast<uint32_t>(out.token));
    for (uint32_t id = 0; id < vocabulary_; ++id) out.rank += KeyAt(id) >= token_key;
    if (finite_maximum_) {
      const float temperature = ReferenceTemperature(record_);
      const WeightScale scale = MakeWeightScale(Maximum(), temperature, vocabulary_);
      uint64_t mass = 0;
      for (float logit : logits_) mass += Weight(logit, scale);
      out.ref_logprob =
          LogSoftmax(logits_[static_cast<size_t>(out.token)], Maximum(), temperature, Weight(Maximum(), scale), mass);
    }
    return out;
  }

  struct Support {
    std::vector<int32_t> token;  // `width` of them, −1 behind the last
    std::vector<float> logprob;  // −inf there
    int32_t status;              // the row's, and kStatusSupportCut
  };

  // The tokens that Sample() draws from, as far as there are places for them.
  Support SupportOf(size_t width) const {
    std::vector<uint32_t> ids = kept_;
    if (ids.size() > width) {
      std::sort(ids.begin(), ids.end(), [this](uint32_t a, uint32_t b) { return EntryAt(a) > EntryAt(b); });
      const uint32_t drawn = static_cast<uint32_t>(Token());
      const bool holds_drawn = EntryAt(drawn) >= EntryAt(ids[width - 1]);
      ids.resize(width);
      if (!holds_drawn) ids.back() = drawn;
      std::sort(ids.begin(), ids.end());
    }
    Support out = {std::vector<int32_t>(width, kNoToken),
                   std::vector<float>(width, -std::numeric_limits<float>::infinity()),
                   status_ | (kept_.size() > width ? kStatusSupportCut : 0)};
    for (size_t i = 0; i < ids.size(); ++i) {
      out.token[i] = static_cast<int32_t>(ids[i]);
      if (decided_) {
        out.logprob[i] = 0.0f;
      } else if (WeightAt(ids[i]) > 0) {
        out.logprob[i] = LogRatio(WeightAt(ids[i]), mass_);
      }
    }
    return out;
  }

  struct Coded {
    int64_t token;
    uint64_t code;  // for the sequence's next step
  };

  // The draw with a carried code instead of the record's random bits.
  Coded SampleCoded(uint64_t code) const {
    if (decided_) return {kept_[0], code};
    const Share share = ShareAt(DrawPoint(code, mass_));
    const uint64_t next = NextCode(code, mass_, share.rest, WeightAt(share.token), FreshBits(record_, step_));
    return {share.token, next};
  }

  std::vector<float> ProcessedLogits() const {
    std::vector<float> out(vocabulary_, -std::numeric_limits<float>::infinity());
    for (uint32_t id : kept_) out[id] = decided_ ? 0.0f : ScaledLogit(logits_[id], phase_.temperature);
    return out;
  }

  // What `heat_logits_` leaves of the row, given the row as it came.
  std::vector<float> HeatedLogits(const float* logits) const {
    if (!phase_.hot) return std::vector<float>(logits, logits + vocabulary_);
    std::vector<float> out(vocabulary_, -std::numeric_limits<float>::infinity());
    if (status_ & kStatusNoFiniteLogit) return out;
    if (!HandsOver(record_, vocabulary_) || !finite_maximum_) {
      out[static_cast<size_t>(Token())] = 0.0f;
      return out;
    }
    const float ratio = Divide(record_.temperature, record_.hot_temperature);
    const ReferenceRow handed_over(logits, vocabulary_, record_, step_, HandOverPhase(phase_));
    for (uint32_t id : handed_over.kept_) out[id] = HeatedLogit(logits_[id], ratio);
    return out;
  }

  float LogProb(int64_t token) const {
    if (!std::binary_search(kept_.begin(), kept_.end(), token)) return -std::numeric_limits<float>::infinity();
    if (decided_) return 0.0f;
    return LogSoftmax(logits_[static_cast<size_t>(token)], Maximum(), phase_.temperature, Weight(Maximum(), scale_),
                      mass_);
  }

  std::vector<float> LogProbGradient(int64_t token, float grad) const {
    std::vector<float> out(vocabulary_, 0.0f);
    if (decided_ || !std::binary_search(kept_.begin(), kept_.end(), token)) return out;
    for (uint32_t id : kept_) out[id] = LogProbSlope(WeightAt(id), mass_, id == token, phase_.temperature) * grad;
    return out;
  }

 private:
  uint32_t KeyAt(uint32_t id) const { return Key(logits_[id]); }
  uint64_t EntryAt(uint32_t id) const { return Entry(KeyAt(id), id); }
  float Maximum() const { return logits_[ids_[0]]; }
  uint64_t WeightAt(uint32_t id) const { return Weight(logits_[id], scale_); }

  uint64_t MassOf(const std::vector<uint32_t>& ids) const {
    uint64_t mass = 0;
    for (uint32_t id : ids) mass += WeightAt(id);
    return mass;
  }

  // The first `count` of an ordered list, and with `keep_ties` every one that equals the last of them.
  std::vector<uint32_t> FirstOf(const std::vector<uint32_t>& ordered, size_t count, bool keep_ties) const {
    size_t end = std::min(count, ordered.size());
    while (keep_ties && end > 0 && end < ordered.size() && KeyAt(ordered[end]) == KeyAt(ordered[end - 1])) ++end;
    return {ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(end)};
  }

  // The shortest prefix whose mass reaches the target: at least one token.
  std::vector<uint32_t> Nucleus(const std::vector<uint32_t>& ordered) const {
    if (!TopPIsOn(phase_.top_p)) return ordered;
    const uint64_t target = TopPTarget(phase_.top_p, MassOf(ordered));
    uint64_t mass = 0;
    size_t count = 0;
    do mass += WeightAt(ordered[count++]);
    while (mass < target);
    return FirstOf(ordered, count, phase_.ties == Ties::kKeep);
  }

  std::vector<uint32_t> AtLeastMinP(const std::vector<uint32_t>& ids) const {
    const uint64_t threshold = MinPThreshold(phase_.min_p, Weight(Maximum(), scale_));
    std::vector<uint32_t> out;
    for (uint32_t id : ids)
      if (WeightAt(id) >= threshold) out.push_back(id);
    return out;
  }

  void Filter() {
    scale_ = MakeWeightScale(Maximum(), phase_.temperature, vocabulary_);
    const bool keep_top_k_ties = phase_.ties != Ties::kExact;
    std::vector<uint32_t> rest = ids_;
    if (phase_.order == Order::kVllm) rest = AtLeastMinP(rest);
    if (rest.empty()) return;
    const std::vector<uint32_t> top_k = FirstOf(rest, phase_.top_k, keep_top_k_ties);
    if (phase_.order == Order::kJoint) {
      const std::vector<uint32_t> nucleus = Nucleus(rest);
      kept_ = top_k.size() < nucleus.size() ? top_k : nucleus;  // both are prefixes of one order
    } else {
      kept_ = Nucleus(top_k);
    }
    kept_ = AtLeastMinP(kept_);
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), [this](uint32_t id) { return KeyAt(id) == kMaskedKey; }),
                kept_.end());
    mass_ = MassOf(kept_);
  }

  struct Share {
    uint32_t token;
    uint64_t rest;  // what of the point lies beyond the mass of the kept tokens before it
  };

  // The kept token whose share of the mass covers `point`.
  Share ShareAt(uint64_t point) const {
    for (uint32_t id : kept_) {
      if (point < WeightAt(id)) return {id, point};
      point -= WeightAt(id);
    }
    return {ids_[0], 0};  // not reached: the mass ends above every point
  }

  int64_t Token() const { return decided_ ? kept_[0] : ShareAt(DrawPoint(DrawBits(record_, step_), mass_)).token; }

  uint32_t vocabulary_;
  Record record_;
  int64_t step_;
  Phase phase_;
  std::vector<float> logits_;   // sanitised
  std::vector<uint32_t> ids_;   // in the order of tokens
  std::vector<uint32_t> kept_;  // ascending once constructed
  size_t kept_count_ = 0;       // of the kept set, from which an enumerated member takes one
  WeightScale scale_ = {};
  uint64_t mass_ = 0;
  int32_t status_ = 0;
  bool finite_maximum_ = false;
  bool decided_ = false;
};

}  // namespace fire::definition
