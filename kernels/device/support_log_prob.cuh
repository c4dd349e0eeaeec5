// The kernels of support_log_prob and of its gradient: one block a row, without a record.
//
// Forward the row is read twice: its maximum, then its mass, the second time from cache where the rows under way fit
// into it. The logits of the support are gathered twice, likewise. Backward the row is read once and its gradient
// written once, as if no entry were special; then those that are, the support's and the token's, are written again.
#pragma once

#include "definition/support.h"
#include "kernels/device/maxima.cuh"
#include "kernels/launch.h"

namespace fire::kernels {

using definition::SetMass;

__device__ __forceinline__ SupportStorage& SharedSupportStorage() {
  return *reinterpret_cast<SupportStorage*>(fire_shared_memory);
}

// A row, its token, its support and its temperature.
template <typename Logit>
class SupportRow {
 public:
  using Element = typename Logit::Element;

  __device__ __forceinline__ SupportRow(const SupportBatch& batch, int64_t row)
      : logits_(static_cast<const Element*>(batch.logits) + row * batch.row_stride),
        support_(batch.support + row * batch.support_stride),
        width_(static_cast<uint32_t>(batch.width)),
        vocabulary_(static_cast<uint32_t>(batch.vocabulary)),
        token_(batch.token[row * batch.token_stride]),
        temperature_(batch.temperature[row * batch.temperature_stride]) {}

  __device__ __forceinline__ uint32_t vocabulary() const { return vocabulary_; }
  __device__ __forceinline__ float temperature() const { return temperature_; }
  __device__ __forceinline__ bool IsToken(uint32_t id) const { return token_ == static_cast<int64_t>(id); }
  __device__ __forceinline__ bool RowHoldsToken() const { return token_ >= 0 && token_ < vocabulary_; }
  __device__ __forceinline__ float LogitAt(uint32_t id) const { return Logit::Value(logits_[id], 0); }
  // The token's, or anything where the row has none.
  __device__ __forceinline__ float TokenLogit() const {
    return RowHoldsToken() ? LogitAt(static_cast<uint32_t>(token_)) : 0.0f;
  }
  __device__ __forceinline__ uint32_t Token() const { return static_cast<uint32_t>(token_); }

  // Of a valid support: whether it holds every id.
  __device__ __forceinline__ bool SupportIsRow() const {
    return support_[0] == definition::kNoToken ||
           (width_ >= vocabulary_ && support_[vocabulary_ - 1] == static_cast<int32_t>(vocabulary_ - 1));
  }

  // Calls visit(id, the one before) for this thread's places.
  template <typename Visit>
  __device__ __forceinline__ void ForPlaces(const Visit& visit) const {
#pragma unroll 1
    for (uint32_t place = threadIdx.x; place < width_; place += blockDim.x)
      visit(support_[place], place == 0 ? definition::kBeforeSupport : support_[place - 1]);
  }

  // Calls visit(id) for this thread's ids, in the vocabulary whatever the support holds.
  template <typename Visit>
  __device__ __forceinline__ void ForSupport(const Visit& visit) const {
    ForPlaces([&](int32_t id, int32_t) {
      if (static_cast<uint32_t>(id) < vocabulary_) visit(static_cast<uint32_t>(id));
    });
  }

  __device__ __forceinline__ WeightScale ScaleOf(const SetMass& set) const {
    return definition::MakeWeightScale(set.maximum, temperature_, vocabulary_);
  }

 private:
  const Element* logits_;
  const int32_t* support_;
  uint32_t width_, vocabulary_;
  int64_t token_;
  float temperature_;
};

// ---- the log-probabilities ----
// The mass of the whole row; for all threads of the block.
template <typename Logit>
__device__ __forceinline__ SetMass MassOfRow(const SupportRow<Logit>& row, const RowPart<Logit>& part, bool* has_nan) {
  SupportStorage& storage = SharedSupportStorage();
  LaneMaxima maxima = NoMaxima<Logit>();
  part.PrefetchStart(part.OwnRun());
  MaximumPass<true, false>(part, part.OwnRun(), &maxima);
  *has_nan = __syncthreads_or(IsNan(Largest<Logit>(maxima)));
  if (*has_nan) maxima = MaximaWithoutNan(part, part.OwnRun());
  const uint64_t key = ReduceBlock(uint64_t{definition::Key(Largest<Logit>(maxima))}, Greater(), storage.maximum);
  SetMass out = {.mass = 0, .maximum = definition::KeyToFloat(static_cast<uint32_t>(key))};
  if (definition::IsFiniteLogit(out.maximum))
    out.mass = ReduceBlock(MassPass<false>(part, row.ScaleOf(out), *has_nan), Add(), storage.mass);
  return out;
}

// The mass of the support, `key` the largest one that this thread has seen of it; for all threads of the block.
template <typename Logit>
__device__ __forceinline__ SetMass MassOfSupport(const SupportRow<Logit>& row, uint32_t key) {
  SupportStorage& storage = SharedSupportStorage();
  const uint64_t largest = ReduceBlock(uint64_t{key}, Greater(), storage.set_maximum);
  SetMass out = {.mass = 0, .maximum = definition::KeyToFloat(static_cast<uint32_t>(largest))};
  if (!definition::IsFiniteLogit(out.maximum)) return out;
  const WeightScale scale = row.ScaleOf(out);
  uint64_t mass = 0;
  row.ForSupport([&](uint32_t id) { mass += definition::Weight(row.LogitAt(id), scale); });
  out.mass = ReduceBlock(mass, Add(), storage.set_mass);
  return out;
}

// What of a row's outputs is asked for. By one thread.
__device__ __forceinline__ void WriteScores(const SupportLogProbOutputs& outputs, int64_t row, float logprob,
                                            float full_logprob, int32_t status, const SupportMasses& masses) {
  if (outputs.logprob != nullptr) outputs.logprob[row] = logprob;
  if (outputs.full_logprob != nullptr) outputs.full_logprob[row] = full_logprob;
  if (outputs.status != nullptr) outputs.status[row] = status;
  if (outputs.masses != nullptr) outputs.masses[row] = masses;
}

template <typename Logit>
__device__ __forceinline__ void WriteLogProbs(const SupportLogProbWork& work, int64_t at) {
  const SupportRow<Logit> row(work.batch, at);
  bool is_refused = !definition::IsSupportTemperature(row.temperature()), holds_token = false;
  uint32_t key = definition::kMaskedKey;
  row.ForPlaces([&](int32_t id, int32_t previous) {
    is_refused |= !definition::MayFollow(previous, id, row.vocabulary());
    if (static_cast<uint32_t>(id) >= row.vocabulary()) return;
    holds_token |= row.IsToken(static_cast<uint32_t>(id));
    key = max(key, definition::Key(row.LogitAt(static_cast<uint32_t>(id))));
  });
  if (__syncthreads_or(is_refused)) {
    const float none = __uint_as_float(0x7FC00000u);
    if (threadIdx.x == 0) WriteScores(work.outputs, at, none, none, kStatusRefused, {});
    return;
  }
  holds_token = __syncthreads_or(holds_token);
  const bool is_row = row.SupportIsRow();
  const bool wants_row =
      work.outputs.full_logprob != nullptr || work.outputs.status != nullptr || work.outputs.masses != nullptr;
  SetMass full = {.mass = 0, .maximum = -INFINITY};
  bool has_nan = false;
  if (wants_row || is_row) full = MassOfRow(row, RowPart<Logit>(ShapeOf<Logit>(work.batch, at, 0, 1)), &has_nan);
  const SetMass set = is_row ? full : MassOfSupport(row, key);
  if (threadIdx.x != 0) return;
  if (is_row) holds_token = row.RowHoldsToken();
  const auto over = [&](const SetMass& of, bool holds) {
    return definition::LogProbOver(of, holds, row.TokenLogit(), row.temperature(), row.vocabulary());
  };
  WriteScores(work.outputs, at, over(set, holds_token), over(full, row.RowHoldsToken()),
              definition::SupportStatus(full.maximum, has_nan),
              {.mass = set.mass, .full_mass = full.mass, .maximum = set.maximum, .full_maximum = full.maximum});
}

// ---- the gradient ----
// Writes what each logit of the row gets, as if none were the token's.
template <typename Logit>
__device__ __forceinline__ void WriteSlopes(const SupportRow<Logit>& row, const RowPart<Logit>& part,
                                            const SetMass& full, float grad, typename Logit::Element* out) {
  const WeightScale scale = row.ScaleOf(full);
  const FastSlope slope = MakeFastSlope(scale, full.mass, row.temperature(), grad);
  if (!slope.is_exact) {
    part.template ForElements<false>({0, row.vocabulary()}, threadIdx.x, blockDim.x, [&](float x, uint32_t id) {
      out[id] = Logit::FromFloat(definition::SlopeOver(full, scale, x, false, row.temperature()) * grad);
    });
  } else if (part.IsAlignedAs(out)) {
    SlopePass<true>(part, part.OwnRun(), slope, out);
  } else {
    SlopePass<false>(part, part.OwnRun(), slope, out);
  }
}

template <typename Logit>
__device__ __forceinline__ void WriteGradient(const SupportLogProbWork& work, int64_t at) {
  const SupportRow<Logit> row(work.batch, at);
  auto* const out = static_cast<typename Logit::Element*>(work.grad_logits) + at * work.grad_logits_stride;
  const SupportMasses masses = work.masses[at];
  const SetMass set = {.mass = masses.mass, .maximum = masses.maximum};
  const SetMass full = {.mass = masses.full_mass, .maximum = masses.full_maximum};
  const float grad = work.grad != nullptr ? work.grad[at] : 0.0f;
  float full_grad = work.full_grad != nullptr ? work.full_grad[at] : 0.0f;
  const bool is_row = row.SupportIsRow();
  if (is_row) full_grad += grad;  // one slope serves both
  const bool has_full =
      full_grad != 0.0f && definition::HasSlope(full, row.RowHoldsToken(), row.TokenLogit(), row.temperature());
  bool has_set =
      grad != 0.0f && !is_row && definition::HasSlope(set, row.RowHoldsToken(), row.TokenLogit(), row.temperature());
  if (has_set) {
    bool holds_token = false;
    row.ForSupport([&](uint32_t id) { holds_token |= row.IsToken(id); });
    has_set = __syncthreads_or(holds_token);
  }
  if (has_full) {
    WriteSlopes(row, RowPart<Logit>(ShapeOf<Logit>(work.batch, at, 0, 1)), full, full_grad, out);
  } else {
#pragma unroll 1
    for (uint32_t id = threadIdx.x; id < row.vocabulary(); id += blockDim.x) out[id] = 0;
  }
  if (!has_full && !has_set) return;
  __syncthreads();  // the row's gradient is written; else it overwrites the entries below
  const WeightScale full_scale = row.ScaleOf(full), set_scale = row.ScaleOf(set);
  const auto slope_at = [&](uint32_t id, const SetMass& of, const WeightScale& scale) {
    return definition::SlopeOver(of, scale, row.LogitAt(id), row.IsToken(id), row.temperature());
  };
  const auto write = [&](uint32_t id) {
    float value = has_full ? slope_at(id, full, full_scale) * full_grad : 0.0f;
    if (has_set) value += slope_at(id, set, set_scale) * grad;
    out[id] = Logit::FromFloat(value);
  };
  if (has_set) {
    row.ForSupport(write);
  } else if (threadIdx.x == 0) {
    write(row.Token());  // which a set with a slope holds
  }
}

// ---- kernels ----
template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    SupportLogProbRows(const __grid_constant__ SupportLogProbWork work, int64_t first_row, Geometry) {
  ptx::WaitForPriorGrids();
  WriteLogProbs<Logit>(work, first_row + blockIdx.x);
}

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    SupportGradientRows(const __grid_constant__ SupportLogProbWork work, int64_t first_row, Geometry) {
  ptx::WaitForPriorGrids();
  WriteGradient<Logit>(work, first_row + blockIdx.x);
}

}  // namespace fire::kernels
