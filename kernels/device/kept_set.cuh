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
// TopPCountsRow or nothing is filtered. Top-k's tokens of a row become the leader's list as soon as they are known,
// without equals beyond the last, which count only for a rank: the other blocks then have nothing more to do.
template <typename Tokens>
__device__ __forceinline__ void FindKept(const Tokens& tokens, Storage& storage) {
  const RowSettings& settings = storage.settings;
  const definition::Phase& phase = settings.phase;
  const uint64_t first_min = phase.order == Order::kVllm ? settings.min_weight : 0;
  // Before part_mass is needed for what else is found in id order.
  const bool is_whole_drawn = settings.regime == Regime::kAll && !TakesPlace(settings);
  const uint64_t row_mass = is_whole_drawn ? RowMass(0, storage) : storage.row_mass;
  if (ptx::ThreadAnew() == 0)
    storage.outcome = {
        .rule = {.last = KeepAll().last, .min_weight = first_min}, .mass = row_mass, .drawn = 0, .kept = 0, .rank = 0};
  if (ptx::ThreadAnew() == 0) storage.row_search.kept_equals = 0;
  // One loop over three stages, not three calls: sums, descents and the search by id inline, and would be there thrice.
  // Of which stage a turn is the compiler must not know, or it makes that copy for each of them after all.
  enum Stage { kTopK, kTopP, kDraw, kStages };
  const auto stage_from = [&](uint32_t stage) {
    if (stage == kTopK && !TopKIsOn(settings)) ++stage;
    if (stage == kTopP && !TopPIsOn(settings)) ++stage;
    ptx::Keep(&stage);
    return stage;
  };
  const auto stage_after = [&] {
    const uint32_t stage = stage_from(storage.stage + 1);
    // All have read which stage was the last, and it has written the outcome; else some leave one out, or read what was
    // there before.
    __syncthreads();
    return stage;
  };
#pragma unroll 1
  for (uint32_t stage = stage_from(kTopK); stage < kStages; stage = stage_after()) {
    if (ptx::ThreadAnew() == 0) storage.stage = stage;
    __syncthreads();  // the stage is written, and the first outcome; else some threads measure by an older rule
    if (stage == (TopPIsOn(settings) ? kTopP : kDraw) && (settings.asks & kAsksReference) == 0 && TopKIsOn(settings) &&
        phase.top_k <= kListCapacity && !tokens.IsList() && tokens.ListUpToLast() && storage.part.rank != 0)
      return;
    // A token that is taken by its place in the order is found as the k-th is.
    const bool takes_place = stage == kDraw && TakesPlace(settings);
    TokenMeasure measure = {.rule = storage.outcome.rule, .counts = stage == kTopK || takes_place, .only_key = 0};
    if (stage == kDraw && phase.order != Order::kVllm && settings.min_weight != 0) {
      if (ptx::ThreadAnew() == 0) storage.outcome.rule.min_weight = settings.min_weight;
      __syncthreads();  // min-p's weight is in the rule; else some threads draw among tokens that fail it
    }

    uint64_t target = phase.top_k - 1, rest = 0;
    if (stage != kTopK) {
      const bool draws = stage == kDraw && !takes_place, is_whole = draws && settings.regime == Regime::kAll;
      const bool is_known = is_whole || (stage == kTopP && TopPCountsRow(settings));
      // A search of a row in id order asks for what each part of it measures.
      const bool is_searched = draws && TopPIsOn(settings) && (phase.order == Order::kVllm || settings.min_weight == 0);
      const uint64_t mass = is_known ? storage.outcome.mass : tokens.SumByParts(measure, is_searched);
      if (takes_place) {
        const uint32_t kept = static_cast<uint32_t>(mass);
        target = definition::PlaceOf(settings.record, kept);
        if (ptx::ThreadAnew() == 0) storage.outcome.kept = kept;
      } else {
        target = stage == kTopP ? definition::TopPTarget(phase.top_p, mass) - 1
                                : definition::DrawPoint(settings.draw_bits, mass);
        if (stage == kTopP) rest = mass - target;
        if (stage == kDraw && !is_known && ptx::ThreadAnew() == 0) storage.outcome.mass = mass;
      }
      if (stage == kDraw && !settings.seeks_token) continue;
    }
    if (stage != kDraw || takes_place) {
      const uint32_t top_key = definition::Key(storage.state.maximum);
      tokens.DescendKeys(top_key, measure, target, rest);
      if (storage.in.inside == 0) continue;  // everything together does not reach it
      measure.only_key = top_key - storage.in.low;
      target = storage.row_search.target - storage.in.before;
      stage = storage.stage;  // not kept in a register over a search, which needs all of them
      const bool keeps_equals = stage == kTopK ? phase.ties != Ties::kExact : phase.ties == Ties::kKeep;
      const uint64_t each = stage == kTopK ? 1 : WeightOfKey(measure.only_key, ScaleOf(storage));
      if (stage != kDraw && (keeps_equals || target + each >= storage.in.inside)) {
        const uint64_t last = LastOfKey(measure.only_key);
        if (ptx::ThreadAnew() == 0 && last > storage.outcome.rule.last) storage.outcome.rule.last = last;
        if (ptx::ThreadAnew() == 0 && storage.row_search.narrowed != Narrowed::kToRow)
          storage.row_search.kept_equals = kAllEquals;
        continue;
      }
    }
    const uint64_t entry = tokens.FindInIdOrder(measure, target, measure.only_key == 0);
    stage = storage.stage;
    if (ptx::ThreadAnew() != 0) continue;
    if (stage == kDraw) {
      storage.outcome.drawn = entry;
    } else {
      if (entry > storage.outcome.rule.last) storage.outcome.rule.last = entry;
      if (storage.row_search.narrowed == Narrowed::kToEquals) {
        const uint64_t each = stage == kTopK ? 1 : WeightOfKey(measure.only_key, ScaleOf(storage));
        storage.row_search.kept_equals = target - storage.found_rest + each;
      } else if (storage.row_search.narrowed == Narrowed::kToLists) {
        storage.row_search.kept_equals = kAllEquals;
      }
    }
  }
}

}  // namespace fire::kernels
