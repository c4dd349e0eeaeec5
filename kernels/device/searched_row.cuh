// What a search of a row is good for once it has ended: the mass of what is kept, part by part, and a list of top-k's
// tokens.
#pragma once

#include "kernels/device/row_search.cuh"

namespace fire::kernels {

template <typename Logit, bool kResident, bool kAlone>
class SearchedRow : public RowSearcher<Logit, kResident, kAlone> {
 protected:
  using Base = RowSearcher<Logit, kResident, kAlone>;
  using Base::ForList;
  using Base::List;
  using Base::Part;
  using Base::storage_;

  // Makes part_mass[0] what each part of the row measures that is kept, after a search that has found kept_equals: to
  // what it measures above the window comes what is kept of that. `measure` keeps nothing beyond the end of the search.
  __device__ __forceinline__ void AddWindow(const TokenMeasure& measure) const {
    const Team team = this->team();
    if (storage_.row_search.narrowed == Narrowed::kToLists) {
      ForList(storage_.entry_count, [&](uint32_t key, uint32_t id) {
        AddTo(&storage_.part_mass[0][team.rank * (blockDim.x / 32) + Part().WarpOf(id)], measure(key, id));
      });
      __syncthreads();  // the sums of this block's parts are complete; else others get less
      if (team.blocks > 1) {
        const uint64_t own = storage_.part_mass[0][team.rank * (blockDim.x / 32) + ptx::ThreadAnew() / 32];
        __syncwarp();  // all lanes have read the sum; else one of them overwrites it, if with the same
        PushPartMass(own, 0, team, storage_);
      }
    } else {
      const uint32_t part = ptx::ThreadAnew();
      const uint64_t own = part < blockDim.x / 32 * team.blocks ? storage_.part_mass[0][part] : 0;
      const uint64_t before = BlockRunning(own, storage_) - own, kept = storage_.row_search.kept_equals;
      if (part < blockDim.x / 32 * team.blocks)
        storage_.part_mass[0][part] = storage_.part_within[part] + (before < kept ? min(own, kept - before) : 0);
    }
    // Every part's sum is there, and all have read the last token that was found; else the point falls into the wrong
    // part, or the drawn token overwrites the other.
    team.Sync();
  }

  // Makes the row's tokens up to the last that storage.outcome's rule keeps, and perhaps a few more, the leader's list,
  // where that has room for them: true then. The other blocks' list is empty.
  __device__ __forceinline__ bool ListUpToLast() const {
    const Team team = this->team();
    if (storage_.row_search.narrowed != Narrowed::kToLists || !storage_.row_search.lists_all) {
      // All have met since they read the last list.
      if (ptx::ThreadAnew() == 0) storage_.entry_count = 0;
      __syncthreads();  // the list is empty; else entries are lost
      const RowMeasure within({.rule = storage_.outcome.rule, .counts = true, .only_key = 0});
      const Run run = Part().OwnRun(), full = Part().FullOf(run);
      if (MayKeepOfOwnRun()) {
        Part().template ForLogits<kResident>(full, [&](float x, uint32_t id) {
          if (within.Keeps(x, id)) List(definition::Key(x), id);
        });
        Part().template ForElementsBut<kResident>(full, run, [&](float x, uint32_t id) {
          if (within.Keeps(x, id)) List(definition::Key(x), id);
        });
      }
    }
    __syncthreads();  // every entry is counted, and all have seen that the row is not listed yet; else threads disagree
    uint32_t count = storage_.entry_count;
    if (team.blocks > 1) {
      const uint32_t lane = ptx::ThreadAnew() % 32, listed = count;
      if (ptx::ThreadAnew() < team.blocks) ptx::Push(&storage_.block_count[team.rank], ptx::ThreadAnew(), listed);
      team.Sync();  // every block's count is pushed; else entries overwrite each other
      const uint32_t of_lane = lane < team.blocks ? storage_.block_count[lane] : 0;
      const uint32_t before = __reduce_add_sync(~0u, lane < team.rank ? of_lane : 0);
      count = __reduce_add_sync(~0u, of_lane);
      if (count <= kListCapacity && !team.IsLeader()) {
#pragma unroll 1
        for (uint32_t i = ptx::ThreadAnew(); i < listed; i += blockDim.x)
          ptx::Push(&storage_.list[before + i], 0, storage_.list[i]);
      }
      team.Sync();  // every entry is in the leader's list; else those that come late are lost
    }
    if (count > kListCapacity) return false;
    if (ptx::ThreadAnew() == 0) storage_.state.is_listed = 1, storage_.state.count = team.IsLeader() ? count : 0;
    __syncthreads();  // the list's length is written; else some threads search the row
    return true;
  }

 private:
  // False where counted parts tell that nothing is kept of this warp's run.
  __device__ __forceinline__ bool MayKeepOfOwnRun() const {
    const RowSearch& search = storage_.row_search;
    if (search.narrowed != Narrowed::kToEquals || search.kept_equals == 0) return true;
    const uint32_t own = this->team().rank * (blockDim.x / 32) + ptx::ThreadAnew() / 32;
    uint64_t before = 0;
#pragma unroll 1
    for (uint32_t i = ptx::ThreadAnew() % 32; i < own; i += 32) before += storage_.part_mass[0][i];
    return ReduceWarp(before, Add()) < search.kept_equals || storage_.part_within[own] != 0;
  }
};

}  // namespace fire::kernels
