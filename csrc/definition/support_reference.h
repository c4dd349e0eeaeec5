// One row of support_log_prob and its gradient, scalar and obvious, as reference.h is of a sample: every backend's test
// compares with it. Host only.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "definition/support.h"
#include "fire/sampling.h"

namespace fire::definition {

class SupportReferenceRow {
 public:
  // `logits`: the row as float32. `support`: all its places.
  SupportReferenceRow(const std::vector<float>& logits, int64_t token, const std::vector<int32_t>& support,
                      float temperature)
      : vocabulary_(static_cast<uint32_t>(logits.size())),
        token_(token),
        temperature_(temperature),
        refused_(!IsSupportTemperature(temperature)) {
    int32_t previous = kBeforeSupport;
    for (const int32_t id : support) {
      refused_ |= !MayFollow(previous, id, vocabulary_);
      previous = id;
      if (id != kNoToken) support_.push_back(id);
    }
    for (uint32_t id = 0; id < vocabulary_; ++id) {
      has_nan_ |= IsNanBits(FloatBits(logits[id]));
      logits_.push_back(Sanitised(logits[id]));
      row_.push_back(static_cast<int32_t>(id));
    }
    if (support_.empty()) support_ = row_;
    if (refused_) return;
    set_ = MassOf(support_);
    full_ = MassOf(row_);
  }

  bool refused() const { return refused_; }
  // NaN of a refused row, as on a device.
  float LogProb() const {
    return refused_ ? kNan : LogProbOver(set_, Holds(support_), Logit(), temperature_, vocabulary_);
  }
  float FullLogProb() const {
    return refused_ ? kNan : LogProbOver(full_, Holds(row_), Logit(), temperature_, vocabulary_);
  }
  int32_t Status() const { return refused_ ? kStatusRefused : SupportStatus(full_.maximum, has_nan_); }
  SupportMasses Masses() const { return {set_.mass, full_.mass, set_.maximum, full_.maximum}; }

  // grad · ∂ logprob / ∂ logits + full_grad · ∂ full_logprob / ∂ logits.
  std::vector<float> Gradient(float grad, float full_grad) const {
    std::vector<float> out(vocabulary_, 0.0f);
    if (refused_) return out;
    // A support of all ids is the row: its weights come first, and one slope serves both.
    const bool is_row = support_.size() == row_.size();
    AddSlopes(full_, row_, is_row ? full_grad + grad : full_grad, &out);
    if (!is_row) AddSlopes(set_, support_, grad, &out);
    return out;
  }

 private:
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  SetMass MassOf(const std::vector<int32_t>& ids) const {
    SetMass out = {0, -std::numeric_limits<float>::infinity()};
    for (const int32_t id : ids) out.maximum = std::max(out.maximum, LogitOf(id));
    if (!IsFiniteLogit(out.maximum)) return out;
    const WeightScale scale = MakeWeightScale(out.maximum, temperature_, vocabulary_);
    for (const int32_t id : ids) out.mass += Weight(LogitOf(id), scale);
    return out;
  }

  float LogitOf(int32_t id) const { return logits_[static_cast<size_t>(id)]; }
  // The token's, or anything where no set holds it.
  float Logit() const { return Holds(row_) ? LogitOf(static_cast<int32_t>(token_)) : 0.0f; }
  bool Holds(const std::vector<int32_t>& ids) const { return std::binary_search(ids.begin(), ids.end(), token_); }

  void AddSlopes(const SetMass& set, const std::vector<int32_t>& ids, float grad, std::vector<float>* out) const {
    if (!HasSlope(set, Holds(ids), Logit(), temperature_)) return;
    const WeightScale scale = MakeWeightScale(set.maximum, temperature_, vocabulary_);
    for (const int32_t id : ids)
      (*out)[static_cast<size_t>(id)] += SlopeOver(set, scale, LogitOf(id), id == token_, temperature_) * grad;
  }

  uint32_t vocabulary_;
  int64_t token_;
  float temperature_;
  bool refused_;
  bool has_nan_ = false;
  std::vector<float> logits_;  // sanitised
  std::vector<int32_t> row_;   // every id
  std::vector<int32_t> support_;
  SetMass set_ = {}, full_ = {};
};

}  // namespace fire::definition
