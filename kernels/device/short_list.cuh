// The kept set of at most kShortList candidates, and the draw from it: each candidate is compared with each, which
// gives its rank and the mass before it at once, and with these every filter is one comparison; and its place by id,
// where one warp then finds the draw by a running sum. As many threads share a candidate as there are. Costs one loop
// of (candidates)² / threads steps, and up to six barriers.
#pragma once

#include "kernels/device/kept_set.cuh"

namespace fire::kernels {

// A weight above, and a 1 in the lowest bits: one sum tells mass and count. Weights have 46 bits, so 128 of them leave
// room for it.
inline constexpr int kCountBits = 8;
static_assert(kShortList < 1 << kCountBits);
inline constexpr uint32_t kReaches = 1 << 16;  // one that reaches a candidate's key, beside the count of smaller ids
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
    for (const auto* end = entry + places / 2; entry < end; entry += 2 * sharers, value += 2 * sharers) {
      const ulonglong2 first = entry[0], first_value = value[0];
      const ulonglong2 second = entry[sharers], second_value = value[sharers];
      visit(first.x, first_value.x);
      visit(first.y, first_value.y);
      visit(second.x, second_value.x);
      visit(second.y, second_value.y);
    }
  }

  // Adds up what the sharers of a candidate have, of two numbers at once: for each of them.
  __device__ __forceinline__ void Sum(uint64_t* a, uint32_t* b) const {
#pragma unroll 1
    for (uint32_t distance = sharers / 2; distance > 0; distance /= 2) {
      *a += __shfl_xor_sync(~0u, *a, distance);
      *b += __shfl_xor_sync(~0u, *b, distance);
    }
  }
};

// Of this thread, of `count` candidates. At least four places for each sharer.
__device__ __forceinline__ Share ShareOf(uint32_t count) {
  uint32_t threads = blockDim.x;
  ptx::Keep(&threads);  // or its logarithm is kept in a register while the row is read
  const uint32_t place_bits = 32 - __clz((count - 1) | 3);
  const uint32_t sharer_bits = min(place_bits - 2, 31 - __clz(threads) - place_bits);
  return {.places = 1u << place_bits,
          .sharer = threadIdx.x & ((1u << sharer_bits) - 1),
          .sharers = 1u << sharer_bits,
          .candidate = threadIdx.x >> sharer_bits};
}

// Comparing each with each costs the square of their number, but leaves them sorted, if that is wanted.
template <bool kSorts>
__device__ constexpr uint32_t MostOfShortList() {
  return kSorts ? kShortList : kShortList / 2;
}

// What a lane of the first warp has of the kept set: what a few places are worth, and what all up to them are; each
// worth and a count, as above.
template <uint32_t kPlaces>
struct KeptOfLane {
  static constexpr uint32_t kOfLane = kPlaces / 32;
  uint32_t first;  // place
  uint64_t of_place[kOfLane], before, up_to, all;

  __device__ __forceinline__ explicit KeptOfLane(const uint64_t* worth) : first(threadIdx.x * kOfLane) {
    uint64_t own = 0;
#pragma unroll
    for (uint32_t i = 0; i < kOfLane; i += 2) {
      const ulonglong2 two = *reinterpret_cast<const ulonglong2*>(&worth[first + i]);
      of_place[i] = two.x, of_place[i + 1] = two.y;
      own += two.x + two.y;
    }
    up_to = WarpRunning(own);
    before = up_to - own;
    all = __shfl_sync(~0u, up_to, 31);
  }

  // Finds the token that the draw falls on, or that stands at the place which the record names.
  __device__ __forceinline__ void Draw(uint64_t draw_bits, bool takes_place, Storage& storage) const {
    uint32_t kept = CountIn(all);
    ptx::Keep(&kept);  // or a place is divided by so small a number in a call
    const uint64_t target = takes_place ? definition::PlaceOf(storage.settings.record, kept)
                                        : definition::DrawPoint(draw_bits, all >> kCountBits);
    const uint64_t beyond = (target + 1) << kCountBits;  // the least sum that exceeds it, whatever its count
    if (before < beyond && beyond <= up_to) {
      uint64_t running = before;
      uint32_t place = first;
#pragma unroll
      for (uint32_t i = 0; i + 1 < kOfLane; ++i) {
        if (running + of_place[i] >= beyond) break;
        running += of_place[i];
        ++place;
      }
      const uint64_t entry = storage.sorted.entry[place];
      const uint32_t rank = storage.sorted.rank[place];
      storage.outcome.drawn = entry, storage.outcome.rank = rank;
      storage.found_rest = target - (running >> kCountBits);
    }
    __syncwarp();  // the token is written; else the thread that writes the outputs reads an older one
  }

  // Moves the kept ones together, each with what all up to it are worth.
  template <typename Sorted>
  __device__ __forceinline__ void Sort(Sorted* sorted) const {
    uint64_t entry[kOfLane];
    uint32_t rank[kOfLane];
#pragma unroll
    for (uint32_t i = 0; i < kOfLane; ++i)
      if (of_place[i] != 0) entry[i] = sorted->entry[first + i], rank[i] = sorted->rank[first + i];
    __syncwarp();  // all lanes have read their places; else others' go there
    uint64_t running = before;
#pragma unroll
    for (uint32_t i = 0; i < kOfLane; ++i) {
      if (of_place[i] == 0) continue;
      running += of_place[i];
      const uint32_t to = CountIn(running) - 1;
      sorted->entry[to] = entry[i], sorted->running[to] = running >> kCountBits, sorted->rank[to] = rank[i];
    }
  }
};

// Fills storage.outcome, the counts too, from `count` entries, kShortList at most: all tokens of the row down to the
// least of them, as far as min-p leaves any. Writes zeros behind them, up to a power of two. `row_mass` is the whole
// row's where TopPCountsRow. With kSorts the kept set goes into storage.sorted; without kDraws nothing is drawn. With
// kForAll the outcome is there for all threads, its rule too; else for the first warp, and no barrier follows.
template <bool kDraws, bool kSorts, bool kForAll>
__device__ __forceinline__ void FindKeptOfShortList(uint64_t* entries, uint32_t count, uint32_t asks, uint64_t row_mass,
                                                    Storage& storage) {
  const RowSettings& settings = storage.settings;
  // Looked up here: behind a branch each would be waited for.
  const uint32_t top_k = settings.phase.top_k;
  const float top_p = settings.phase.top_p;
  const Share share = ShareOf(count);
  const bool has_candidate = share.candidate < count;
  const uint64_t entry = has_candidate ? entries[share.candidate] : 0;
  const uint64_t weight = has_candidate ? WeightInRow(KeyOf(entry), storage) : 0;
  const uint64_t min_weight = settings.min_weight;
  const bool passes_min_p = has_candidate && ((asks & kAsksMinPFirst) == 0 || weight >= min_weight);
  if (share.sharer == 0 && share.candidate < share.places) {
    storage.short_weight[share.candidate] = passes_min_p ? weight << kCountBits | 1 : 0;
    if (!has_candidate) entries[share.candidate] = 0;
  }
  // Every weight is written; else masses miss some.
  const uint32_t passing = __syncthreads_count(passes_min_p && share.sharer == 0);

  // Of those with smaller ids the number, and above it, where the rank is asked for, that of those that reach its key.
  uint64_t sum = 0;
  uint32_t counts = 0;
  const auto compare = [&](uint64_t other, uint64_t value) {
    ptx::AddWhereGreater(other, entry, value, &sum);
    ptx::CountWhereLess(IdOf(other), IdOf(entry), &counts);
  };
  if ((asks & kAsksReference) != 0) {
    share.ForOthers(entries, storage.short_weight, [&](uint64_t other, uint64_t value) {
      compare(other, value);
      if (KeyOf(other) >= KeyOf(entry)) counts += kReaches;
    });
  } else {
    share.ForOthers(entries, storage.short_weight, compare);
  }
  share.Sum(&sum, &counts);
  const uint64_t before = sum >> kCountBits;
  const uint32_t rank = CountIn(sum);

  bool in_prefix = passes_min_p && rank < top_k;
  uint32_t in_top_k = min(passing, top_k);
  if ((asks & kAsksEqualsOfK) != 0) {
    if (passes_min_p && share.sharer == 0 && rank == top_k - 1) storage.boundary_entry = entry;
    __syncthreads();  // the k-th entry is written, or 0 where there are fewer; else an older one cuts
    in_prefix = passes_min_p && KeyOf(entry) >= KeyOf(storage.boundary_entry);
    in_top_k = __syncthreads_count(in_prefix && share.sharer == 0);
  }
  // The last token of top-k, and what top-p asks of the tokens up to it: one thread knows.
  const bool is_last = in_prefix && rank == in_top_k - 1;
  if (is_last && share.sharer == 0) {
    storage.top_k.entry = entry;
    if ((asks & kAsksNucleus) != 0)
      storage.top_k.target = definition::TopPTarget(top_p, (asks & kAsksTopPOfRow) != 0 ? row_mass : before + weight);
  }
  // Also: all have used the weights before they are overwritten.
  __syncthreads();  // the last token of top-k is written; else an older one ends the kept set
  if ((asks & kAsksNucleus) != 0) {
    const uint64_t target = storage.top_k.target;
    in_prefix = in_prefix && before < target;
    if (in_prefix && share.sharer == 0 && (is_last || before + weight >= target)) storage.boundary_entry = entry;
  }
  bool is_kept = in_prefix && weight >= min_weight;
  const bool keeps_equals_of_nucleus = (asks & kAsksEqualsOfP) != 0;
  if (keeps_equals_of_nucleus) {
    __syncthreads();  // the nucleus's last token is written; else top-k's k-th ends it
    // Its equals are all among those of top-k, which keeps equals too.
    is_kept = passes_min_p && weight >= min_weight && KeyOf(entry) >= KeyOf(storage.boundary_entry);
  }

  // The kept ones go to places by id, or where members take places by their order; there each is worth its weight,
  // or 1.
  uint32_t place = has_candidate ? counts % kReaches : share.candidate;
  uint64_t worth = weight;
  if (__builtin_expect((asks & kAsksPlace) != 0, 0)) {
    // The rank does not tell: it leaves out what fails min-p first.
    uint32_t larger = 0;
    share.ForOthers(entries, entries, [&](uint64_t other, uint64_t) { larger += other > entry; });
    share.Sum(&sum, &larger);
    if (has_candidate) place = larger;
    worth = 1;
  }
  constexpr uint32_t kMost = MostOfShortList<kSorts>();
  auto& by_place = storage.sorted;
  if (share.sharer == 0 && share.candidate < share.places) {
    by_place.running[place] = is_kept ? worth << kCountBits | 1 : 0;
    by_place.entry[place] = entry;
    by_place.rank[place] = counts / kReaches;
  }
  static_assert(kMost <= 4 * 32);  // the threads of the smallest block
  if (share.places + threadIdx.x < kMost) by_place.running[share.places + threadIdx.x] = 0;
  __syncthreads();  // what is kept is at its place; else the draw misses some
  if (threadIdx.x < 32) {
    const uint64_t draw_bits = settings.draw_bits;
    const KeptOfLane<kMost> kept(by_place.running);
    if (kDraws) kept.Draw(draw_bits, (asks & kAsksPlace) != 0, storage);
    if (threadIdx.x == 0) {
      storage.outcome.mass = (asks & kAsksPlace) != 0 ? 0 : kept.all >> kCountBits;
      storage.outcome.kept = CountIn(kept.all);
    }
    if (kSorts) kept.Sort(&by_place);
    if (kForAll && threadIdx.x == 0) {
      const uint64_t boundary = storage.boundary_entry;
      storage.outcome.rule = {.last = (asks & kAsksNucleus) == 0 ? storage.top_k.entry
                                      : keeps_equals_of_nucleus  ? LastOfKey(KeyOf(boundary))
                                                                 : boundary,
                              .min_weight = min_weight};
      if (!kDraws) storage.outcome.drawn = 0, storage.outcome.rank = 0;
      if (kSorts) storage.is_sorted = 1;
    }
  }
  if (kForAll) __syncthreads();  // outcome and sorted kept set are written; else others read what an earlier stage left
}

}  // namespace fire::kernels
