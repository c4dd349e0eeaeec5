// From a row to its candidates: the largest logit, a pivot that enough tokens reach, and the list of those that do.
//
// The pivot is found among the delegates: whatever number of them reach a value, at least as many tokens of the row do.
// So the list is complete for any data; only its length varies. A long row that one block reads alone is read once: the
// pivot comes from its first part, the rest is filtered on the way in, and the first part once more from cache.
#pragma once

#include "kernels/device/maxima.cuh"
#include "kernels/device/setup.cuh"
#include "kernels/device/source.cuh"

namespace fire::kernels {

// A row that needs its whole mass, or more tokens than the list has room for if the pivot came from a part, is read for
// its maximum first.
__device__ __forceinline__ bool ReadsAllFirst(const RowSetup& setup) {
  return setup.way == Way::kAll || setup.way == Way::kNucleus || setup.pivot_count > kVectorCapacity / 16;
}

// The pivot as a word of logits, rounded down.
template <typename Logit>
__device__ __forceinline__ uint32_t PivotWord(float pivot) {
  const uint32_t word = pivot == -definition::kFloatMax ? Logit::kLowestFinite : Logit::RoundDown(pivot);
  return Logit::Value(word, 0) == -INFINITY ? Logit::kLowestFinite : word;
}

// A value that the tokens in question reach. −FLT_MAX where none is to be had: every finite logit reaches it.
__device__ __forceinline__ float FindPivot(float maximum, uint32_t delegates, Storage& storage) {
  const RowSetup& setup = storage.setup;
  if (setup.way == Way::kAll) return -definition::kFloatMax;
  if (setup.way == Way::kDecided || maximum == INFINITY) return maximum;
  float pivot = -definition::kFloatMax;
  if (delegates >= setup.pivot_count && delegates != 0 && maximum != -INFINITY) {
    const uint32_t top_key = definition::Key(maximum), count = setup.pivot_count;
    const Interval at = Descend(top_key - (definition::kMaskedKey + 1), count - 1, count + count / 8 + 8, Team{0, 1},
                                storage, [&](const auto& visit) {
#pragma unroll 1
                                  for (uint32_t i = threadIdx.x; i < delegates; i += blockDim.x)
                                    visit(top_key - definition::Key(storage.delegate[i]), [] { return uint64_t{1}; });
                                });
    if (at.found) pivot = definition::KeyToFloat(top_key - at.high);
  }
  if (setup.min_p_bounds_list) pivot = fmaxf(pivot, __fadd_rd(maximum, setup.min_p_below));
  return fmaxf(pivot, -definition::kFloatMax);
}

// Whether the list holds all that min-p and top-k may keep, now that the maximum is known: tokens below the pivot must
// fail min-p, or be beyond top-k with every one above it passing.
__device__ __forceinline__ bool HoldsAllThatPass(float least, float maximum, const RowSetup& setup) {
  if (setup.way == Way::kDecided || setup.phase.order != Order::kVllm || setup.min_weight == 0) return true;
  return least >= __fadd_ru(maximum, setup.min_p_above) || least <= __fadd_rd(maximum, setup.min_p_below);
}

// The listed vectors' tokens that reach `least`, as entries: in the list of a block that is alone, else in the leader's
// inbox. `largest` is raised to what is seen. True where a NaN is.
template <typename Logit>
__device__ __forceinline__ bool ExpandVectors(const RowPart<Logit>& part, float least, float* largest, const Team& team,
                                              Storage& storage) {
  bool has_nan = false;
  const uint32_t count = storage.vector_count;
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    part.ForElementsOf(storage.vector[i], storage.vector_index[i], [&](float x, uint32_t id) {
      has_nan |= definition::IsNanBits(__float_as_uint(x));
      if (!(x >= least)) return;
      *largest = ptx::MaxNumber(*largest, x);
      const uint32_t at = atomicAdd(&storage.entry_count, 1u);
      const uint64_t entry = Entry(definition::Key(x), id);
      if (team.blocks == 1) {
        if (at < kListCapacity) storage.list[at] = entry;
      } else if (at < kInboxCapacity) {
        ptx::Push(&SharedInbox()[team.rank * kInboxCapacity + at], 0, entry);
      }
    });
  }
  return has_nan;
}

// A warp's run in two: what the pivot comes from, and the rest that is filtered as it comes in.
struct SplitRun {
  Run first, rest;
};

template <typename Logit>
__device__ __forceinline__ SplitRun Split(const RowPart<Logit>& part, uint32_t prefix_shift) {
  const Run own = part.OwnRun();
  if (prefix_shift == 0) return {own, {own.end, own.end}};
  const uint32_t tiles = (((own.end - own.begin) >> prefix_shift) + kTile - 1) / kTile;
  const uint32_t middle = min(own.begin + tiles * kTile, own.end);
  return {{own.begin, middle}, {middle, own.end}};
}

// The maxima of a run that holds a NaN, which they pass over.
template <typename Logit>
__device__ __forceinline__ LaneMaxima MaximaWithoutNan(const RowPart<Logit>& part, Run run) {
  LaneMaxima maxima = NoMaxima<Logit>();
  MaximumPass<false, false>(part, run, &maxima);
  return maxima;
}

// The row's largest logit, or its first part's where the rest is still to come, and the delegates: in storage, of every
// block. `set_up` fills storage.setup while the row is under way.
template <bool kResident, typename Logit, typename SetUp>
__device__ __forceinline__ void ReadMaximum(const PartShape& shape, uint32_t prefix_shift, const Team& team,
                                            Storage& storage, const SetUp& set_up) {
  LaneMaxima maxima = NoMaxima<Logit>();
  {
    const RowPart<Logit> part(shape);
    MaximumPass<true, kResident>(part, Split(part, prefix_shift).first, &maxima);
  }
  if (threadIdx.x == 0) {
    storage.vector_count = storage.entry_count = 0;
    storage.part = shape;
  }
  set_up();
  bool has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));  // also: setup, shape and counts are there
  const RowPart<Logit> part(storage.part);
  if (prefix_shift != 0 && ReadsAllFirst(storage.setup)) {
    MaximumPass<true, false>(part, Split(part, prefix_shift).rest, &maxima);
    prefix_shift = 0;
    has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));
  }
  if (has_nan) maxima = MaximaWithoutNan(part, Split(part, prefix_shift).first);
  team.AwaitPeers();
  ShareMaxima<Logit>(maxima, has_nan, DelegateCount(storage.setup.pivot_count, team), team, storage);
  team.Sync();  // every part's maximum and all delegates are there, and resident parts too
}

// The candidates that reach the pivot: in the list or the inbox, and their number told to all blocks, once the team has
// met. Fills storage.state.
template <bool kResident, typename Logit>
__device__ __forceinline__ void ListCandidates(uint32_t prefix_shift, const Team& team, Storage& storage) {
  const RowPart<Logit> part(storage.part);
  const bool streams = !kResident && prefix_shift != 0 && !ReadsAllFirst(storage.setup);
  float pivot;
  {
    const float maximum = SharedMaximum(team, storage);
    const bool has_nan = AnyBlockHasNan(team, storage);
    if (threadIdx.x == 0) storage.state = {maximum, has_nan, 0, 0};
    pivot = FindPivot(maximum, DelegateCount(storage.setup.pivot_count, team), storage);
  }
  const uint32_t pivot_word = PivotWord<Logit>(pivot);
  bool fits =
      storage.setup.way != Way::kAll && (pivot > -definition::kFloatMax || storage.part.vocabulary <= kListCapacity);
  float largest = -INFINITY;
  if (fits) {
    const SplitRun run = Split(part, streams ? prefix_shift : 0);
    uint32_t in_rest = Logit::kMaskedWord;
    AppendPass<false, kResident>(part, run.first, pivot_word, &in_rest, storage);
    if (streams) AppendPass<true, false>(part, run.rest, pivot_word, &in_rest, storage);
    largest = Largest<Logit>(in_rest);
    __syncthreads();  // every vector is there
    fits = storage.vector_count <= kVectorCapacity;
  }
  const float least = Logit::Value(pivot_word, 0);
  // Also: the state and every entry are there.
  const bool rest_has_nan = __syncthreads_or(fits && ExpandVectors(part, least, &largest, team, storage));
  if (streams) {
    // The rest may hold a larger logit, or a NaN beside which a maximum went unseen.
    bool has_nan = storage.state.has_nan != 0;
    if (!fits || rest_has_nan) {
      LaneMaxima maxima = NoMaxima<Logit>();
      MaximumPass<true, false>(part, part.OwnRun(), &maxima);
      has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));
      largest = Largest<Logit>(has_nan ? MaximaWithoutNan(part, part.OwnRun()) : maxima);
    }
    const float in_rest = definition::KeyToFloat(static_cast<uint32_t>(BlockMax(definition::Key(largest), storage)));
    const float maximum = fmaxf(storage.state.maximum, in_rest);
    __syncthreads();  // every thread has read the state
    if (threadIdx.x == 0) storage.state = {maximum, has_nan, 0, 0};
    __syncthreads();  // the state is there
  }
  const uint32_t capacity = team.blocks == 1 ? kListCapacity : kInboxCapacity;
  const bool is_complete =
      fits && storage.entry_count <= capacity && HoldsAllThatPass(least, storage.state.maximum, storage.setup);
  if (threadIdx.x < team.blocks)
    ptx::Push(&storage.block_count[team.rank], threadIdx.x, is_complete ? storage.entry_count : ~0u);
}

// Once the team has met: whether the list is complete, and its length. The leader's inbox becomes its list.
__device__ __forceinline__ void CollectCounts(const Team& team, Storage& storage) {
  uint32_t count = 0, is_complete = 1;
#pragma unroll 1
  for (uint32_t block = 0; block < team.blocks; ++block) {
    const uint32_t of_block = storage.block_count[block];
    if (of_block == ~0u || count + of_block > kListCapacity) is_complete = 0;
    if (is_complete && team.blocks > 1 && team.IsLeader()) {
#pragma unroll 1
      for (uint32_t i = threadIdx.x; i < of_block; i += blockDim.x)
        storage.list[count + i] = SharedInbox()[block * kInboxCapacity + i];
    }
    count += of_block;
  }
  if (threadIdx.x == 0) storage.state.is_listed = is_complete, storage.state.count = count;
  __syncthreads();  // the list and its length are there
}

}  // namespace fire::kernels
