// The kept set of at most kShortList candidates, and the draw from it: each candidate is compared with each, which
// gives its rank and the mass before it at once, and with these every filter is one comparison. As many threads share a
// candidate as there are. Costs two loops of (candidates)² / threads steps, and up to seven barriers. The second loop
// also tells how many kept ones stand before a candidate, so that the kept set is sorted by writing it.
#pragma once

#include "kernels/device/kept_set.cuh"

namespace fire::kernels {

// A weight above, and a 1 in the lowest bits: one sum tells mass and count. Weights have 46 bits, so 128 of them leave
// room for it.
inline constexpr int kCountBits = 8;
static_assert(kShortList < 1 << kCountBits);
__device__ __forceinline__ uint32_t CountIn(uint64_t sum) {
  return static_cast<uint32_t>(sum) & ((1u << kCountBits) - 1);
}

// A thread's candidate, and its share of those that it is compared with: pairs of them, `sharers` pairs apart.
struct Share {
  uint32_t places;  // for candidates, a power of two; those without one count for nothing
  uint32_t sharer, sharers;
  uint32_t candidate;

  // Calls visit(entry, value) for each, four at a time: loads that follow each other's use would wait for each other.
  template <typename Visit>
  __device__ __forceinline__ void ForOthers(const uint64_t* entries, const uint64_t* values, const Visit& visit) const {
    const auto* entry = reinterpret_cast<const ulonglong2*>(entries) + sharer;
    const auto* value = reinterpret_cast<const ulonglong2*>(values) + sharer;
#pragma unroll 1
    for (uint32_t i = 0; i < places / 2; i += 2 * sharers) {
      const ulonglong2 first = entry[i], first_value = value[i];
      const ulonglong2 second = entry[i + sharers], second_value = value[i + sharers];
      visit(first.x, first_value.x);
      visit(first.y, first_value.y);
      visit(second.x, second_value.x);
      visit(second.y, second_value.y);
    }
  }

  template <typename Number>
  __device__ __forceinline__ Number Sum(Number value) const {
    for (uint32_t distance = sharers / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
    return value;
  }
};

// Of this thread, of `count` candidates. At least four places for each sharer.
__device__ __forceinline__ Share ShareOf(uint32_t count) {
  const uint32_t place_bits = max(32 - __clz(count - 1), 2);
  const uint32_t sharer_bits = min(place_bits - 2, 31 - __clz(blockDim.x) - place_bits);
  return {.places = 1u << place_bits,
          .sharer = threadIdx.x & ((1u << sharer_bits) - 1),
          .sharers = 1u << sharer_bits,
          .candidate = threadIdx.x >> sharer_bits};
}

// Fills storage.outcome, the counts too, from `count` entries, kShortList at most: all tokens of the row down to the
// least of them, as far as min-p leaves any. Writes zeros behind them, up to a power of two. `row_mass` is the whole
// row's where TopPCountsRow. With kSorts the kept set goes into storage.sorted; without kDraws nothing is drawn from
// it.
template <bool kDraws, bool kSorts>
__device__ __forceinline__ void FindKeptOfShortList(uint64_t* entries, uint32_t count, uint64_t row_mass,
                                                    Storage& storage) {
  const RowSettings& settings = storage.settings;
  const definition::Phase& phase = settings.phase;
  const Share share = ShareOf(count);
  const bool is_first_sharer = share.sharer == 0 && share.candidate < count;  // writes for its candidate
  const bool has_candidate = share.candidate < count;
  const uint64_t entry = has_candidate ? entries[share.candidate] : 0;
  const uint64_t weight = has_candidate ? WeightInRow(KeyOf(entry), storage) : 0;
  const uint64_t min_weight = settings.min_weight;
  const bool passes_min_p = has_candidate && (phase.order != Order::kVllm || weight >= min_weight);
  if (share.sharer == 0 && share.candidate < share.places) {
    storage.short_weight[share.candidate] = passes_min_p ? weight << kCountBits | 1 : 0;
    if (!has_candidate) entries[share.candidate] = 0;
  }
  if (threadIdx.x == 0) storage.boundary_entry = 0;
  // Every weight is written; else masses miss some, or the reset above erases the k-th entry.
  const uint32_t passing = __syncthreads_count(passes_min_p && share.sharer == 0);

  uint64_t sum = 0;
  uint32_t reaching = 0;  // its key, where the rank is asked for
  const auto add_before = [&](uint64_t other, uint64_t value) {
    if (other > entry) sum += value;
  };
  if ((settings.asks & kAsksReference) != 0) {
    share.ForOthers(entries, storage.short_weight, [&](uint64_t other, uint64_t value) {
      add_before(other, value);
      reaching += KeyOf(other) >= KeyOf(entry);
    });
    reaching = share.Sum(reaching);
  } else {
    share.ForOthers(entries, storage.short_weight, add_before);
  }
  sum = share.Sum(sum);
  const uint64_t before = sum >> kCountBits;
  const uint32_t rank = CountIn(sum);

  const bool keeps_equals = settings.top_k_on && phase.ties != Ties::kExact;
  bool in_prefix = passes_min_p && rank < phase.top_k;
  uint32_t in_top_k = min(passing, phase.top_k);
  if (keeps_equals) {
    if (passes_min_p && share.sharer == 0 && rank == phase.top_k - 1) storage.boundary_entry = entry;
    __syncthreads();  // the k-th entry is written, or 0 where there are fewer; else an older one cuts
    in_prefix = passes_min_p && KeyOf(entry) >= KeyOf(storage.boundary_entry);
    in_top_k = __syncthreads_count(in_prefix && share.sharer == 0);
  }
  // The last token of top-k, and what top-p asks of the tokens up to it: one thread knows.
  const bool is_last = in_prefix && rank == in_top_k - 1;
  if (is_last && share.sharer == 0) {
    storage.top_k.entry = entry;
    if (settings.top_p_on)
      storage.top_k.target = definition::TopPTarget(phase.top_p, TopPCountsRow(settings) ? row_mass : before + weight);
  }
  // Also: all have used the weights before they are overwritten.
  __syncthreads();  // the last token of top-k is written; else an older one ends the kept set
  if (settings.top_p_on) {
    const uint64_t target = storage.top_k.target;
    in_prefix = in_prefix && before < target;
    if (in_prefix && share.sharer == 0 && (is_last || before + weight >= target)) storage.boundary_entry = entry;
  }
  bool is_kept = in_prefix && weight >= min_weight;
  const bool keeps_equals_of_nucleus = settings.top_p_on && phase.ties == Ties::kKeep;
  if (keeps_equals_of_nucleus) {
    __syncthreads();  // the nucleus's last token is written; else top-k's k-th ends it
    // Its equals are all among those of top-k, which keeps equals too.
    is_kept = passes_min_p && weight >= min_weight && KeyOf(entry) >= KeyOf(storage.boundary_entry);
  }

  // Where they are sorted, each kept one also counts as 1, which tells its place. Where members take places it counts
  // as 1 and no more.
  constexpr int kPlaceBits = kSorts ? kCountBits : 0;
  const uint64_t counted = settings.is_enumerated ? 1 : weight << kPlaceBits | (kSorts ? 1 : 0);
  if (is_first_sharer) storage.short_weight[share.candidate] = is_kept ? counted : 0;
  // Also: what is kept is written; else the draw counts tokens that are not.
  const uint32_t kept = __syncthreads_count(is_kept && share.sharer == 0);
  uint64_t mass = 0, running = 0, rest = 0;
  uint32_t place = 0;
  bool is_drawn = false;
  if (__builtin_expect(settings.is_enumerated, 0)) {
    // The rank does not tell: min-p may refuse a token that stands before a kept one.
    share.ForOthers(entries, storage.short_weight,
                    [&](uint64_t other, uint64_t value) { place += other > entry && value != 0; });
    place = share.Sum(place);
    running = place + 1;
    is_drawn = place == definition::PlaceOf(settings.record, kept);
  } else {
    uint64_t before_in_id_order = 0;
    share.ForOthers(entries, storage.short_weight, [&](uint64_t other, uint64_t value) {
      mass += value;
      if (IdOf(other) < IdOf(entry)) before_in_id_order += value;
    });
    before_in_id_order = share.Sum(before_in_id_order);
    mass = share.Sum(mass) >> kPlaceBits;
    if (kSorts) place = CountIn(before_in_id_order);
    before_in_id_order >>= kPlaceBits;
    running = before_in_id_order + weight;
    rest = definition::DrawPoint(settings.draw_bits, mass) - before_in_id_order;  // wraps to a huge one before it
    is_drawn = rest < weight;
  }
  if (kSorts && is_kept && share.sharer == 0)
    storage.sorted.entry[place] = entry, storage.sorted.running[place] = running, storage.sorted.rank[place] = reaching;
  if (kDraws && is_drawn && is_kept && share.sharer == 0)
    storage.outcome.drawn = entry, storage.outcome.rank = reaching, storage.found_rest = rest;
  if (threadIdx.x == 0) {
    const uint64_t boundary = storage.boundary_entry;
    storage.outcome.rule = {.last = !settings.top_p_on        ? storage.top_k.entry
                                    : keeps_equals_of_nucleus ? LastOfKey(KeyOf(boundary))
                                                              : boundary,
                            .min_weight = min_weight};
    storage.outcome.mass = mass;
    storage.outcome.kept = kept;
    if (!kDraws) storage.outcome.drawn = 0, storage.outcome.rank = 0;
    if (kSorts) storage.is_sorted = 1;
  }
  __syncthreads();  // outcome and sorted kept set are written; else others read what an earlier stage or row left
}

}  // namespace fire::kernels
