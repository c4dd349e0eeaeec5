// From a row to its candidates: the largest logit, a pivot that enough tokens reach, and the list of those that do.
//
// The pivot is found among the delegates: whatever number of them reach a value, at least as many tokens of the row do.
// So the list is complete for any data; only its length varies. A long row that one block reads alone is read once: the
// pivot comes from an eighth of it, the rest is filtered on the way in, and the eighth once more from cache.
#pragma once

#include "kernels/device/counts.cuh"
#include "kernels/device/pivot.cuh"
#include "kernels/device/settings.cuh"
#include "kernels/device/tokens.cuh"

namespace fire::kernels {

inline constexpr uint32_t kMostStreamed = 256;  // tokens: many more would outgrow the list, with a pivot from a part

// A row that needs its whole mass, or more tokens than the list has room for if the pivot came from a part, is read for
// its maximum first.
__device__ __forceinline__ bool ReadsAllFirst(const RowSettings& settings) {
  return settings.regime == Regime::kAll || settings.regime == Regime::kNucleus || settings.pivot_count > kMostStreamed;
}

// Its pivot comes from a part, and the rest is filtered as it comes in.
template <bool kResident>
__device__ __forceinline__ bool Streams(uint32_t pilot_shift, const RowSettings& settings) {
  return !kResident && pilot_shift != 0 && !ReadsAllFirst(settings);
}

// How many of the pilot's tokens, 1/2^shift of the row, must reach the pivot so that `wanted` of the whole row do.
// wanted / 2^shift are expected; twice that plus 4 falls short in one row of thousands, which is then read again.
__device__ __forceinline__ uint32_t CountInPilot(uint32_t wanted, uint32_t shift) {
  return min(wanted, 2 * (wanted >> shift) + 4);
}

// True of a row whose mass is found while its candidates are listed, in one reading: top-p alone needs both, of each
// logit, and what is not resident comes from far.
template <bool kResident>
__device__ __forceinline__ bool IsWeighedWhileListed(const Storage& storage) {
  const float maximum = storage.state.maximum;
  return !kResident && storage.settings.regime == Regime::kNucleus && maximum > -INFINITY && maximum < INFINITY &&
         storage.state.has_nan == 0 && storage.fast_scale.is_exact;
}

// True where the reference's scale is the row's.
__device__ __forceinline__ bool ReferenceHasRowsScale(const RowSettings& settings) {
  return settings.ref_slope == settings.slope && settings.ref_floor == settings.floor;
}

// What a thread has seen in the listed vectors.
struct Expanded {
  float largest;
  uint64_t mass;  // of the candidates, where top-p stands alone
  bool has_nan;
};

// Writes the listed vectors' tokens that reach `least` as entries: in the leader's inbox, and what that has no room for
// in the block's own list. The leader lists its own at once. Of few vectors a thread has one logit, not one after the
// other of a vector.
template <bool kFromShared, typename Logit>
__device__ __forceinline__ Expanded ExpandVectors(const RowPart<Logit>& part, float least, const Team& team,
                                                  Storage& storage) {
  Expanded seen = {.largest = -INFINITY, .mass = 0, .has_nan = false};
  const bool weighs = storage.settings.regime == Regime::kNucleus;
  const uint32_t count = storage.vector_count, capacity = team.IsLeader() ? 0 : InboxCapacity(team.blocks);
  const auto visit = [&](float x, uint32_t id) {
    seen.has_nan |= IsNan(x);
    if (!(x >= least)) return;
    seen.largest = ptx::MaxNumber(seen.largest, x);
    const uint32_t at = atomicAdd(&storage.entry_count, 1u);
    const uint64_t entry = Entry(definition::Key(x), id);
    if (weighs) seen.mass += WeightOfKey(KeyOf(entry), ScaleOf(storage));
    if (at < capacity) {
      ptx::Push(&InboxOf(team.rank, team)[at], 0, entry);
    } else if (at < kListCapacity) {
      storage.list[at] = entry;
    }
  };
  if (count * Logit::kPerVector <= blockDim.x) {
    const uint32_t i = threadIdx.x / Logit::kPerVector;
    if (i >= count) return seen;
    const uint32_t id =
        part.IdOfFirst(storage.vector[i]) + threadIdx.x % Logit::kPerVector;  // a huge one before the row
    if (id < part.vocabulary()) visit(part.template LogitAt<kFromShared>(id), id);
    return seen;
  }
#pragma unroll 1
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    const uint32_t index = storage.vector[i];
    part.ForElementsOf(kFromShared ? part.Resident(index) : part.Any(index), index, visit);
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
  if (pilot_shift == 0) return {.pilot = own, .rest = {own.end, own.end}};
  const uint32_t tiles = (((own.end - own.begin) >> pilot_shift) + kTile - 1) / kTile;
  const uint32_t length = own.end - own.begin;
  const uint32_t middle = own.begin + (length - min(tiles * kTile, length)) / kTile * kTile;
  return {.pilot = {middle, own.end}, .rest = {own.begin, middle}};
}

// Reads the row's largest logit, or its pilot's where the rest is still to come, and the delegates, into the storage of
// every block, which FindPivot waits for. storage.settings is filled while the row is under way. `again`: the row is
// read for the second time, for each block's own delegates, which are finer.
template <bool kResident, typename Logit>
__device__ __forceinline__ void ReadMaximum(const PartShape& shape, uint32_t pilot_shift, bool again, const Team& team,
                                            Storage& storage, const SettingsReader& settings_reader) {
  LaneMaxima maxima = NoMaxima<Logit>();
  {
    const RowPart<Logit> part(shape);
    const Run run = Split(part, pilot_shift).pilot;
    part.PrefetchStart(run);
    const RowInput input = settings_reader.Read(&storage.settings);
    MaximumPass<true, kResident>(part, run, &maxima);
    ClearBinCounts(storage);
    if (threadIdx.x == 0) {
      storage.vector_count = storage.entry_count = 0;
      if (!again) storage.part = shape;
    }
    settings_reader.WorkOut(input, blockDim.x * team.blocks, &storage.settings);
  }
  float largest = Largest<Logit>(maxima);
  // Also: settings and shape are written; else old ones rule.
  bool has_nan = __syncthreads_or(IsNan(largest));
  if (pilot_shift != 0 && ReadsAllFirst(storage.settings)) {
    const RowPart<Logit> part(storage.part);
    MaximumPass<true, false>(part, Split(part, pilot_shift).rest, &maxima);
    pilot_shift = 0;
    largest = Largest<Logit>(maxima);
    has_nan = __syncthreads_or(IsNan(largest));
  }
  if (has_nan) {
    const RowPart<Logit> part(storage.part);
    maxima = MaximaWithoutNan(part, Split(part, pilot_shift).pilot);
    largest = Largest<Logit>(maxima);
  }
  if (!again) team.AwaitPeers();
  ShareMaxima<Logit>(maxima, largest, has_nan, again ? 4 * blockDim.x : storage.settings.delegates,
                     again ? 0 : storage.settings.lane_bits, again, team, storage);
  team.Arrive();
}

// The team, its rank asked of shared memory: a pass over a row has no register for a rank that is needed behind it.
__device__ __forceinline__ Team TeamAnew(const Team& team, const Storage& storage) {
  return {team.blocks == 1 ? 0 : storage.part.rank, team.blocks};
}

// Lists the candidates that reach the pivot, in the list or the inbox. Returns what this block has to tell of their
// number, or kFellShort where the pivot came from a part of the row and did not serve for the whole.
template <bool kResident, typename Logit>
__device__ __forceinline__ uint32_t ListCandidates(uint32_t pilot_shift, bool again, const Team& team,
                                                   Storage& storage) {
  const RowPart<Logit> part(storage.part);
  const bool streams = Streams<kResident>(pilot_shift, storage.settings);
  const uint32_t wanted = storage.settings.pivot_count;
  FindPivot<Logit>(streams ? CountInPilot(wanted, pilot_shift) : wanted, again, team, storage);
  if (again && team.blocks > 1) ShareOwnPivots<Logit>(team, storage);
  const uint32_t pivot = storage.pivot;
  // A pivot that every finite logit reaches may do: a mask leaves few of them.
  bool fits = storage.settings.regime != Regime::kAll;
  if (fits) {
    if (!again && IsWeighedWhileListed<kResident>(storage)) {
      const FastScale scale = storage.fast_scale;
      const uint64_t mass = ReduceWarp(AppendAndMassPass<kResident>(part, part.OwnRun(), pivot, scale, storage), Add());
      PushPartMass(mass, 0, TeamAnew(team, storage), storage);
      if (ReferenceHasRowsScale(storage.settings)) PushPartMass(mass, 1, TeamAnew(team, storage), storage);
    } else {
      const SplitRun run = Split(part, streams ? pilot_shift : 0);
#pragma unroll 1
      for (int i = 0; i < (streams ? 2 : 1); ++i)
        AppendPass<kResident>(part, i == 0 ? run.pilot : run.rest, pivot, storage);
    }
    __syncthreads();  // every listed vector is counted; else threads disagree on how many there are
    fits = storage.vector_count <= kVectorCapacity;
  }
  const float least = Logit::Value(pivot, 0);
  Expanded seen = {.largest = -INFINITY, .mass = 0, .has_nan = false};
  if (fits) seen = ExpandVectors<kResident>(part, least, TeamAnew(team, storage), storage);
  const bool has_nan = __syncthreads_or(seen.has_nan);  // also: every entry is counted; else the list is cut short
  const uint32_t listed = storage.entry_count;
  if (streams) {
    // Whatever is larger than the pilot's maximum reaches the pivot, so it has been seen here.
    const uint32_t own_key = definition::Key(fmaxf(storage.state.maximum, seen.largest));
    const float maximum =
        definition::KeyToFloat(static_cast<uint32_t>(ReduceBlock(uint64_t{own_key}, Greater(), storage)));
    // All have met since the counts and the state were read: they may change, also where the row is read again.
    if (!fits || listed > kListCapacity || listed < FewestForTopK<Logit>(least, maximum, storage.settings))
      return kFellShort;
    if (threadIdx.x == 0) {
      storage.state.maximum = maximum;
      storage.fast_scale = MakeFastScale(ScaleOf(storage));
      if (has_nan) storage.state.has_nan = 1;
    }
    __syncthreads();  // the maximum is the whole row's; else the list is judged by the pilot's
  }
  const uint32_t asks = storage.settings.asks;
  if ((asks & kAsksListedMass) != 0) {
    const uint64_t mass = ReduceBlock(seen.mass, Add(), storage);
    if (threadIdx.x < team.blocks) ptx::Push(&storage.block_mass[TeamAnew(team, storage).rank], threadIdx.x, mass);
  }
  uint32_t told = fits ? min(listed, kTooMany) : kTooMany;
  if ((asks & (kAsksNoList | kAsksMinP)) != 0 &&
      ((asks & kAsksNoList) != 0 || !HoldsAllThatPass(least, least, storage.state.maximum, storage.settings)))
    told = kIncomplete;
  return told;
}

}  // namespace fire::kernels
