// From the tokens to the kept set and the token drawn from it, without sorting: each filter ends at a token of the
// order, which a descent over keys finds, and among equal keys one over ids; a draw is such a search over ids alone.
// Holds for any row; short_list.cuh is the quick way where few tokens are in question.
#pragma once

#include "definition/draw.h"
#include "definition/filter.h"
#include "kernels/device/source.cuh"

namespace fire::kernels {

// Every finite logit.
__device__ __forceinline__ KeptRule KeepAll() { return {LastOfKey(definition::kMaskedKey + 1), 0}; }

// True where top-p counts the mass of the whole row, whatever the list holds.
__device__ __forceinline__ bool TopPCountsRow(const RowSetup& setup) {
  return setup.top_p_on && (setup.way == Way::kNucleus || setup.phase.order == Order::kJoint);
}

__device__ __forceinline__ WeightScale ReferenceScaleOf(const Storage& storage) {
  const RowSetup& setup = storage.setup;
  return {storage.state.maximum, setup.ref_slope, setup.ref_floor, setup.weight_bits};
}

// Fills storage.outcome, of a row that is not decided. The mass of the whole row must have been found where
// TopPCountsRow or nothing is filtered.
template <typename Tokens>
__device__ __forceinline__ void FindKept(const Tokens& tokens, Storage& storage) {
  const RowSetup& setup = storage.setup;
  const definition::Phase& phase = setup.phase;
  const bool is_unfiltered = setup.way == Way::kAll;
  const uint64_t first_min = phase.order == Order::kVllm ? setup.min_weight : 0;
  // Before part_mass is needed for what else is found in id order.
  const uint64_t row_mass = is_unfiltered || TopPCountsRow(setup) ? RowMass(0, storage) : 0;
  if (threadIdx.x == 0) storage.outcome = {{KeepAll().last, first_min}, row_mass, 0, 0, 0};
  enum Stage { kTopK, kTopP, kDraw, kStages };
#pragma unroll 1
  for (int stage = kTopK; stage < kStages; ++stage) {
    if (stage == kTopK && !setup.top_k_on) continue;
    if (stage == kTopP && !setup.top_p_on) continue;
    __syncthreads();  // the outcome of the stage before is there
    Measure measure = {storage.outcome.rule, stage == kTopK, 0};
    if (stage == kDraw) {
      if (threadIdx.x == 0) storage.outcome.rule.min_weight = setup.min_weight;
      __syncthreads();  // the rule is complete
    }

    uint64_t target = phase.top_k - 1;
    if (stage != kTopK) {
      const bool is_known = is_unfiltered || (stage == kTopP && TopPCountsRow(setup));
      const uint64_t mass = is_known ? storage.outcome.mass : tokens.Sum(measure);
      target =
          stage == kTopP ? definition::TopPTarget(phase.top_p, mass) - 1 : definition::DrawPoint(setup.draw_bits, mass);
      if (stage == kDraw && !is_known && threadIdx.x == 0) storage.outcome.mass = mass;
      if (stage == kDraw && setup.draws == Draws::kNothing) break;
    }
    if (stage != kDraw) {
      const uint32_t top_key = definition::Key(storage.state.maximum);
      tokens.DescendKeys(top_key, measure, target);
      if (storage.in.inside == 0) continue;  // everything together does not reach it
      measure.only_key = top_key - storage.in.low;
      target -= storage.in.before;
      const bool keeps_equals = stage == kTopK ? phase.ties != Ties::kExact : phase.ties == Ties::kKeep;
      const uint64_t each = stage == kTopK ? 1 : WeightOfKey(measure.only_key, ScaleOf(storage));
      if (keeps_equals || target + each >= storage.in.inside) {
        const uint64_t last = LastOfKey(measure.only_key);
        if (threadIdx.x == 0 && last > storage.outcome.rule.last) storage.outcome.rule.last = last;
        continue;
      }
    }
    const uint64_t entry =
        tokens.FindInIdOrder(measure, target, stage == kDraw && is_unfiltered, setup.draws == Draws::kForOwner);
    if (threadIdx.x != 0) continue;
    if (stage == kDraw) {
      storage.outcome.drawn = entry;
    } else if (entry > storage.outcome.rule.last) {
      storage.outcome.rule.last = entry;
    }
  }
  __syncthreads();  // the outcome is there
}

}  // namespace fire::kernels
