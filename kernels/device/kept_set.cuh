// From the tokens to the kept set and the token drawn from it, without sorting: each filter ends at a token of the
// order, which a descent over keys finds, and among equal keys one over ids; a draw is such a search over ids alone.
// Holds for any row; short_list.cuh is the quick way where few tokens are in question.
#pragma once

#include "definition/design.h"
#include "definition/draw.h"
#include "definition/filter.h"
#include "kernels/device/settings.cuh"
#include "kernels/device/tokens.cuh"

namespace fire::kernels {

__device__ __forceinline__ WeightScale ReferenceScaleOf(const Storage& storage) {
  const RowSettings& settings = storage.settings;
  return {.maximum = storage.state.maximum,
          .slope = settings.ref_slope,
          .floor = settings.ref_floor,
          .bits = settings.weight_bits};
}

// Fills storage.outcome, of a row that is not decided. The mass of the whole row must have been found where
// TopPCountsRow or nothing is filtered.
template <typename Tokens>
__device__ __forceinline__ void FindKept(const Tokens& tokens, Storage& storage) {
  const RowSettings& settings = storage.settings;
  const definition::Phase& phase = settings.phase;
  const bool is_unfiltered = settings.regime == Regime::kAll;
  const uint64_t first_min = phase.order == Order::kVllm ? settings.min_weight : 0;
  // Before part_mass is needed for what else is found in id order.
  const uint64_t row_mass = is_unfiltered || TopPCountsRow(settings) ? RowMass(0, storage) : 0;
  if (threadIdx.x == 0)
    storage.outcome = {
        .rule = {.last = KeepAll().last, .min_weight = first_min}, .mass = row_mass, .drawn = 0, .kept = 0, .rank = 0};
  // One loop over three stages, not three calls: sums, descents and the search by id inline, and would be there thrice:
  // 14,232 instructions of SampleRows<Float32Logits, true> on compute capability 9.0 instead of 10,400.
  enum Stage { kTopK, kTopP, kDraw, kStages };
#pragma unroll 1
  for (int stage = kTopK; stage < kStages; ++stage) {
    if (stage == kTopK && !settings.top_k_on) continue;
    if (stage == kTopP && !settings.top_p_on) continue;
    __syncthreads();  // the stage before has written the rule; else some threads measure by an older one
    // A token that is taken by its place in the order is found as the k-th is.
    const bool takes_place = stage == kDraw && settings.is_enumerated;
    TokenMeasure measure = {.rule = storage.outcome.rule, .counts = stage == kTopK || takes_place, .only_key = 0};
    if (stage == kDraw) {
      if (threadIdx.x == 0) storage.outcome.rule.min_weight = settings.min_weight;
      __syncthreads();  // min-p's weight is in the rule; else some threads draw among tokens that fail it
    }

    uint64_t target = phase.top_k - 1;
    if (stage != kTopK) {
      const bool is_known = !takes_place && (is_unfiltered || (stage == kTopP && TopPCountsRow(settings)));
      const uint64_t mass = is_known ? storage.outcome.mass : tokens.Sum(measure);
      if (takes_place) {
        const uint32_t kept = static_cast<uint32_t>(mass);
        target = definition::PlaceOf(settings.record, kept);
        if (threadIdx.x == 0) storage.outcome.kept = kept;
      } else {
        target = stage == kTopP ? definition::TopPTarget(phase.top_p, mass) - 1
                                : definition::DrawPoint(settings.draw_bits, mass);
        if (stage == kDraw && !is_known && threadIdx.x == 0) storage.outcome.mass = mass;
      }
      if (stage == kDraw && settings.draws == Draws::kNothing) break;
    }
    if (stage != kDraw || takes_place) {
      const uint32_t top_key = definition::Key(storage.state.maximum);
      tokens.DescendKeys(top_key, measure, target);
      if (storage.in.inside == 0) continue;  // everything together does not reach it
      measure.only_key = top_key - storage.in.low;
      target -= storage.in.before;
      const bool keeps_equals = stage == kTopK ? phase.ties != Ties::kExact : phase.ties == Ties::kKeep;
      const uint64_t each = stage == kTopK ? 1 : WeightOfKey(measure.only_key, ScaleOf(storage));
      if (!takes_place && (keeps_equals || target + each >= storage.in.inside)) {
        const uint64_t last = LastOfKey(measure.only_key);
        if (threadIdx.x == 0 && last > storage.outcome.rule.last) storage.outcome.rule.last = last;
        continue;
      }
    }
    const uint64_t entry = tokens.FindInIdOrder(measure, target, stage == kDraw && is_unfiltered && !takes_place,
                                                settings.draws == Draws::kForOwner);
    if (threadIdx.x != 0) continue;
    if (stage == kDraw) {
      storage.outcome.drawn = entry;
    } else if (entry > storage.outcome.rule.last) {
      storage.outcome.rule.last = entry;
    }
  }
  __syncthreads();  // thread 0 has written the outcome; else others read what an earlier stage or row left
}

}  // namespace fire::kernels
