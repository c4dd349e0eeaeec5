// The log-probability of a given token, and its gradient.
#pragma once

#include "cpu/prepared_row.h"
#include "cpu/selection.h"

namespace fire::cpu::FIRE_ISA {

// What log_prob and its gradient need to know of a row.
template <typename T>
class KeptRow {
 public:
  KeptRow(const RowTask& task, Workspace& workspace)
      : prepared_(PreparedRow<T>::template Of<false>(task, workspace)),
        selector_(prepared_.row, prepared_.phase, prepared_.maximum, workspace) {
    decided_ = true;
    if (prepared_.Undecided()) {
      const Selection selection = selector_.Select();
      decided_ = selection.decided;
      mass_ = selection.mass;
      if (!decided_) rule_ = selector_.Rule(selection);
    }
    if (decided_) only_ = prepared_.FirstOfOrder(workspace);
  }

  bool decided() const { return decided_; }
  const Row<T>& row() const { return prepared_.row; }
  const KeptRule& rule() const { return rule_; }
  const Selector<T>& selector() const { return selector_; }
  uint64_t mass() const { return mass_; }
  float temperature() const { return prepared_.phase.temperature; }

  bool Holds(int64_t token) const {
    if (token < 0 || token >= static_cast<int64_t>(row().size)) return false;
    const uint32_t id = static_cast<uint32_t>(token);
    if (decided_) return id == only_;
    const float logit = definition::Sanitised(ValueAt(row().logits, id));
    return logit > kMasked && Keeps(rule_, logit, id, definition::Weight(logit, selector_.scale()));
  }

  float LogProb(int64_t token) const {
    if (!Holds(token)) return kMasked;
    if (decided_) return 0.0f;
    const float logit = ValueAt(row().logits, static_cast<uint32_t>(token));
    return definition::LogSoftmax(logit, prepared_.maximum, temperature(),
                                  definition::Weight(prepared_.maximum, selector_.scale()), mass_);
  }

 private:
  PreparedRow<T> prepared_;
  Selector<T> selector_;
  KeptRule rule_;
  uint64_t mass_ = 0;
  uint32_t only_ = 0;
  bool decided_;
};

inline void Narrow(float value, float* out) { *out = value; }
inline void Narrow(float value, BFloat16* out) { out->bits = definition::FloatToBFloat16(value); }
inline void Narrow(float value, Float16* out) { out->bits = definition::FloatToFloat16(value); }

template <typename T>
void LogProbBackward(const RowTask& task, int64_t token, float grad, T* grad_logits, Workspace& workspace) {
  memset(static_cast<void*>(grad_logits), 0, task.vocabulary * sizeof(T));
  const KeptRow<T> kept(task, workspace);
  if (kept.decided() || !kept.Holds(token)) return;
  const RuleMasks masks(kept.rule(), kept.selector().vector_scale());
  for (uint32_t strip = 0; strip < kept.row().strips; ++strip) {
    kept.row().ForGroups(strip, [&](uint32_t id, Floats x) {
      uint32_t bits = Bits(masks.Kept(id, x));
      if (bits == 0) return;
      alignas(64) uint64_t weight[kLanes];
      StoreWeights(weight, WeightsOf(x, kept.selector().vector_scale()));
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t lane = static_cast<uint32_t>(__builtin_ctz(bits));
        const float slope = definition::LogProbSlope(weight[lane], kept.mass(), id + lane == token, kept.temperature());
        Narrow(slope * grad, grad_logits + id + lane);
      }
    });
  }
}

}  // namespace fire::cpu::FIRE_ISA
