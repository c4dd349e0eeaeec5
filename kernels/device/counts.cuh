// From each block's number of candidates to the leader's list of all: whether the list suffices, and where in it each
// block's candidates go.
#pragma once

#include "kernels/device/measure.cuh"
#include "kernels/device/settings.cuh"

namespace fire::kernels {

// A block's counts where the list will not do: tokens that are not in it may be kept, or it has no room for all.
inline constexpr uint32_t kIncomplete = ~0u, kTooMany = kListCapacity + 1;
// What a block that streams has listed by the pilot's pivot does not serve: it tells nothing, and reads the row again.
inline constexpr uint32_t kFellShort = ~0u - 1;

// Tells whether the list holds all that min-p and top-k may keep, now that the maximum is known: tokens below the pivot
// must fail min-p, or be beyond top-k with every one above it passing.
// `least`: at most as large as any listed; `beyond`: as large as what is not.
__device__ __forceinline__ bool HoldsAllThatPass(float least, float beyond, float maximum,
                                                 const RowSettings& settings) {
  return (settings.asks & kAsksMinP) == 0 || least >= __fadd_ru(maximum, settings.min_p_bounds.above) ||
         beyond <= __fadd_rd(maximum, settings.min_p_bounds.below);
}

// How many tokens a list of all that reach `least` must have for those that top-k keeps to be among them: any number
// will do where it has all that min-p keeps, or all that are finite. Without branches: asked for while others are
// awaited.
template <typename Logit>
__device__ __forceinline__ uint32_t FewestForTopK(float least, float maximum, const RowSettings& settings) {
  const bool has_all = (least == Logit::Value(Logit::kLowestFinite, 0)) |
                       (settings.min_p_bounds_list & (least <= __fadd_rd(maximum, settings.min_p_bounds.below)));
  return ((settings.asks & kAsksTopK) == 0) | has_all ? 0 : static_cast<uint32_t>(settings.phase.top_k);
}

// Where the leader gets the candidates of another block.
__device__ __forceinline__ uint64_t* InboxOf(uint32_t rank, const Team& team) {
  return SharedInbox() + (rank - 1) * InboxCapacity(team.blocks);
}

// Tells all blocks this one's number of candidates.
__device__ __forceinline__ void TellCount(uint32_t count, const Team& team, Storage& storage) {
  if (threadIdx.x < team.blocks) ptx::Push(&storage.block_count[team.rank], threadIdx.x, count);
}

// Meets the team, and finds whether the list is complete (for top-p alone, whether it reaches the target) and its
// length. What the leader has got goes into its list; where that is not all, the others send the rest, and the team
// meets again. False where the list has too many tokens, or too few: a finer pivot may do better.
template <typename Logit>
__device__ __forceinline__ bool CollectCounts(const Team& team, Storage& storage) {
  team.Arrive();
  // What needs no count is found while the others come.
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const RowSettings& settings = storage.settings;
  const uint32_t asks = settings.asks, capacity = InboxCapacity(team.blocks);
  const float maximum = storage.state.maximum, pivot = Logit::Value(storage.pivot, 0);
  const uint32_t fewest = FewestForTopK<Logit>(pivot, maximum, settings);
  // No pivot makes a list of more tokens than it has room for, and none is finer than the maximum.
  const bool is_finest = (settings.pivot_count > kListCapacity) | (pivot >= maximum);
  const bool is_leader = team.IsLeader();
  team.Wait();  // every block's counts, candidates and masses are pushed; else the leader's list lacks some
  const uint32_t of_lane = lane < team.blocks ? storage.block_count[lane] : 0;
  const bool is_told = __all_sync(~0u, of_lane != kIncomplete);
  const bool is_all_sent = !__any_sync(~0u, (lane != 0) & (of_lane > capacity));
  const uint32_t count = __reduce_add_sync(~0u, of_lane);
  bool is_complete = is_told & (count <= kListCapacity) & (count >= fewest);
  const bool serves = !is_told | is_complete | ((count > kListCapacity) & is_finest);
  uint64_t row_mass = 0;
  if ((asks & kAsksTopPOfRow) != 0 && maximum > -INFINITY && maximum < INFINITY) {
    row_mass = RowMass(0, storage);
    if ((asks & kAsksListedMass) != 0) {
      const uint64_t listed = ReduceWarp(lane < team.blocks ? storage.block_mass[lane] : 0, Add());
      is_complete = is_complete && listed >= definition::TopPTarget(settings.phase.top_p, row_mass);
    }
  }
  if (threadIdx.x == 0) {
    storage.state.is_listed = is_complete, storage.state.count = count;
    storage.row_mass = row_mass, storage.boundary_entry = 0;
  }
  if (is_complete & (team.blocks > 1)) {
    if (is_leader) {
      // Each half of a warp takes a block's.
      const uint32_t half = lane / 16;
#pragma unroll 1
      for (uint32_t first = 2 * warp + 1; first < team.blocks; first += blockDim.x / 16) {
        const uint32_t of_first = __shfl_sync(~0u, of_lane, first), of_next = __shfl_sync(~0u, of_lane, first + 1);
        const uint32_t before = __reduce_add_sync(~0u, lane < first ? of_lane : 0) + (half != 0 ? of_first : 0);
        const uint32_t sent = min(half != 0 ? of_next : of_first, capacity);
        const uint64_t* inbox = InboxOf(first + half, team);
#pragma unroll 1
        for (uint32_t i = lane % 16; i < sent; i += 16) storage.list[before + i] = inbox[i];
      }
    } else if (!is_all_sent) {
      const uint32_t before = __reduce_add_sync(~0u, lane < team.rank ? of_lane : 0);
      const uint32_t own = __shfl_sync(~0u, of_lane, team.rank);
#pragma unroll 1
      for (uint32_t i = capacity + threadIdx.x; i < own; i += blockDim.x)
        ptx::Push(&storage.list[before + i], 0, storage.list[i]);
    }
    if (!is_all_sent) team.Sync();  // every candidate is in the leader's list; else those that came late are lost
  }
  // Of a long list, by the leader. Of an incomplete one the row may be read again, and peers push to what lies there.
  if (is_complete && is_leader && count > kShortList / 2) ClearListBins(storage);
  __syncthreads();  // the list and its length are written; else candidates are lost
  return serves;
}

}  // namespace fire::kernels
