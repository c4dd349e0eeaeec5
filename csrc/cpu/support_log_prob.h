// The log-probability of a token over a given set of tokens and over the whole row, and the gradient of both.
//
// Forward the row is read twice, the second time from cache: its maximum, then its mass. Backward it is read once and
// its gradient written once, sixteen logits at a time; then the entries that differ, the token's and those of the set,
// are worked out again one by one, in float32.
#pragma once

#include "cpu/row_table.h"
#include "cpu/search.h"
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
    const uint32_t place = FirstWhere(0, task_.count, [&](uint32_t i) { return task_.support[i] >= task_.token; });
    return place < task_.count && task_.support[place] == task_.token;
  }
  bool SupportIsRow() const { return task_.count == 0 || task_.count == row.size; }
  float LogitAt(int64_t id) const { return ValueAt(row.logits, static_cast<uint32_t>(id)); }
  // The token's, or anything where the row has none.
  float Logit() const { return RowHoldsToken() ? LogitAt(task_.token) : 0.0f; }
  WeightScale ScaleOf(float maximum) const { return definition::MakeWeightScale(maximum, task_.temperature, row.size); }

  // Calls visit(first place, the logits of sixteen places); those behind the support's last are −inf.
  template <typename Visit>
  void ForSupport(const Visit& visit) const {
    alignas(64) float lanes[kLanes];
    for (uint32_t i = 0; i < task_.count; i += kLanes) {
      for (uint32_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] = i + lane < task_.count ? LogitAt(task_.support[i + lane]) : kMasked;
      visit(i, Load(lanes));
    }
  }

  SetMass MassOfSupport() const {
    Floats largest = Broadcast(kMasked);
    ForSupport([&](uint32_t, Floats x) { largest = Max(x, largest); });
    SetMass out = {0, definition::Sanitised(ReduceMax(largest))};
    if (!definition::IsFiniteLogit(out.maximum)) return out;
    const VectorScale scale(ScaleOf(out.maximum));
    Mass mass;
    ForSupport([&](uint32_t, Floats x) { Add(mass, WeightsOf(x, scale)); });
    out.mass = Total(mass);
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

// grad · definition::SlopeOver of sixteen logits, as if none were the token's: −w ÷ M ÷ T.
class Slopes {
 public:
  Slopes(const SetMass& set, const WeightScale& scale, float temperature, float grad)
      : scale_(scale),
        maximum_(Broadcast(set.maximum)),
        negative_mass_(Broadcast(-static_cast<float>(set.mass))),
        temperature_(Broadcast(temperature)),
        grad_(Broadcast(grad)),
        divides_(temperature != 1.0f) {}

  Floats Of(Floats x) const {
    // The maximum first: of a NaN, Min keeps its second operand, which weighs 0.
    const Floats share = Divide(FloatWeightsOf(Min(maximum_, x), scale_), negative_mass_);
    return Multiply(divides_ ? Divide(share, temperature_) : share, grad_);
  }

 private:
  FloatScale scale_;
  Floats maximum_, negative_mass_, temperature_, grad_;
  bool divides_;
};

template <typename T>
void WriteSlopes(const Row<T>& row, const Slopes& slopes, T* grad_logits) {
  for (uint32_t strip = 0; strip < row.strips; ++strip) {
    row.ForGroups(strip, [&](uint32_t id, Floats x) {
      if (id + kLanes <= row.size) {
        StoreRounded(grad_logits + id, slopes.Of(x));
      } else {
        T lanes[kLanes];
        StoreRounded(lanes, slopes.Of(x));
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
  const float temperature = task.temperature, logit = support.Logit();
  if (support.SupportIsRow()) full_grad += grad;
  const bool has_full = full_grad != 0.0f && definition::HasSlope(full, support.RowHoldsToken(), logit, temperature);
  const bool has_set = grad != 0.0f && !support.SupportIsRow() &&
                       definition::HasSlope(set, support.SupportHoldsToken(), logit, temperature);
  // Of a part without a slope, scale and slopes are not used.
  const WeightScale full_scale = support.ScaleOf(has_full ? full.maximum : 0.0f);
  const WeightScale set_scale = support.ScaleOf(has_set ? set.maximum : 0.0f);
  const Slopes full_slopes(full, full_scale, temperature, full_grad), set_slopes(set, set_scale, temperature, grad);
  if (has_full) {
    WriteSlopes(support.row, full_slopes, grad_logits);
  } else {
    memset(static_cast<void*>(grad_logits), 0, task.vocabulary * sizeof(T));
  }
  if (has_set) {
    support.ForSupport([&](uint32_t first, Floats x) {
      alignas(64) float lanes[kLanes];
      Store(lanes, has_full ? Add(full_slopes.Of(x), set_slopes.Of(x)) : set_slopes.Of(x));
      for (uint32_t lane = 0; lane < kLanes && first + lane < task.count; ++lane)
        Narrow(lanes[lane], grad_logits + task.support[first + lane]);
    });
  }
  float of_token = 0;
  if (has_full) of_token += definition::SlopeOver(full, full_scale, logit, true, temperature) * full_grad;
  if (has_set) of_token += definition::SlopeOver(set, set_scale, logit, true, temperature) * grad;
  if (has_full || has_set) Narrow(of_token, grad_logits + task.token);
}

}  // namespace fire::cpu::FIRE_ISA
