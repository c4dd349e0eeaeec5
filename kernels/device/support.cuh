// The kernel of sample_with_support: one row a team of blocks, its token drawn as SampleRows draws it, and then the set
// that it was drawn from, in the order of ids.
//
// A kept set is a rule, so there is one way for all filters. Where the rule keeps more tokens than there are places, it
// is tightened to the first of them, which a descent finds as it finds the k-th token. The leader has the kept set of a
// short list in the order of ids as it finds it; what the rule keeps of a longer list, or of a cut one, it gathers and
// sorts. Of a row that is not listed each warp counts what is kept of its run, learns how many stand before that, and
// writes its run.
//
// Costs nothing beyond the list where the row is listed; else two more readings of the row. A cut costs one or two
// descents, of up to six readings where the row is not listed, and there one more count.
#pragma once

#include "kernels/device/sample.cuh"
#include "kernels/device/sort.cuh"

namespace fire::kernels {

template <typename Logit>
class SupportSampler : private RowSampler<Logit, false> {
 public:
  __device__ __forceinline__ explicit SupportSampler(const Work& work)
      : RowSampler<Logit, false>(work), support_(work.support), storage_(SharedStorage()) {}

  __device__ __forceinline__ void Sample(int64_t row, const Team& team, const Geometry& geometry) {
    this->row_.Read(this->work_, row, team, geometry);
    if (IsListed() && !this->row_.team().IsLeader()) return;
    if (threadIdx.x == 0) storage_.is_sorted = 0;  // barriers follow
    this->template FindToken<true>(this->row_.Look());
    if (IsListed() && !this->row_.team().IsLeader()) return;
    const bool is_cut = !HasOneToken() && CountKept() > Width();
    if (is_cut) Cut();
    this->CountKeptAndRank();
    if (this->row_.team().IsLeader() && threadIdx.x < 32) this->Write(is_cut ? kStatusSupportCut : 0);
    if (HasOneToken() || IsListed()) {
      if (this->row_.team().IsLeader()) WriteListed(storage_.is_sorted != 0 && !is_cut);
    } else {
      WriteRuns();
    }
  }

 private:
  __device__ __forceinline__ uint32_t Width() const { return static_cast<uint32_t>(support_.width); }
  __device__ __forceinline__ bool IsListed() const { return this->row_.IsListed(); }
  __device__ __forceinline__ bool HasOneToken() const { return this->row_.HasOneToken(); }
  __device__ __forceinline__ TokenMeasure Counts() const {
    return {.rule = storage_.outcome.rule, .counts = true, .only_key = 0};
  }
  // Of a kept token: a cut leaves the drawn one in, wherever it stands.
  __device__ __forceinline__ bool HasPlace(uint64_t entry) const {
    uint64_t weight;
    return entry == storage_.outcome.drawn || Counts().Keeps(KeyOf(entry), IdOf(entry), &weight);
  }

  // Counts what the rule keeps, for all threads: where the row is not listed, of each warp's run, in part_mass[0].
  __device__ __forceinline__ uint32_t CountRuns() const {
    this->row_.TokensInQuestion().ShareParts(Counts());
    return static_cast<uint32_t>(RowMass(0, storage_));
  }
  __device__ __forceinline__ uint32_t CountKept() const {
    uint32_t kept = storage_.outcome.kept;  // short lists know it
    if (kept == 0) {
      kept = IsListed() ? static_cast<uint32_t>(this->row_.TokensInQuestion().Sum(Counts())) : CountRuns();
      // Between two barriers: all have read the last count, which is none, before they met.
      if (threadIdx.x == 0) storage_.outcome.kept = kept;
      __syncthreads();  // the count is written; else some threads count again
    }
    return kept;
  }

  // Tightens the rule to the first tokens of the kept set that there are places for; to one less where the drawn one,
  // which needs a place, is not among them.
  __device__ __forceinline__ void Cut() const {
    uint64_t last = ~uint64_t{0};
    // One loop over two descents, not two calls: they inline.
#pragma unroll 1
    for (uint32_t places = Width(); places + 2 > Width(); --places) {
      last = places == 0 ? ~uint64_t{0} : EntryAt(places - 1);
      if (storage_.outcome.drawn >= last) break;
    }
    // All have met since they searched by the rule.
    if (threadIdx.x == 0) storage_.outcome.rule.last = last;
    __syncthreads();  // the rule is written; else some threads keep by the older one
    if (!IsListed()) CountRuns();
  }

  // The entry before which `place` others of the kept set stand in the order of tokens.
  __device__ __forceinline__ uint64_t EntryAt(uint32_t place) const {
    const auto tokens = this->row_.TokensInQuestion();
    const uint32_t top_key = definition::Key(this->row_.maximum());
    TokenMeasure measure = Counts();
    tokens.DescendKeys(top_key, measure, place);
    measure.only_key = top_key - storage_.in.low;
    return tokens.FindInIdOrder(measure, place - storage_.in.before, false);
  }

  // Writes a support that one block has: of a listed row, or of one whose token is certain.
  __device__ __forceinline__ void WriteListed(bool is_sorted) const {
    const uint64_t* entries = &storage_.outcome.drawn;
    uint32_t count = 1;
    if (!HasOneToken()) {
      entries = is_sorted ? storage_.sorted.entry : storage_.running;
      count = is_sorted ? storage_.outcome.kept : GatherSorted(storage_.running);
    }
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) Put(i, entries[i]);
    PutNone(count, threadIdx.x, blockDim.x);
  }

  // Copies what of the list has a place, in the order of ids, and returns its count.
  __device__ __forceinline__ uint32_t GatherSorted(uint64_t* to) const {
    // All have met since they read what was counted last.
    if (threadIdx.x == 0) storage_.entry_count = 0;
    __syncthreads();  // the count is reset; else entries are lost
    this->row_.TokensInQuestion().ForEach([&](uint32_t key, uint32_t id) {
      if (HasPlace(Entry(key, id))) to[atomicAdd(&storage_.entry_count, 1u)] = Entry(key, id);
    });
    __syncthreads();  // every entry is there; else some are left out
    const uint32_t count = storage_.entry_count, places = PlacesFor(count);
    for (uint32_t i = count + threadIdx.x; i < places; i += blockDim.x) to[i] = 0;
    SortDescending(to, places, uint64_t{0xFFFFFFFFu});
    return count;
  }

  // Writes this warp's run of the support, and its share of the places behind, once every run is counted.
  __device__ __forceinline__ void WriteRuns() const {
    const RowPart<Logit> part = this->row_.Part();
    const Team team = this->row_.team();
    const uint32_t lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const uint32_t own = team.rank * warps + threadIdx.x / 32;
    const Run ids = part.IdsOf(part.OwnRun());
    // A drawn token beyond the cut is in no count.
    const uint64_t drawn = storage_.outcome.drawn;
    const bool is_uncounted = drawn < storage_.outcome.rule.last;
    uint64_t before = 0;
#pragma unroll 1
    for (uint32_t i = lane; i < own; i += 32) before += storage_.part_mass[0][i];
    uint32_t place = static_cast<uint32_t>(ReduceWarp(before, Add())) + (is_uncounted && IdOf(drawn) < ids.begin);
#pragma unroll 1
    for (uint32_t first = ids.begin; first < ids.end; first += 32) {
      const uint32_t id = first + lane;
      const uint64_t entry = id < ids.end ? Entry(definition::Key(part.LogitAt(id)), id) : 0;
      const bool has_place = id < ids.end && HasPlace(entry);
      const uint32_t with_place = __ballot_sync(~0u, has_place);
      if (has_place) Put(place + __popc(with_place & ((1u << lane) - 1)), entry);
      place += __popc(with_place);
    }
    const uint32_t count = static_cast<uint32_t>(RowMass(0, storage_)) + is_uncounted;
    PutNone(count, team.rank * blockDim.x + threadIdx.x, team.blocks * blockDim.x);
  }

  __device__ __forceinline__ void Put(uint32_t place, uint64_t entry) const {
    if (place >= Width()) return;  // come what may
    const int64_t at = this->row_.row() * support_.width + place;
    support_.token[at] = static_cast<int32_t>(IdOf(entry));
    if (support_.logprob != nullptr) support_.logprob[at] = this->row_.LogProb(entry);
  }

  // Writes every stride-th of the places from `count` on, from the thread-th on.
  __device__ __forceinline__ void PutNone(uint32_t count, uint32_t thread, uint32_t stride) const {
    const int64_t row = this->row_.row() * support_.width;
#pragma unroll 1
    for (uint32_t place = count + thread; place < Width(); place += stride) {
      support_.token[row + place] = -1;
      if (support_.logprob != nullptr) support_.logprob[row + place] = -INFINITY;
    }
  }

  const SupportOutputs& support_;
  Storage& storage_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    SupportRows(const __grid_constant__ Work work, int64_t first_row, const __grid_constant__ Geometry geometry) {
  const Team team = {ptx::ClusterRank(), 1u << geometry.block_bits};
  team.Announce();
  ptx::WaitForPriorGrids();
  SupportSampler<Logit>(work).Sample(first_row + (blockIdx.x >> geometry.block_bits), team, geometry);
}

}  // namespace fire::kernels
