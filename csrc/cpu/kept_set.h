// Temperature and filters: from a row to its kept set.
//
// Top-k and min-p name a logit below which nothing can be kept, so one read of the row and a short list of candidates
// settle them. Top-p alone needs the whole row's mass first. Where the list does not hold the candidates (a flat
// nucleus, k in the thousands, ties without end) the kept set stays a rule over the row.
#pragma once

#include "cpu/candidates.h"
#include "cpu/row_search.h"
#include "definition/filter.h"

namespace fire::cpu::FIRE_ISA {

using definition::Phase;
using definition::WeightScale;

// Nothing is drawn when `decided`, as long as nothing is selected. Else the kept set is the candidate list when
// `listed`, and when not what `rule` keeps, with the mass of each strip in strip_mass.
struct KeptSet {
  bool decided = true;
  bool listed = false;
  uint32_t count = 0;  // of the list
  uint64_t mass = 0;   // M
  KeptRule rule = definition::KeepAll();
};

template <typename T>
class KeptSetFinder {
 public:
  KeptSetFinder(const Row<T>& row, const Phase& phase, float maximum, Workspace& workspace)
      : row_(row),
        phase_(phase),
        maximum_(maximum),
        workspace_(workspace),
        scale_(definition::MakeWeightScale(maximum, phase.temperature, row.size)),
        vector_scale_(scale_),
        top_k_on_(phase.top_k < row.size),
        top_p_on_(definition::TopPIsOn(phase.top_p)) {}

  const WeightScale& scale() const { return scale_; }
  const VectorScale& vector_scale() const { return vector_scale_; }

  // The maximum must be finite and the phase not greedy. Without `weighs` the selection has no mass.
  KeptSet Find(bool weighs) {
    KeptSet out;
    const uint64_t weight_of_maximum = definition::WeightOfMaximum(row_.size);
    min_weight_ = definition::MinPThreshold(phase_.min_p, weight_of_maximum);
    out.decided = min_weight_ > weight_of_maximum;
    if (out.decided) return out;
    min_p_first_ = phase_.order == Order::kVllm ? min_weight_ : 0;
    min_p_bounds_ = definition::MinPBoundsOf(phase_, min_weight_, weight_of_maximum);
    out.listed = List();
    if (out.listed) {
      if (min_weight_ != 0 && min_p_first_ == 0) KeepAtLeast(min_weight_);
      out.count = count_;
      if (weighs) out.mass = MassOfList();
    } else {
      out.rule = RuleOfRow();
      if (weighs) out.mass = MassOf(out.rule);
    }
    return out;
  }

  // The entry of the kept token before which `place` others stand in the order. The candidate list holds other tokens
  // afterwards where the kept set is not listed.
  uint64_t EntryAt(const KeptSet& found, uint32_t place) const {
    const uint64_t target = uint64_t{place} + 1;
    if (found.listed) {
      const Threshold at =
          ThresholdInList<Measure::kCount>(kLowestFinite, maximum_, found.count, 0, target, scale_, workspace_);
      uint64_t rest = TiesNeeded(at, target);
      for (uint32_t i = 0;; ++i)
        if (workspace_.candidate_logit[i] == at.threshold && --rest == 0)
          return definition::Entry(Key(at.threshold), workspace_.candidate_id[i]);
    }
    const Threshold at = ThresholdOfCount(place + 1, found.rule);
    return NthEqual(row_, workspace_, at.threshold, TiesNeeded(at, target));
  }

  // The kept set as a rule over the row, whichever way it was found.
  KeptRule Rule(const KeptSet& found) const { return found.listed ? RuleOfList() : found.rule; }

 private:
  // Where the first `count` tokens that a rule over the row keeps end, of which there are so many: among those that
  // reach a pivot, where these are few and enough.
  Threshold ThresholdOfCount(uint32_t count, const KeptRule& rule) const {
    bool differ = true;
    const float pivot = PivotForCount(row_, maximum_, count, workspace_, &differ);
    if (pivot > kLowestFinite && differ) {
      const uint32_t listed = Collect(row_, pivot, maximum_, rule.min_weight, vector_scale_, workspace_);
      if (listed >= count && listed <= kMaxCandidates) {
        FinishList(listed, vector_scale_, workspace_);
        return ThresholdInList<Measure::kCount>(pivot, maximum_, listed, 0, count, scale_, workspace_);
      }
    }
    const float lowest = rule.min_weight == 0 && pivot > ThresholdOf(rule) ? pivot : ThresholdOf(rule);
    Threshold at = {};
    ThresholdInRow<Measure::kCount>(row_, {.low = lowest, .high = maximum_, .min_weight = rule.min_weight}, count,
                                    scale_, vector_scale_, workspace_, &at);
    return at;
  }

  uint64_t MassOf(const KeptRule& rule) {
    const KeptRule all = definition::KeepAll();
    const bool is_whole_row = rule.last == all.last && rule.min_weight == all.min_weight;
    return is_whole_row ? MassOfRow(row_, vector_scale_, workspace_)
                        : MassOfKept(row_, rule, vector_scale_, workspace_);
  }

  // The maximum and one of min-p's bounds, as a finite logit. Rounding to nearest passes no other float: what is
  // smaller or larger than the result is so than the exact sum.
  float Bound(float from_maximum) const {
    const float sum = maximum_ + from_maximum;
    return sum > kLowestFinite ? sum : kLowestFinite;
  }

  // Top-p counts the whole row's mass although top-k keeps less of it.
  bool CountsWholeRow() const { return phase_.order == Order::kJoint && top_k_on_; }

  // The logit from which on the list must hold every token for its filters to be exact.
  float PivotBeforeTopP() {
    const float pivot =
        top_k_on_ ? PivotForCount(row_, maximum_, phase_.top_k, workspace_, &delegates_differ_) : kLowestFinite;
    if (min_weight_ == 0) return pivot;
    const float never_below = Bound(min_p_bounds_.below);
    if (min_p_first_ != 0) return pivot > Bound(min_p_bounds_.above) ? pivot : never_below;
    return !top_p_on_ && never_below > pivot ? never_below : pivot;
  }

  // Leaves in the candidate list what top-k and top-p keep. False when the tokens to choose from do not fit.
  bool List() {
    pivot_ = PivotBeforeTopP();
    if (top_p_on_ && CountsWholeRow()) counted_mass_ = MassOfRow(row_, vector_scale_, workspace_);
    if (pivot_ == kLowestFinite && row_.size > kMaxCandidates) {
      if (top_k_on_ || !top_p_on_) return false;
      return ListNucleusOfRow();
    }
    if (!Gather(pivot_, pivot_ > Bound(min_p_bounds_.above) ? 0 : min_p_first_))
      return top_p_on_ && !top_k_on_ && ListNucleusOfRow();
    if (top_k_on_) CutToTopK();
    if (top_p_on_) CutToNucleus(CountsWholeRow() ? counted_mass_ : MassOfList());
    return true;
  }

  // Top-p of a row too long to list whole: the mass first, then the tokens that surely hold enough of it.
  bool ListNucleusOfRow() {
    counted_mass_ = MassOf({.last = definition::KeepAll().last, .min_weight = min_p_first_});
    const uint64_t target = definition::TopPTarget(phase_.top_p, counted_mass_);
    if (min_p_first_ != 0) return false;
    const float pivot = PivotForMass(row_, maximum_, target, scale_, vector_scale_, workspace_);
    if (pivot == kLowestFinite || !Gather(pivot, 0)) return false;
    CutToNucleus(counted_mass_);
    return true;
  }

  bool Gather(float pivot, uint64_t min_weight) {
    // Where few values are, counting is cheaper than listing in vain.
    if (!delegates_differ_ && CountFrom(row_, pivot, workspace_) > kMaxCandidates) return false;
    count_ = Collect(row_, pivot, maximum_, min_weight, vector_scale_, workspace_);
    if (count_ > kMaxCandidates) return false;
    FinishList(count_, vector_scale_, workspace_);
    return true;
  }

  void CutToTopK() {
    if (count_ <= phase_.top_k) return;
    const float lowest = LowestListed();
    const float threshold = BisectKeys(lowest, maximum_, [&](float middle) {
      const uint64_t reached = CountAtLeast(workspace_.candidate_logit, count_, middle);
      return reached < phase_.top_k ? -1 : (reached == phase_.top_k ? 1 : 0);
    });
    const uint64_t above = CountAtLeast(workspace_.candidate_logit, count_, KeyToFloat(Key(threshold) + 1));
    KeepFromThreshold(threshold, phase_.ties != Ties::kExact ? count_ : phase_.top_k - above);
  }

  void CutToNucleus(uint64_t whole) {
    const uint64_t target = definition::TopPTarget(phase_.top_p, whole);
    if (MassOfList() < target) return;  // joint: the nucleus reaches beyond top-k
    const Threshold found =
        ThresholdInList<Measure::kMass>(LowestListed(), maximum_, count_, 0, target, scale_, workspace_);
    KeepFromThreshold(found.threshold, phase_.ties == Ties::kKeep ? count_ : TiesNeeded(found, target));
  }

  // Keeps the listed tokens above the threshold, and the first `ties` that equal it.
  void KeepFromThreshold(float threshold, uint64_t ties) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      const float logit = workspace_.candidate_logit[i];
      bool keep = logit > threshold;
      if (logit == threshold && ties > 0) {
        keep = true;
        --ties;
      }
      MoveListed(i, kept);
      kept += keep;
    }
    Truncate(kept);
  }

  void KeepAtLeast(uint64_t least) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count_; ++i) {
      const bool keep = workspace_.candidate_weight[i] >= least;
      MoveListed(i, kept);
      kept += keep;
    }
    Truncate(kept);
  }

  void MoveListed(uint32_t from, uint32_t to) {
    workspace_.candidate_logit[to] = workspace_.candidate_logit[from];
    workspace_.candidate_weight[to] = workspace_.candidate_weight[from];
    workspace_.candidate_id[to] = workspace_.candidate_id[from];
  }

  // Shortens the list, padding it with tokens that are never kept and weigh nothing.
  void Truncate(uint32_t count) {
    count_ = count;
    Store(workspace_.candidate_logit + count, Broadcast(kMasked));
    memset(workspace_.candidate_weight + count, 0, kLanes * sizeof(uint64_t));
  }

  uint64_t MassOfList() const {
    Mass mass;
    for (uint32_t i = 0; i < count_; i += kLanes) Add(mass, LoadWeights(workspace_.candidate_weight + i));
    return Total(mass);
  }

  float LowestListed() const {
    Floats lowest = Broadcast(maximum_);
    uint32_t i = 0;
    for (; i + kLanes <= count_; i += kLanes) lowest = Min(Load(workspace_.candidate_logit + i), lowest);
    alignas(64) float lanes[kLanes];
    Store(lanes, lowest);
    for (; i < count_; ++i)
      lanes[0] = workspace_.candidate_logit[i] < lanes[0] ? workspace_.candidate_logit[i] : lanes[0];
    float out = lanes[0];
    for (float lane : lanes) out = lane < out ? lane : out;
    return out;
  }

  // The listed tokens are a prefix of the order (of min-p's survivors where it comes first): the lowest logit and the
  // last id that has it describe it.
  KeptRule RuleOfList() const {
    const float threshold = LowestListed();
    uint32_t last_tie = 0;
    for (uint32_t i = 0; i < count_; ++i)
      if (workspace_.candidate_logit[i] == threshold) last_tie = workspace_.candidate_id[i];
    return {.last = definition::Entry(Key(threshold), last_tie), .min_weight = min_weight_};
  }

  KeptRule RuleOfRow() {
    KeptRule rule = {.last = definition::KeepAll().last, .min_weight = min_p_first_};
    if (top_k_on_) Cut<Measure::kCount>(&rule, phase_.top_k, phase_.ties != Ties::kExact);
    if (top_p_on_) {
      const uint64_t mass = top_k_on_ ? MassOfKept(row_, rule, vector_scale_, workspace_) : counted_mass_;
      const uint64_t target = definition::TopPTarget(phase_.top_p, CountsWholeRow() ? counted_mass_ : mass);
      if (mass >= target) Cut<Measure::kMass>(&rule, target, phase_.ties == Ties::kKeep);
    }
    rule.min_weight = min_weight_;
    return rule;
  }

  // Raises the rule's threshold to where the target is reached, if it is.
  template <Measure measure>
  void Cut(KeptRule* rule, uint64_t target, bool keep_ties) {
    Threshold found;
    const float lowest = ThresholdOf(*rule) > pivot_ ? ThresholdOf(*rule) : pivot_;
    const uint64_t min_weight = lowest > Bound(min_p_bounds_.above) ? 0 : min_p_first_;
    if (!ThresholdInRow<measure>(row_, {.low = lowest, .high = maximum_, .min_weight = min_weight}, target, scale_,
                                 vector_scale_, workspace_, &found))
      return;
    rule->last = keep_ties ? definition::LastOfKey(Key(found.threshold))
                           : NthEqual(row_, workspace_, found.threshold, TiesNeeded(found, target));
  }

  const Row<T>& row_;
  const Phase& phase_;
  float maximum_;
  Workspace& workspace_;
  WeightScale scale_;
  VectorScale vector_scale_;
  bool top_k_on_, top_p_on_;
  uint64_t min_weight_ = 0;   // what min-p asks of a token's weight
  uint64_t min_p_first_ = 0;  // the same where min-p comes before top-k, else 0
  definition::MinPBounds min_p_bounds_ = {};
  // The mass top-p counts where the list does not hold it: List() finds it, of the whole row for the joint order, and
  // of what min-p left for top-p without top-k.
  uint64_t counted_mass_ = 0;
  uint32_t count_ = 0;           // of the candidate list
  float pivot_ = kLowestFinite;  // no filter's cut lies below, as far as top-k and min-p tell
  bool delegates_differ_ = true;
};

}  // namespace fire::cpu::FIRE_ISA
