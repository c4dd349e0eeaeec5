// The kernel of a shard's first entries: one block a row.
//
// As for a kept set, a pivot comes from delegates, the largest logits of disjoint parts: each thread has one of its
// own, or four, and as many tokens of the shard reach a value as delegates do. What reaches the pivot is listed and
// sorted. Where that is more than there is room for, or too few delegates are finite, the last of the first entries is
// found digit by digit, from counts alone, and what reaches it is listed: exactly as many as are asked for.
//
// Costs two readings of the shard, the second from cache; up to nine more where the list overflows.
#pragma once

#include "kernels/device/candidates.cuh"
#include "kernels/device/sort.cuh"
#include "kernels/shard_storage.h"
#include "kernels/shards.h"

namespace fire::kernels {

// At most so many delegates more than wanted reach the pivot, where they differ enough: wanted / kEntrySlack + 2.
inline constexpr uint32_t kEntrySlack = 16;

__device__ __forceinline__ EntryStorage& SharedEntryStorage() {
  return *reinterpret_cast<EntryStorage*>(fire_shared_memory);
}
__device__ __forceinline__ uint64_t* SharedEntryList() {
  return reinterpret_cast<uint64_t*>(fire_shared_memory + sizeof(EntryStorage));
}

template <typename Logit>
class EntryFinder {
 public:
  __device__ __forceinline__ explicit EntryFinder(const ShardEntriesWork& work)
      : work_(work), count_(static_cast<uint32_t>(work.count)), storage_(SharedEntryStorage()) {}

  __device__ __forceinline__ void Find(int64_t row) const {
    const RowPart<Logit> part(ShapeOf<Logit>(work_.batch, row, 0, 1));
    const uint32_t capacity = EntryCapacity(count_);
    LaneMaxima maxima = NoMaxima<Logit>();
    part.PrefetchStart(part.OwnRun());
    MaximumPass<true, false>(part, part.OwnRun(), &maxima);
    if (threadIdx.x == 0) storage_.listed = 0;
    const bool has_nan =
        __syncthreads_or(IsNan(Largest<Logit>(maxima)));  // also: the list is empty; else entries are lost
    if (has_nan) maxima = MaximaWithoutNan(part, part.OwnRun());
    ListReaching(part, PivotWord<Logit>(PivotOf(maxima)), capacity);
    if (storage_.listed > capacity) {
      FindLast(part);
      ListFrom(part, storage_.search.prefix, capacity);
    }
    Write(row, min(storage_.listed, capacity), has_nan);
  }

 private:
  __device__ __forceinline__ uint64_t EntryAt(float x, uint32_t id) const {
    return Entry(definition::Key(x), work_.first_id + id);
  }

  // A value that `count_` delegates of the block reach, and, where they differ enough, few more; −FLT_MAX where there
  // are too few. One warp looks for it: the others wait at one barrier instead of many.
  __device__ __forceinline__ float PivotOf(const LaneMaxima& maxima) const {
    auto* const delegate = reinterpret_cast<float4*>(SharedEntryList());  // where nothing is listed yet
    const bool by_lane = count_ * 5 / 2 <= blockDim.x;                    // the coarsest that differ enough
    if (by_lane) {
      reinterpret_cast<float*>(delegate)[threadIdx.x] = Largest<Logit>(maxima);
    } else {
      delegate[threadIdx.x] = {Largest<Logit>(maxima.word[0]), Largest<Logit>(maxima.word[1]),
                               Largest<Logit>(maxima.word[2]), Largest<Logit>(maxima.word[3])};
    }
    __syncthreads();  // every delegate is there; else the pivot comes from too few
    if (threadIdx.x < 32) {
      const uint32_t found = KeyReached(delegate, by_lane ? blockDim.x / 4 : blockDim.x);
      if (threadIdx.x == 0) storage_.pivot = found == 0 ? -definition::kFloatMax : definition::KeyToFloat(found);
    }
    __syncthreads();  // the pivot is written, no delegate needed any more; else entries overwrite it
    return storage_.pivot;
  }

  // The key of such a value, 0 where there is none, among the delegates of `count` vectors. By one warp.
  __device__ __forceinline__ uint32_t KeyReached(const float4* delegate, uint32_t count) const {
    const uint32_t lane = threadIdx.x % 32;
    float smallest = INFINITY, largest = -INFINITY;
#pragma unroll 1
    for (uint32_t i = lane; i < count; i += 32) {
      const float4 of = delegate[i];
      smallest = fminf(smallest, fminf(fminf(of.x, of.y), fminf(of.z, of.w)));
      largest = fmaxf(largest, fmaxf(fmaxf(of.x, of.y), fmaxf(of.z, of.w)));
    }
    const uint32_t least_key = max(__reduce_min_sync(~0u, definition::Key(smallest)), definition::kMaskedKey + 1);
    const uint32_t largest_key = __reduce_max_sync(~0u, definition::Key(largest));
    if (largest_key == definition::kMaskedKey) return 0;
    return BisectKeys(least_key, largest_key, count_ + count_ / kEntrySlack + 2, [&](uint32_t least) {
      const uint32_t reaching = CountReaching(delegate, count, least);
      return reaching >= count_ ? reaching : 0;
    });
  }

  // Counts all, and keeps as many as there is room for.
  __device__ __forceinline__ void List(uint64_t entry, uint32_t capacity) const {
    const uint32_t at = atomicAdd(&storage_.listed, 1u);
    if (at < capacity) SharedEntryList()[at] = entry;
  }

  __device__ __forceinline__ void ListReaching(const RowPart<Logit>& part, uint32_t pivot, uint32_t capacity) const {
    const float least = Logit::Value(pivot, 0);
    const Run run = part.OwnRun();
    part.template ForVectors<false>(run.begin, run.end, [&](const auto& v, uint32_t index, uint32_t) {
      constexpr int kCount = sizeof(v) / sizeof(Vector);
#pragma unroll
      for (int u = 0; u < kCount; ++u) {
        const uint32_t most =
            Logit::Max(Logit::Max(v[u].word[0], v[u].word[1]), Logit::Max(v[u].word[2], v[u].word[3]));
        if (!Logit::AnyAtLeastOrNan(most, pivot)) continue;
        part.ForElementsOf(v[u], index + 32 * u, [&](float x, uint32_t id) {
          if (x >= least) List(EntryAt(x, id), capacity);
        });
      }
    });
    __syncthreads();  // every entry is counted; else threads disagree on how many there are
  }

  // Finds the last of the first `count_` entries of a shard that has more: the search's prefix.
  __device__ __forceinline__ void FindLast(const RowPart<Logit>& part) const {
    definition::ShardSearch& search = storage_.search;
    bool is_found = false;
    if (threadIdx.x == 0) {
      search = definition::ShardSearch{};
      search.target = count_;
      search.shift = definition::kFirstDigit;
    }
    while (!is_found) {
#pragma unroll 1
      for (uint32_t digit = threadIdx.x; digit < definition::kDigits; digit += blockDim.x) storage_.bins[digit] = 0;
      __syncthreads();  // the search is where it stands, its bins empty; else counts are of an older digit
      ForTokens(part, [&](uint64_t entry) {
        if (definition::IsInRange(search, entry)) atomicAdd(&storage_.bins[definition::DigitOf(search, entry)], 1u);
      });
      __syncthreads();  // every token is counted; else a digit is passed too soon
      bool ends = false;
      if (threadIdx.x == 0) {
        uint32_t digit = (1u << definition::DigitBits(search.shift)) - 1;
        for (; digit > 0 && search.above + storage_.bins[digit] < search.target; --digit)
          search.above += storage_.bins[digit];
        search.prefix |= uint64_t{digit} << search.shift;
        ends = search.above + storage_.bins[digit] == search.target || !definition::NextDigit(&search, 32);
      }
      is_found = __syncthreads_or(ends);
    }
  }

  // Lists exactly the tokens from there on.
  __device__ __forceinline__ void ListFrom(const RowPart<Logit>& part, uint64_t last, uint32_t capacity) const {
    if (threadIdx.x == 0) storage_.listed = 0;
    __syncthreads();  // the list is empty; else entries are lost
    ForTokens(part, [&](uint64_t entry) {
      if (entry >= last) List(entry, capacity);
    });
    __syncthreads();  // every entry is there; else the sort leaves it out
  }

  // visit(entry) for this thread's tokens above −inf.
  template <typename Visit>
  __device__ __forceinline__ void ForTokens(const RowPart<Logit>& part, const Visit& visit) const {
    part.template ForElements<false>({0, part.vocabulary()}, threadIdx.x, blockDim.x, [&](float x, uint32_t id) {
      if (x > -INFINITY) visit(EntryAt(x, id));
    });
  }

  __device__ __forceinline__ void Write(int64_t row, uint32_t listed, bool has_nan) const {
    uint64_t* const list = SharedEntryList();
    const uint32_t places = PlacesFor(listed);
#pragma unroll 1
    for (uint32_t i = listed + threadIdx.x; i < places; i += blockDim.x) list[i] = 0;
    SortDescending(list, places, ~uint64_t{0});
    uint64_t* const out = work_.entries + row * (work_.count + 1);
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count_; i += blockDim.x) out[i] = i < listed ? list[i] : 0;
    if (threadIdx.x == 0) out[count_] = has_nan ? kShardHasNan : 0;
  }

  const ShardEntriesWork& work_;
  uint32_t count_;
  EntryStorage& storage_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    ShardEntryRows(const __grid_constant__ ShardEntriesWork work, int64_t first_row, Geometry) {
  ptx::WaitForPriorGrids();
  EntryFinder<Logit>(work).Find(first_row + blockIdx.x);
}

}  // namespace fire::kernels
