// The kept set of at most kShortList candidates, and the draw from it: each candidate is compared with each, which
// gives its rank and the mass before it at once, and with these every filter is one comparison. As many threads share a
// candidate as there are. Costs two loops of (candidates)² / threads steps, and up to ten barriers. The second loop
// also tells how many kept ones stand before a candidate, so that the kept set is sorted by writing it.
#pragma once

#include "kernels/device/kept_set.cuh"

namespace fire::kernels {

template <typename Number>
__device__ __forceinline__ Number SumOfSharers(Number value, uint32_t sharers) {
  for (uint32_t distance = sharers / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

// Fills storage.outcome, the counts too, from `count` entries, kShortList at most: all tokens of the row down to the
// least of them, as far as min-p leaves any. `row_mass` is the whole row's where TopPCountsRow. With kSorts the kept
// set goes into storage.sorted; without kDraws nothing is drawn from it.
template <bool kDraws, bool kSorts>
__device__ __forceinline__ void FindKeptOfShortList(const uint64_t* entries, uint32_t count, const WeightScale& scale,
                                                    uint64_t row_mass, Storage& storage) {
  const RowSettings& settings = storage.settings;
  const definition::Phase& phase = settings.phase;
  // Places for candidates and their sharers are powers of two: a division here would be a call.
  const uint32_t place_bits = count > 1 ? 32 - __clz(count - 1) : 0;
  const uint32_t sharer_bits = min(5, 31 - __clz(blockDim.x) - place_bits), sharers = 1u << sharer_bits;
  const uint32_t candidate = threadIdx.x >> sharer_bits, sharer = threadIdx.x & (sharers - 1);
  const bool is_first_sharer = sharer == 0 && candidate < count;  // writes and is counted for its candidate
  const bool has_candidate = candidate < count;
  const uint64_t entry = has_candidate ? entries[candidate] : 0;
  const uint64_t weight = has_candidate ? WeightOfKey(KeyOf(entry), scale) : 0;
  const uint64_t first_min = phase.order == Order::kVllm ? settings.min_weight : 0;
  const bool passes_min_p = has_candidate && weight >= first_min;
  if (is_first_sharer) storage.short_weight[candidate] = passes_min_p ? weight : 0;
  if (threadIdx.x == 0) storage.boundary_entry = 0;
  __syncthreads();  // every weight is written; else masses miss some, or the reset above erases the k-th entry

  // A thread without a candidate compares nothing.
  const uint32_t others = has_candidate ? count : 0;
  uint64_t before = 0;
  uint32_t rank = 0, reaching = 0;  // its key
#pragma unroll 1
  for (uint32_t i = sharer; i < others; i += sharers) {
    const uint64_t other = storage.short_weight[i];
    if (entries[i] > entry && other >= first_min) ++rank, before += other;
    if (kSorts) reaching += KeyOf(entries[i]) >= KeyOf(entry);
  }
  before = SumOfSharers(before, sharers);
  rank = SumOfSharers(rank, sharers);
  if (kSorts) reaching = SumOfSharers(reaching, sharers);

  bool in_prefix = passes_min_p && rank < phase.top_k;
  if (settings.top_k_on && phase.ties != Ties::kExact) {
    if (passes_min_p && sharer == 0 && rank == phase.top_k - 1) storage.boundary_entry = entry;
    __syncthreads();  // the k-th entry is written, or 0 where there are fewer; else an older one cuts
    in_prefix = passes_min_p && KeyOf(entry) >= KeyOf(storage.boundary_entry);
  }
  // The last token of top-k, and the mass up to it.
  const uint32_t in_top_k = __syncthreads_count(in_prefix && is_first_sharer);
  if (in_prefix && is_first_sharer && rank == in_top_k - 1)
    storage.top_k.entry = entry, storage.top_k.mass = before + weight;
  __syncthreads();  // the last token of top-k is written; else an older one ends the kept set
  uint64_t last = storage.top_k.entry;
  if (settings.top_p_on) {
    const uint64_t mass = TopPCountsRow(settings) ? row_mass : storage.top_k.mass;
    in_prefix = in_prefix && before < definition::TopPTarget(phase.top_p, mass);
    // Also: all have compared with the k-th entry; else it changes under them.
    const uint32_t in_top_p = __syncthreads_count(in_prefix && is_first_sharer);
    if (in_prefix && is_first_sharer && rank == in_top_p - 1) storage.boundary_entry = entry;
    __syncthreads();  // the nucleus's last token is written; else top-k's k-th ends it
    // Its equals are all among those of top-k, which keeps equals too.
    last = phase.ties == Ties::kKeep ? LastOfKey(KeyOf(storage.boundary_entry)) : storage.boundary_entry;
  }

  // Where they are sorted, each kept one also counts as 1 in the lowest bits: one sum tells mass and place. Weights
  // have 46 bits, so 128 of them leave room for it. Where members take places it counts as 1 and no more.
  constexpr int kPlaceBits = kSorts ? 8 : 0;
  static_assert(!kSorts || kShortList < 1 << kPlaceBits);
  const bool is_kept = passes_min_p && entry >= last && weight >= settings.min_weight;
  const uint64_t counted = settings.is_enumerated ? 1 : weight << kPlaceBits | (kSorts ? 1 : 0);
  if (is_first_sharer) storage.short_weight[candidate] = is_kept ? counted : 0;
  // Also: what is kept is written; else the draw counts tokens that are not.
  const uint32_t kept = __syncthreads_count(is_kept && is_first_sharer);
  uint64_t mass = 0, running = 0;
  uint32_t place = 0;
  if (__builtin_expect(settings.is_enumerated, 0)) {
    // The rank does not tell: min-p may refuse a token that stands before a kept one.
#pragma unroll 1
    for (uint32_t i = sharer; i < others; i += sharers) place += entries[i] > entry && storage.short_weight[i] != 0;
    place = SumOfSharers(place, sharers);
    running = place + 1;
    if (kDraws && is_first_sharer && is_kept && place == definition::PlaceOf(settings.record, kept))
      storage.found_entry = entry;
  } else {
    uint64_t before_in_id_order = 0;
#pragma unroll 1
    for (uint32_t i = sharer; i < others; i += sharers) {
      const uint64_t other = storage.short_weight[i];
      mass += other;
      if (IdOf(entries[i]) < IdOf(entry)) before_in_id_order += other;
    }
    before_in_id_order = SumOfSharers(before_in_id_order, sharers);
    mass = SumOfSharers(mass, sharers) >> kPlaceBits;
    if (kSorts) {
      place = static_cast<uint32_t>(before_in_id_order) & ((1u << kPlaceBits) - 1);
      running = (before_in_id_order >> kPlaceBits) + weight;
    }
    if (kDraws) {
      before_in_id_order >>= kPlaceBits;
      const uint64_t point = definition::DrawPoint(settings.draw_bits, mass);
      if (is_first_sharer && is_kept && before_in_id_order <= point && point - before_in_id_order < weight)
        storage.found_entry = entry, storage.found_rest = point - before_in_id_order;
    }
  }
  if (kSorts && is_first_sharer && is_kept)
    storage.sorted.entry[place] = entry, storage.sorted.running[place] = running, storage.sorted.rank[place] = reaching;
  uint64_t drawn = 0;
  uint32_t rank_of_drawn = 0;
  if (kDraws) {
    __syncthreads();  // the drawn token is written; else an older one is returned
    drawn = storage.found_entry;
    rank_of_drawn = __syncthreads_count(is_first_sharer && KeyOf(entry) >= KeyOf(drawn));
  }
  if (threadIdx.x == 0)
    storage.outcome = {.rule = {.last = last, .min_weight = settings.min_weight},
                       .mass = mass,
                       .drawn = drawn,
                       .kept = kept,
                       .rank = rank_of_drawn};
  __syncthreads();  // outcome and sorted kept set are written; else others read what an earlier stage or row left
}

}  // namespace fire::kernels
