// The log-probability of a token over a given set of tokens and over the whole row, and the gradient of both.
//
// Forward the row is read twice, the second time from cache: its maximum, then its mass. Backward it is read once and
// its gradient written once, sixteen logits at a time; then the entries that differ, the token's and those of the set,
// are worked out again one by one, in float32.
#pragma once

#include "cpu/passes.h"
#include "cpu/row_table.h"
#include "definition/support.h"

namespace fire::cpu::FIRE_ISA {

using definition::SetMass;

// The row of a task, its token and its set, as the definition's rules ask for them.
template <typename T>
class SupportRow {
 public:
  explicit SupportRow(const SupportTask& task)
      : row(static_cast<const T*>(task.logits), task.vocabulary), task_(task) {}

  bool RowHoldsToken() const { return task_.token >= 0 && task_.token < static_cast<int64_t>(row.size); }
  bool SupportHoldsToken() const {
    if (SupportIsRow()) return RowHoldsToken();
    uint32_t low = 0, high = task_.count;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (task_.support[middle] < task_.token) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < task_.count && task_.support[low] == task_.token;
  }
  bool SupportIsRow() const { return task_.count == 0 || task_.count == row.size; }
  float LogitAt(int64_t id) const { return ValueAt(row.logits, static_cast<uint32_t>(id)); }
  // The token's, or anything where the row has none.
  float Logit() const { return RowHoldsToken() ? LogitAt(task_.token) : 0.0f; }
  WeightScale ScaleOf(float maximum) const { return definition::MakeWeightScale(maximum, task_.temperature, row.size); }

  SetMass MassOfSupport() const {
    SetMass out = {0, kMasked};
    for (uint32_t i = 0; i < task_.count; ++i) {
      const float logit = definition::Sanitised(LogitAt(task_.support[i]));
      if (logit > out.maximum) out.maximum = logit;
    }
    if (!definition::IsFiniteLogit(out.maximum)) return out;
    const WeightScale scale = ScaleOf(out.maximum);
    for (uint32_t i = 0; i < task_.count; ++i) out.mass += definition::Weight(LogitAt(task_.support[i]), scale);
    return out;
  }

  const Row<T> row;

 private:
  const SupportTask& task_;
};

// The mass of a row whose maximum is finite. Strips in which no logit weighs anything are not read again.
template <typename T>
uint64_t MassAboveFloor(const Row<T>& row, const WeightScale& scale, const Workspace& workspace) {
  const VectorScale vector_scale(scale);
  const Floats maximum = Broadcast(scale.maximum), floor = Broadcast(scale.floor);
  const bool skips = scale.slope != 0.0f;
  uint64_t mass = 0;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    const Floats largest = Load(workspace.lane_maxima + strip * kLanes);
    if (skips && Bits(AtLeast(Subtract(largest, maximum), floor)) == 0) continue;
    mass += MassOfStrip(row, strip, vector_scale);
  }
  return mass;
}

template <typename T>
SupportValues SupportLogProb(const SupportTask& task, const SupportRequest& request, Workspace& workspace) {
  const SupportRow<T> support(task);
  SetMass full = {0, kMasked};
  bool has_nan = false;
  if (request.full || support.SupportIsRow()) {
    full.maximum = request.has_nan ? FindMaxima<true>(support.row, workspace, &has_nan)
                                   : FindMaxima<false>(support.row, workspace, &has_nan);
    full.maximum = definition::Sanitised(full.maximum);  // one zero
    if (definition::IsFiniteLogit(full.maximum))
      full.mass = MassAboveFloor(support.row, support.ScaleOf(full.maximum), workspace);
  }
  const SetMass set = support.SupportIsRow() ? full : support.MassOfSupport();
  SupportValues out;
  out.masses = {set.mass, full.mass, set.maximum, full.maximum};
  out.logprob =
      definition::LogProbOver(set, support.SupportHoldsToken(), support.Logit(), task.temperature, task.vocabulary);
  out.full_logprob =
      definition::LogProbOver(full, support.RowHoldsToken(), support.Logit(), task.temperature, task.vocabulary);
  out.status = definition::SupportStatus(full.maximum, has_nan);
  return out;
}

// Writes grad · slope of every logit of the row, as if none were the token.
template <typename T>
void WriteSlopes(const Row<T>& row, const SetMass& full, const WeightScale& scale, float temperature, float grad,
                 T* grad_logits) {
  const FloatScale float_scale(scale);
  const Floats maximum = Broadcast(full.maximum), factor = Broadcast(grad);
  // definition::LogProbSlope, sixteen at a time: −w ÷ M ÷ T.
  const Floats negative_mass = Broadcast(-static_cast<float>(full.mass)), divisor = Broadcast(temperature);
  const bool divides = temperature != 1.0f;
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      // The maximum first: of a NaN, Min keeps its second operand, which weighs 0.
      Floats slope = Divide(FloatWeightsOf(Min(maximum, x), float_scale), negative_mass);
      if (divides) slope = Divide(slope, divisor);
      slope = Multiply(slope, factor);
      if (id + kLanes <= row.size) {
        StoreRounded(grad_logits + id, slope);
      } else {
        T lanes[kLanes];
        StoreRounded(lanes, slope);
        memcpy(grad_logits + id, lanes, (row.size - id) * sizeof(T));
      }
    });
  }
}

template <typename T>
void SupportLogProbBackward(const SupportTask& task, const SupportMasses& masses, float grad, float full_grad,
                            T* grad_logits) {
  const SupportRow<T> support(task);
  const SetMass set = {masses.mass, masses.maximum}, full = {masses.full_mass, masses.full_maximum};
  if (support.SupportIsRow()) full_grad += grad;
  const bool has_full =
      full_grad != 0.0f && definition::HasSlope(full, support.RowHoldsToken(), support.Logit(), task.temperature);
  const bool has_set = grad != 0.0f && !support.SupportIsRow() &&
                       definition::HasSlope(set, support.SupportHoldsToken(), support.Logit(), task.temperature);
  const WeightScale full_scale = has_full ? support.ScaleOf(full.maximum) : WeightScale{};
  const WeightScale set_scale = has_set ? support.ScaleOf(set.maximum) : WeightScale{};
  if (has_full) {
    WriteSlopes(support.row, full, full_scale, task.temperature, full_grad, grad_logits);
  } else {
    memset(static_cast<void*>(grad_logits), 0, task.vocabulary * sizeof(T));
  }
  const auto slope_at = [&](int64_t id, const SetMass& of, const WeightScale& scale) {
    return definition::SlopeOver(of, scale, support.LogitAt(id), id == task.token, task.temperature);
  };
  const auto write = [&](int64_t id, bool in_set) {
    float value = has_full ? slope_at(id, full, full_scale) * full_grad : 0.0f;
    if (in_set) value += slope_at(id, set, set_scale) * grad;
    Narrow(value, grad_logits + id);
  };
  if (has_set) {
    for (uint32_t i = 0; i < task.count; ++i) write(task.support[i], true);
  }
  // In a set with a slope it has been written.
  if (has_full && !has_set) write(task.token, false);
}

}  // namespace fire::cpu::FIRE_ISA
