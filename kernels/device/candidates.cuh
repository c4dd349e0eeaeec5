// From a row to its candidates: the largest logit, a pivot that enough tokens reach, and the list of those that do.
//
// The pivot is found among the delegates: whatever number of them reach a value, at least as many tokens of the row do.
// So the list is complete for any data; only its length varies. A long row that one block reads alone is read once: the
// pivot comes from an eighth of it, the rest is filtered on the way in, and the eighth once more from cache.
#pragma once

#include "kernels/device/maxima.cuh"
#include "kernels/device/select.cuh"
#include "kernels/device/setup.cuh"
#include "kernels/device/source.cuh"

namespace fire::kernels {

inline constexpr uint32_t kIncomplete = ~0u;  // a block's count where the list will not do

// At most wanted / kPivotSlack + 2 delegates more than wanted reach the pivot, where they differ enough.
inline constexpr uint32_t kPivotSlack = 16;

inline constexpr uint32_t kMostStreamed = 256;  // tokens: many more would outgrow the list, with a pivot from a part

// A row that needs its whole mass, or more tokens than the list has room for if the pivot came from a part, is read for
// its maximum first.
__device__ __forceinline__ bool ReadsAllFirst(const RowSetup& setup) {
  return setup.way == Way::kAll || setup.way == Way::kNucleus || setup.pivot_count > kMostStreamed;
}

// The pivot as a word of logits, rounded down.
template <typename Logit>
__device__ __forceinline__ uint32_t PivotWord(float pivot) {
  const uint32_t word = pivot == -definition::kFloatMax ? Logit::kLowestFinite : Logit::RoundDown(pivot);
  return Logit::Value(word, 0) == -INFINITY ? Logit::kLowestFinite : word;
}

// How many of the pilot's tokens, 1/2^shift of the row, must reach the pivot so that `wanted` of the whole row do.
// wanted / 2^shift are expected; twice that plus 4 falls short in one row of thousands, which is then read again.
__device__ __forceinline__ uint32_t CountInPilot(uint32_t wanted, uint32_t shift) {
  return min(wanted, 2 * (wanted >> shift) + 4);
}

// By one warp: a value that `wanted` of the delegates reach, and so at least as many tokens. −FLT_MAX where none is to
// be had: every finite logit reaches it.
__device__ __forceinline__ float FindPivot(float maximum, uint32_t wanted, const Storage& storage) {
  const RowSetup& setup = storage.setup;
  if (setup.way == Way::kAll) return -definition::kFloatMax;
  if (setup.way == Way::kDecided || maximum == INFINITY) return maximum;
  float pivot = -definition::kFloatMax;
  if (setup.delegates != 0 && maximum != -INFINITY) {
    const auto* delegate = reinterpret_cast<const float4*>(storage.delegate);
    const uint32_t lane = threadIdx.x % 32, quarter = setup.delegates / 4;
    float smallest = maximum;
#pragma unroll 1
    for (uint32_t i = lane; i < quarter; i += 32) {
      const float4 of = delegate[i];
      smallest = fminf(smallest, fminf(fminf(of.x, of.y), fminf(of.z, of.w)));
    }
    const uint32_t least = __reduce_min_sync(~0u, definition::Key(smallest));
    const uint32_t key =
        SelectKey(max(least, definition::kMaskedKey + 1), definition::Key(maximum), wanted + wanted / kPivotSlack + 2,
                  [&](uint32_t threshold_key) {
                    const float threshold = definition::KeyToFloat(threshold_key);
                    uint32_t reaching = 0;
#pragma unroll 1
                    for (uint32_t i = lane; i < quarter; i += 32) {
                      const float4 of = delegate[i];
                      reaching += (of.x >= threshold) + (of.y >= threshold) + (of.z >= threshold) + (of.w >= threshold);
                    }
                    reaching = __reduce_add_sync(~0u, reaching);
                    return reaching >= wanted ? reaching : 0;
                  });
    if (key != 0) pivot = definition::KeyToFloat(key);
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

// Whether a list of `count` tokens, all that reach `least`, has those that top-k keeps, or all that min-p does.
__device__ __forceinline__ bool HoldsTopK(uint32_t count, float least, float maximum, const RowSetup& setup) {
  if (setup.way != Way::kList || !setup.top_k_on || count >= setup.phase.top_k) return true;
  return setup.min_p_bounds_list && least <= __fadd_rd(maximum, setup.min_p_below);
}

// What a thread has seen in the listed vectors.
struct Expanded {
  float largest;
  uint64_t mass;  // of the candidates, where top-p stands alone
  bool has_nan;
};

// The listed vectors' tokens that reach `least`, as entries: in the list of a block that is alone, else in the leader's
// inbox.
template <bool kFromShared, typename Logit>
__device__ __forceinline__ Expanded ExpandVectors(const RowPart<Logit>& part, float least, const Team& team,
                                                  Storage& storage) {
  Expanded seen = {-INFINITY, 0, false};
  const bool weighs = storage.setup.way == Way::kNucleus;
  const uint32_t count = storage.vector_count, capacity = InboxCapacity(team.blocks);
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    const uint32_t index = storage.vector[i];
    part.ForElementsOf(kFromShared ? part.Resident(index) : part.Any(index), index, [&](float x, uint32_t id) {
      seen.has_nan |= definition::IsNanBits(__float_as_uint(x));
      if (!(x >= least)) return;
      seen.largest = ptx::MaxNumber(seen.largest, x);
      const uint32_t at = atomicAdd(&storage.entry_count, 1u);
      const uint64_t entry = Entry(definition::Key(x), id);
      if (weighs) seen.mass += WeightOfKey(KeyOf(entry), ScaleOf(storage));
      if (team.blocks == 1) {
        if (at < kListCapacity) storage.list[at] = entry;
      } else if (at < capacity) {
        ptx::Push(&SharedInbox()[team.rank * capacity + at], 0, entry);
      }
    });
  }
  return seen;
}

// A warp's run in two: the pilot, which the pivot comes from and which is read first, and the rest that is filtered as
// it comes in. The pilot is the run's end: vocabularies begin with their most frequent tokens, and a pivot that comes
// from where large logits are rare is safe, one from where they are frequent is not.
struct SplitRun {
  Run pilot, rest;
};

template <typename Logit>
__device__ __forceinline__ SplitRun Split(const RowPart<Logit>& part, uint32_t pilot_shift) {
  const Run own = part.OwnRun();
  if (pilot_shift == 0) return {own, {own.end, own.end}};
  const uint32_t tiles = (((own.end - own.begin) >> pilot_shift) + kTile - 1) / kTile;
  const uint32_t length = own.end - own.begin;
  const uint32_t middle = own.begin + (length - min(tiles * kTile, length)) / kTile * kTile;
  return {{middle, own.end}, {own.begin, middle}};
}

// The maxima of a run that holds a NaN, which they pass over.
template <typename Logit>
__device__ __forceinline__ LaneMaxima MaximaWithoutNan(const RowPart<Logit>& part, Run run) {
  LaneMaxima maxima = NoMaxima<Logit>();
  MaximumPass<false, false>(part, run, &maxima);
  return maxima;
}

// The row's largest logit, or its first part's where the rest is still to come, and the delegates: in storage, of every
// block. storage.setup is filled while the row is under way.
template <bool kResident, typename Logit>
__device__ __forceinline__ void ReadMaximum(const PartShape& shape, uint32_t pilot_shift, const Team& team,
                                            Storage& storage, const SetUp& set_up) {
  LaneMaxima maxima = NoMaxima<Logit>();
  {
    const RowPart<Logit> part(shape);
    const Run run = Split(part, pilot_shift).pilot;
    part.PrefetchStart(run);
    const RowInput input = set_up.Read();
    MaximumPass<true, kResident>(part, run, &maxima);
    if (threadIdx.x == 0) {
      storage.vector_count = storage.entry_count = 0;
      storage.part = shape;
    }
    set_up.WorkOut(input, blockDim.x * team.blocks, &storage.setup);
  }
  bool has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));  // also: setup, shape and counts are there
  const RowPart<Logit> part(storage.part);
  if (pilot_shift != 0 && ReadsAllFirst(storage.setup)) {
    MaximumPass<true, false>(part, Split(part, pilot_shift).rest, &maxima);
    pilot_shift = 0;
    has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));
  }
  if (has_nan) maxima = MaximaWithoutNan(part, Split(part, pilot_shift).pilot);
  team.AwaitPeers();
  ShareMaxima<Logit>(maxima, has_nan, storage.setup.delegates, team, storage);
  team.Sync();  // every part's maximum and all delegates are there, and resident parts too
}

// The candidates that reach the pivot: in the list or the inbox, and their number told to all blocks, once the team has
// met. Fills storage.state. False where the pivot came from a part of the row and did not serve for the whole.
template <bool kResident, typename Logit>
__device__ __forceinline__ bool ListCandidates(uint32_t pilot_shift, const Team& team, Storage& storage) {
  const RowPart<Logit> part(storage.part);
  const bool streams = !kResident && pilot_shift != 0 && !ReadsAllFirst(storage.setup);
  if (threadIdx.x < 32) {
    const float maximum = SharedMaximum(team, storage);
    const bool has_nan = AnyBlockHasNan(team, storage);
    const uint32_t count = storage.setup.pivot_count;
    const float pivot = FindPivot(maximum, streams ? CountInPilot(count, pilot_shift) : count, storage);
    if (threadIdx.x == 0) storage.state = {maximum, has_nan, 0, 0}, storage.pivot = PivotWord<Logit>(pivot);
  }
  __syncthreads();  // the state and the pivot are there
  const uint32_t pivot = storage.pivot;
  bool fits =
      storage.setup.way != Way::kAll && (pivot != Logit::kLowestFinite || storage.part.vocabulary <= kListCapacity);
  if (fits) {
    const SplitRun run = Split(part, streams ? pilot_shift : 0);
#pragma unroll 1
    for (int i = 0; i < (streams ? 2 : 1); ++i)
      AppendPass<kResident>(part, i == 0 ? run.pilot : run.rest, pivot, storage);
    __syncthreads();  // every vector is there
    fits = storage.vector_count <= kVectorCapacity;
  }
  const float least = Logit::Value(pivot, 0);
  Expanded seen = {-INFINITY, 0, false};
  if (fits) seen = ExpandVectors<kResident>(part, least, team, storage);
  const bool has_nan = __syncthreads_or(seen.has_nan);  // also: every entry is there
  const uint32_t listed = storage.entry_count;
  if (streams) {
    // Whatever is larger than the first part's maximum reaches the pivot, so it has been seen here.
    const uint32_t own_key = definition::Key(fmaxf(storage.state.maximum, seen.largest));
    const float maximum = definition::KeyToFloat(static_cast<uint32_t>(OfBlock(uint64_t{own_key}, Greater(), storage)));
    // All have met since the counts and the state were read: they may change, also where the row is read again.
    if (!fits || !HoldsTopK(listed, least, maximum, storage.setup)) return false;
    if (threadIdx.x == 0) {
      storage.state.maximum = maximum;
      if (has_nan) storage.state.has_nan = 1;
    }
    __syncthreads();  // the state is there
  }
  if (storage.setup.way == Way::kNucleus) {
    const uint64_t mass = OfBlock(seen.mass, Add(), storage);
    if (threadIdx.x < team.blocks) ptx::Push(&storage.block_mass[team.rank], threadIdx.x, mass);
  }
  const uint32_t capacity = team.blocks == 1 ? kListCapacity : InboxCapacity(team.blocks);
  const bool is_complete = fits && listed <= capacity && HoldsAllThatPass(least, storage.state.maximum, storage.setup);
  if (threadIdx.x < team.blocks)
    ptx::Push(&storage.block_count[team.rank], threadIdx.x, is_complete ? listed : kIncomplete);
  return true;
}

// Once the team has met: whether the list is complete (for top-p alone, whether it reaches the target) and its length.
// The leader's inbox becomes its list.
__device__ __forceinline__ void CollectCounts(const Team& team, Storage& storage) {
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t of_lane = lane < team.blocks ? storage.block_count[lane] : 0;
  const bool is_told = __all_sync(~0u, of_lane != kIncomplete);
  const uint32_t count = __reduce_add_sync(~0u, of_lane);
  bool is_complete = is_told && count <= kListCapacity;
  const RowSetup& setup = storage.setup;
  const float maximum = storage.state.maximum;
  if (setup.way == Way::kNucleus && maximum > -INFINITY && maximum < INFINITY) {
    const uint64_t listed = OfWarp(lane < team.blocks ? storage.block_mass[lane] : 0, Add());
    is_complete = is_complete && listed >= definition::TopPTarget(setup.phase.top_p, RowMass(0, storage));
  }
  if (is_complete && team.blocks > 1 && team.IsLeader()) {
#pragma unroll 1
    for (uint32_t block = threadIdx.x / 32; block < team.blocks; block += blockDim.x / 32) {
      const uint32_t before = __reduce_add_sync(~0u, lane < block ? of_lane : 0);
      const uint32_t of_block = __shfl_sync(~0u, of_lane, block);
#pragma unroll 1
      for (uint32_t i = lane; i < of_block; i += 32)
        storage.list[before + i] = SharedInbox()[block * InboxCapacity(team.blocks) + i];
    }
  }
  if (threadIdx.x == 0) storage.state.is_listed = is_complete, storage.state.count = count;
  if (threadIdx.x == blockDim.x - 1) {
    storage.fast_scale = MakeFastScale(ScaleOf(storage));
    storage.bins_a_unit = BinsAUnit(storage.setup);
  }
  __syncthreads();  // the list, its length and the scales are there
}

}  // namespace fire::kernels
