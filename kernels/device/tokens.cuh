// The tokens among which a kept set is sought: the leader's list of candidates, or the row itself, shared by the team.
// What is asked of either is the same, so one piece of code serves both.
#pragma once

#include "kernels/device/searched_row.cuh"

namespace fire::kernels {

// The leader's list where storage.state says that it has the tokens in question, else the row.
template <typename Logit, bool kResident, bool kAlone>
class Tokens : public SearchedRow<Logit, kResident, kAlone> {
  using Base = SearchedRow<Logit, kResident, kAlone>;
  using Base::FindInOwnPart;
  using Base::ForIds;
  using Base::ForList;
  using Base::Part;
  using Base::storage_;

 public:
  using Base::IsList;
  using Base::ListUpToLast;
  using Base::ShareParts;
  using Base::team;

  // visit(key, id) for every token that this block has.
  template <typename Visit>
  __device__ __forceinline__ void ForEach(const Visit& visit) const {
    if (IsList()) {
      ForList(storage_.state.count, visit);
    } else {
      ForIds(Part().IdsOf({storage_.part.begin, storage_.part.end}), ptx::ThreadAnew(), blockDim.x, visit);
    }
  }

  // Finds where the running measure over descending keys, from `top_key` on, exceeds the target: storage.in, ordinals
  // are distances from `top_key`. `rest`: what of the mass is beyond the target, where weights are measured.
  __device__ __forceinline__ void DescendKeys(uint32_t top_key, const TokenMeasure& measure, uint64_t target,
                                              uint64_t rest = 0) const {
    SearchIn({.low = 0, .high = top_key - (definition::kMaskedKey + 1), .before = 0, .inside = 0}, storage_);
    // Weights are measured without so many of their bits that 31 bits hold the mass.
    if (ptx::ThreadAnew() == 0)
      storage_.row_search = {
          .target = target,
          .reach = IsList() ? 0 : this->Reach(measure, rest),
          .shift =
              rest == 0 ? 0u : 33u - min(33u, static_cast<uint32_t>(__clzll(static_cast<long long>(target + rest))))};
    if (!IsList()) {
      if (this->EndsAmongLargest(measure)) return;
      this->NarrowInRow(measure);
      if (storage_.in.inside == 0 || storage_.in.low == storage_.in.high) return;
    }
    __syncthreads();  // the target is written; else some threads seek an older one
    SearchByHistogram(storage_.row_search.target, team(), storage_, [&](const auto& visit) {
      ForEachInQuestion([&](uint32_t key, uint32_t id) { visit(top_key - key, [&] { return measure(key, id); }); });
    });
  }

  // Sums what all tokens measure, for every thread.
  __device__ __forceinline__ uint64_t Sum(const TokenMeasure& measure) const {
    uint64_t sum = 0;
    if (IsList()) {
      ForList(storage_.state.count, [&](uint32_t key, uint32_t id) { sum += measure(key, id); });
    } else {
      sum = this->SumOf(Part().OwnRun(), measure);
    }
    return ReduceTeam(sum, Add(), team(), storage_);
  }

  // The same; of a row part_mass[0] then has what each part of it measures. `is_searched`: a search has found, by the
  // same measure, the last that is kept. The team must have met since part_mass was read.
  __device__ __forceinline__ uint64_t SumByParts(const TokenMeasure& measure, bool is_searched) const {
    if (!IsList()) {
      if (is_searched && storage_.row_search.kept_equals != 0) {
        this->AddWindow(measure);
      } else {
        ShareParts(measure);
      }
      return RowMass(0, storage_);
    }
    uint64_t sum = 0;
    ForList(storage_.state.count, [&](uint32_t key, uint32_t id) { sum += measure(key, id); });
    return ReduceBlock(sum, Add(), storage_);
  }

  // Finds the entry at which the running measure in id order exceeds the target. `are_shared`: part_mass[0] holds what
  // each part of the row measures; else tokens of the key that a search has found are measured, in one run where it has
  // counted them by parts. For every thread of the team, which must have met before the next.
  __device__ __forceinline__ uint64_t FindInIdOrder(const TokenMeasure& measure, uint64_t target,
                                                    bool are_shared) const {
    if (IsList() || (!are_shared && storage_.row_search.narrowed != Narrowed::kToEquals)) {
      SearchIn({.low = 0, .high = storage_.part.vocabulary - 1, .before = 0, .inside = 0}, storage_);
      SearchByHistogram(target, team(), storage_, [&](const auto& visit) {
        ForEachInQuestion([&](uint32_t key, uint32_t id) { visit(id, [&] { return measure(key, id); }); });
      });
      const uint32_t blocks = team().blocks;
      ForEachInQuestion([&](uint32_t key, uint32_t id) {
        if (id != storage_.in.low) return;
        storage_.found_rest = target - storage_.in.before;
#pragma unroll 1
        for (uint32_t block = 0; block < blocks; ++block) ptx::Push(&storage_.found_entry, block, Entry(key, id));
      });
    } else {
      FindInOwnPart(measure, target);
    }
    team().Sync();  // the entry is pushed to all blocks; else they read an older one
    return storage_.found_entry;
  }

 private:
  // visit(key, id) for what a search that has narrowed so far need look at.
  template <typename Visit>
  __device__ __forceinline__ void ForEachInQuestion(const Visit& visit) const {
    if (IsList() || storage_.entry_count <= kListCapacity) {
      ForList(IsList() ? storage_.state.count : storage_.entry_count, visit);
    } else {
      ForEach(visit);
    }
  }
};

}  // namespace fire::kernels
