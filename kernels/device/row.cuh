// One row, from its logits to its kept set: what every task starts with. docs/kernels.md tells the way in pictures.
//
//   read the row: its maximum, a pivot, the candidates that reach it
//   the mass of the row, where the record asks for it
//   the kept set: of the candidates where they suffice, else of the row itself
//
// Several blocks meet twice on the way: once every part's maxima are known, once the leader has all candidates. Only
// rows whose candidates do not suffice meet more often.
#pragma once

#include "kernels/device/candidates.cuh"
#include "kernels/device/short_list.cuh"
#include "kernels/launch.h"

namespace fire::kernels {

// kAlone: one block has the row.
template <typename Logit, bool kResident, bool kAlone>
class Row {
 public:
  __device__ __forceinline__ Row() : storage_(SharedStorage()) {}

  // Everything below is the same for all threads of the team from here on.
  __device__ __forceinline__ void Read(const Work& work, int64_t row, const Team& whole, uint32_t prefix_shift,
                                       bool wants_reference) {
    ReadMaximum<kResident, Logit>(ShapeOf<Logit>(work.batch, row, whole.rank, whole.blocks), prefix_shift, whole,
                                  storage_, [&] { SetUpRow(work, row, &storage_.setup); });
    ListCandidates<kResident, Logit>(prefix_shift, team(), storage_);

    const bool wants_mass = !IsDecided() && (setup().way == Way::kAll || TopPCountsRow(setup()));
    wants_reference = wants_reference && HasFiniteMaximum();
    if (wants_mass || wants_reference) ShareMasses(wants_mass, wants_reference);
    team().Sync();  // counts, candidates and masses are there
    CollectCounts(team(), storage_);
    if (setup().way == Way::kNucleus && IsListed() && !IsDecided()) DecideWhetherNucleusIsListed();
  }

  __device__ __forceinline__ Team team() const {
    return kAlone ? Team{0, 1} : Team{storage_.part.rank, storage_.part.blocks};
  }
  __device__ __forceinline__ int64_t row() const { return storage_.part.row; }
  __device__ __forceinline__ const RowSetup& setup() const { return storage_.setup; }
  __device__ __forceinline__ float maximum() const { return storage_.state.maximum; }
  __device__ __forceinline__ bool HasFiniteMaximum() const { return maximum() > -INFINITY && maximum() < INFINITY; }
  __device__ __forceinline__ bool IsDecided() const { return !HasFiniteMaximum() || setup().way == Way::kDecided; }
  // The leader has all the tokens in question, and needs no other block any more.
  __device__ __forceinline__ bool IsListed() const { return storage_.state.is_listed != 0; }

  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }
  __device__ __forceinline__ Tokens<Logit, kResident> TokensInQuestion() const {
    return {IsListed(), storage_.state.count, team()};
  }

  __device__ __forceinline__ int32_t Status() const {
    return setup().status | (storage_.state.has_nan ? kStatusNan : 0) |
           (maximum() == -INFINITY ? kStatusNoFiniteLogit : 0) | (maximum() == INFINITY ? kStatusInfinity : 0) |
           (IsDecided() ? kStatusDecided : 0);
  }

  __device__ __forceinline__ const Outcome& outcome() const { return storage_.outcome; }

  // Of a decided row: its only token.
  __device__ __forceinline__ void Decide() const {
    const uint64_t first = FirstEntry();
    // No list holds a row of which nothing is finite: every token reaches −inf.
    const uint32_t reaching = maximum() == -INFINITY ? storage_.part.vocabulary : 0;
    if (threadIdx.x == 0) storage_.outcome = {{first, 0}, 0, first, 1, reaching};
    __syncthreads();  // the outcome is there
  }

  // The kept set and its token, in storage.outcome, for whoever has the tokens in question. The counts are filled in
  // where that costs nothing.
  __device__ __forceinline__ void Find(Draws draws) const {
    if (IsListed()) {
      const uint64_t row_mass = TopPCountsRow(setup()) ? RowMass(0, storage_) : 0;
      const uint32_t count = ShortenList(row_mass);
      if (count != 0) return FindKeptOfShortList(count, ScaleOf(storage_), row_mass, storage_);
    }
    FindKept([this] { return TokensInQuestion(); }, draws, storage_);
  }

 private:
  // The first token of the order, for whoever has the tokens in question.
  __device__ __forceinline__ uint64_t FirstEntry() const {
    uint64_t first = Entry(definition::kMaskedKey, 0);
    if (maximum() == -INFINITY) return first;
    TokensInQuestion().ForEach([&](uint32_t key, uint32_t id) {
      const uint64_t entry = Entry(key, id);
      first = entry > first ? entry : first;
    });
    first = BlockMax(first, storage_);
    return IsListed() ? first : TeamMax(first);
  }

  __device__ __forceinline__ void ShareMasses(bool wants_mass, bool wants_reference) const {
    const Tokens<Logit, kResident> tokens(false, 0, team());
    uint64_t mass = 0;
#pragma unroll 1
    for (uint32_t which = wants_mass ? 0 : 1; which < (wants_reference ? 2 : 1); ++which) {
      const WeightScale scale = which == 0 ? ScaleOf(storage_) : ReferenceScaleOf(storage_);
      const bool is_known = which == 1 && wants_mass && scale.slope == setup().slope && scale.floor == setup().floor;
      if (!is_known) mass = WarpSum(MassPass<kResident>(Part(), scale, storage_.state.has_nan));
      tokens.PushPartMass(mass, which);
    }
  }

  __device__ __forceinline__ uint64_t TeamMax(uint64_t value) const {
    if (team().blocks == 1) return value;
    if (threadIdx.x < team().blocks) ptx::Push(&storage_.block_sum[team().rank], threadIdx.x, value);
    team().Sync();  // every block's maximum is there
    return WarpMax(threadIdx.x % 32 < team().blocks ? storage_.block_sum[threadIdx.x % 32] : 0);
  }

  // It is if the candidates alone reach top-p's target. The leader decides for the team.
  __device__ __forceinline__ void DecideWhetherNucleusIsListed() const {
    if (team().IsLeader()) {
      const uint64_t listed = TokensInQuestion().Sum({KeepAll(), false, 0});
      const bool reaches = listed >= definition::TopPTarget(setup().phase.top_p, RowMass(0, storage_));
      if (threadIdx.x < team().blocks) ptx::Push(&storage_.nucleus_is_listed, threadIdx.x, uint32_t{reaches});
    }
    team().Sync();  // the verdict is there
    if (threadIdx.x == 0) storage_.state.is_listed = storage_.nucleus_is_listed;
    __syncthreads();  // and in force
  }

  // Moves the candidates that can be kept into the short list, and returns their count: 0 where they do not fit.
  __device__ __forceinline__ uint32_t ShortenList(uint64_t row_mass) const {
    const uint32_t count = storage_.state.count;
    uint32_t least_key = 0;
    if (count > kShortList) {
      const bool by_count = setup().top_k_on;
      if (by_count ? setup().phase.top_k > kShortList : setup().way != Way::kNucleus) return 0;
      const uint64_t target = by_count ? setup().phase.top_k : definition::TopPTarget(setup().phase.top_p, row_mass);
      KeptRule alive = KeepAll();
      if (setup().phase.order == Order::kVllm) alive.min_weight = setup().min_weight;
      const uint32_t top_key = definition::Key(maximum());
      const Interval at =
          TokensInQuestion().DescendKeys(top_key, {alive, by_count, 0}, target - 1, by_count ? kShortList : 0);
      if (!at.found) return 0;
      least_key = top_key - at.high;
    }
    if (threadIdx.x == 0) storage_.entry_count = 0;
    __syncthreads();  // no entry is in the short list
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
      const uint64_t entry = storage_.list[i];
      if (KeyOf(entry) < least_key) continue;
      const uint32_t to = atomicAdd(&storage_.entry_count, 1u);
      if (to < kShortList) storage_.short_entry[to] = entry;
    }
    __syncthreads();  // the short list is there
    return storage_.entry_count <= kShortList ? storage_.entry_count : 0;
  }

  Storage& storage_;
};

}  // namespace fire::kernels
