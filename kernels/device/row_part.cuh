// One block's part of a row: aligned 16-byte vectors, whatever the alignment of the row. The first and the last vector
// of a row may reach beyond it; there they read as −inf, and no memory outside the row is touched.
//
// Each warp has a run of consecutive vectors, so that what it sums belongs to consecutive ids.
#pragma once

#include <type_traits>

#include "fire/sampling.h"
#include "kernels/device/logits.cuh"
#include "kernels/plan.h"

namespace fire::kernels {

inline constexpr uint32_t kGroup = 4;           // vectors that a lane has under way at once
inline constexpr uint32_t kTile = 32 * kGroup;  // of a warp

// Dynamic shared memory: Storage; with several blocks ClusterStorage and the leader's inbox; the resident part.
extern __shared__ __align__(16) unsigned char fire_shared_memory[];

__device__ __forceinline__ Storage& SharedStorage() { return *reinterpret_cast<Storage*>(fire_shared_memory); }
__device__ __forceinline__ ClusterStorage& SharedClusterStorage() {
  return *reinterpret_cast<ClusterStorage*>(fire_shared_memory + StorageBytes(1));
}
__device__ __forceinline__ uint64_t* SharedInbox() {
  return reinterpret_cast<uint64_t*>(fire_shared_memory + StorageBytes(1) + sizeof(ClusterStorage));
}

// Of a power of two.
__device__ __forceinline__ uint32_t Log2(uint32_t power) { return 31 - __clz(power); }

__device__ __forceinline__ uint32_t ShiftRoundingUp(uint32_t count, uint32_t bits) {
  return (count + (1u << bits) - 1) >> bits;
}

// The part of block `rank`.
template <typename Logit, typename AnyBatch>
__device__ __forceinline__ PartShape ShapeOf(const AnyBatch& batch, int64_t row, uint32_t rank,
                                             const Geometry& geometry) {
  const auto* logits = static_cast<const typename Logit::Element*>(batch.logits) + row * batch.row_stride;
  const uintptr_t address = reinterpret_cast<uintptr_t>(logits);
  const uint32_t vocabulary = static_cast<uint32_t>(batch.vocabulary);
  PartShape shape;
  shape.row = row;
  shape.rank = rank;
  shape.blocks = 1u << geometry.block_bits;
  shape.base = reinterpret_cast<const void*>(address & ~uintptr_t{15});
  shape.vocabulary = vocabulary;
  shape.before = static_cast<uint32_t>(address & 15) / sizeof(typename Logit::Element);
  const uint32_t vectors = (shape.before + vocabulary + Logit::kPerVector - 1) / Logit::kPerVector;
  const uint32_t part = (ShiftRoundingUp(vectors, geometry.block_bits) + 31) / 32 * 32;
  shape.begin = min(rank * part, vectors);
  shape.end = min(shape.begin + part, vectors);
  const uint32_t run = ShiftRoundingUp(shape.end - shape.begin, geometry.warp_bits);
  // Whole tiles, where that leaves the last warps little less to do.
  const uint32_t unit = run >= 4 * kTile ? kTile : 32;
  shape.run = (run + unit - 1) & ~(unit - 1);
  shape.resident_at = geometry.resident_at;
  shape.full_begin = shape.before != 0;
  shape.full_end = (shape.before + vocabulary) / Logit::kPerVector;
  return shape;
}

// The same for kernels that no plan tells the powers.
template <typename Logit, typename AnyBatch>
__device__ __forceinline__ PartShape ShapeOf(const AnyBatch& batch, int64_t row, uint32_t rank, uint32_t blocks) {
  const Geometry geometry = {Log2(blocks), Log2(blockDim.x / 32), 0, static_cast<uint32_t>(StorageBytes(blocks))};
  return ShapeOf<Logit>(batch, row, rank, geometry);
}

// A run of vectors.
struct Run {
  uint32_t begin, end;
};

// Whose run is a row's part `index`: the warp of the block.
struct PartOwner {
  uint32_t block, warp;
};
__device__ __forceinline__ PartOwner OwnerOf(uint32_t index) {
  const uint32_t warps = blockDim.x / 32;
  return {.block = index >> Log2(warps), .warp = index & (warps - 1)};
}

template <typename Logit>
class RowPart {
 public:
  __device__ __forceinline__ explicit RowPart(const PartShape& shape)
      : shape_(shape), resident_(reinterpret_cast<Vector*>(fire_shared_memory + shape.resident_at)) {}

  __device__ __forceinline__ uint32_t vocabulary() const { return shape_.vocabulary; }

  // The vectors of warp `warp` of this block.
  __device__ __forceinline__ Run RunOf(uint32_t warp) const {
    const uint32_t begin = min(shape_.begin + warp * shape_.run, shape_.end);
    return {begin, min(begin + shape_.run, shape_.end)};
  }
  // The warp in whose run an id of this block is.
  __device__ __forceinline__ uint32_t WarpOf(uint32_t id) const {
    return ((id + shape_.before) / Logit::kPerVector - shape_.begin) / shape_.run;
  }
  __device__ __forceinline__ Run OwnRun() const { return RunOf(threadIdx.x / 32); }

  // Whether vectors of the row are aligned ones of `other`, another array of a row's length, too.
  __device__ __forceinline__ bool IsAlignedAs(const typename Logit::Element* other) const {
    return reinterpret_cast<uintptr_t>(other) % sizeof(Vector) == shape_.before * sizeof(typename Logit::Element);
  }

  __device__ __forceinline__ uint32_t IdOfFirst(uint32_t index) const {
    return index * Logit::kPerVector - shape_.before;
  }

  __device__ __forceinline__ Vector Filler() const {
    return {{Logit::kMaskedWord, Logit::kMaskedWord, Logit::kMaskedWord, Logit::kMaskedWord}};
  }

  // A vector of global memory. Not by __ldg, which promises that nobody writes there while the kernel runs: the kernel
  // before may until the wait for it is over, and heat_logits_ does.
  static __device__ __forceinline__ Vector Load(const Vector* vector) {
    __builtin_assume(__isGlobal(vector));
    return *vector;
  }

  // Any vector of the row from global memory.
  __device__ __forceinline__ Vector Any(uint32_t index) const {
    if (index >= shape_.full_begin && index < shape_.full_end) return Load(Vectors() + index);
    Vector v = Filler();
    const auto* elements = static_cast<const typename Logit::Element*>(shape_.base);
#pragma unroll
    for (uint32_t i = 0; i < Logit::kPerVector; ++i) {
      const uint32_t at = index * Logit::kPerVector + i;
      if (at < shape_.before || at - shape_.before >= shape_.vocabulary) continue;
      const uint32_t shift = Logit::kPerWord == 2 ? 16 * (i % 2) : 0;
      const uint32_t mask = Logit::kPerWord == 2 ? 0xFFFFu << shift : ~0u;
      uint32_t& word = v.word[i / Logit::kPerWord];
      word = (word & ~mask) | (static_cast<uint32_t>(elements[at]) << shift);
    }
    return v;
  }

  __device__ __forceinline__ Vector& Resident(uint32_t index) const { return resident_[index - shape_.begin]; }

  // Asks for the first vectors of a run, a 128-byte line a lane: what its first group leaves out then comes with it.
  __device__ __forceinline__ void PrefetchStart(Run run) const {
    const uint32_t index = run.begin + 128 / sizeof(Vector) * (threadIdx.x % 32);
    if (index < run.end) ptx::PrefetchToL2(Vectors() + index);
  }

  // Calls visit(vectors, index of the first; the others follow 32 apart, how many of them there are) for [begin, end)
  // of this warp's vectors, in groups of kGroup a lane and then one by one. All lanes take part to the end; where there
  // is no vector they get −inf. With kRestTogether what makes no whole group is under way at once, too: for a body that
  // is short beside the way to memory. A lane whose visit returns false leaves out the groups that are left.
  template <bool kFromShared, bool kRestTogether = false, typename Visit>
  __device__ __forceinline__ void ForVectors(uint32_t begin, uint32_t end, const Visit& visit) const {
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t start = kFromShared ? begin : min(max(begin, shape_.full_begin), end);
    const uint32_t stop = kFromShared ? end : min(end, shape_.full_end);
    uint32_t rest = start + (stop > start ? (stop - start) / kTile * kTile : 0);
#pragma unroll 1
    for (uint32_t index = start + lane, last = rest; index < last; index += kTile) {
      // One address; the others are it and a constant.
      const Vector* vector = kFromShared ? &Resident(index) : Vectors() + index;
      Vector v[kGroup];
#pragma unroll
      for (uint32_t u = 0; u < kGroup; ++u) v[u] = kFromShared ? vector[32 * u] : Load(vector + 32 * u);
      if constexpr (std::is_void_v<decltype(visit(v, index, kGroup))>) {
        visit(v, index, kGroup);
      } else {
        if (!visit(v, index, kGroup)) last = 0;
      }
    }
    if (kRestTogether && rest < stop) {
      const uint32_t index = rest + lane;
      const uint32_t count = index < stop ? (stop - index + 31) / 32 : 0;
      Vector v[kGroup];
#pragma unroll
      for (uint32_t u = 0; u < kGroup; ++u)
        v[u] = u >= count ? Filler() : kFromShared ? Resident(index + 32 * u) : Load(Vectors() + index + 32 * u);
      visit(v, index, count);
      rest = stop;
    }
    const uint32_t head = start - begin;
    const uint32_t count = head + end - rest;
#pragma unroll 1
    for (uint32_t first = 0; first < count; first += 32) {
      const uint32_t i = first + lane;
      const uint32_t at = i < head ? begin + i : rest + i - head;
      Vector v[1] = {i < count ? (kFromShared ? Resident(at) : Any(at)) : Filler()};
      visit(v, at, i < count ? 1 : 0);
    }
  }

  // What of a run lies wholly in the row.
  __device__ __forceinline__ Run FullOf(Run run) const {
    const uint32_t begin = max(run.begin, shape_.full_begin);
    return {begin, max(begin, min(run.end, shape_.full_end))};
  }

  // Calls visit(logit, id) for a warp's run that lies wholly in the row, half a vector a lane, the next one under way:
  // for loops whose body outweighs the load, and whose machine code and registers should be few. Lanes without one stay
  // away.
  template <bool kFromShared, typename Visit>
  __device__ __forceinline__ void ForLogits(Run run, const Visit& visit) const {
    const uint32_t end = 2 * run.end;
    uint32_t at = 2 * run.begin + threadIdx.x % 32;
    if (at >= end) return;
    uint2 next = Half<kFromShared>(at);
#pragma unroll 1
    do {
      const uint2 half = next;
      uint32_t id = IdOfFirst(0) + at * (Logit::kPerVector / 2);
      at += 32;
      if (at < end) next = Half<kFromShared>(at);
#pragma unroll
      for (uint32_t i = 0; i < 2 * Logit::kPerWord; ++i)
        visit(Logit::Value(i < Logit::kPerWord ? half.x : half.y, i % Logit::kPerWord), id++);
    } while (at < end);
  }

  // The ids of the logits of a run.
  __device__ __forceinline__ Run IdsOf(Run run) const {
    const uint32_t first = run.begin * Logit::kPerVector, last = run.end * Logit::kPerVector;
    return {max(first, shape_.before) - shape_.before,
            min(max(last, shape_.before) - shape_.before, shape_.vocabulary)};
  }

  // Calls visit(logit, id) for every stride-th of the ids, from the thread-th on. One at a time: for loops whose body
  // outweighs the load, and whose machine code should stay small.
  template <bool kFromShared, typename Visit>
  __device__ __forceinline__ void ForElements(Run ids, uint32_t thread, uint32_t stride, const Visit& visit) const {
    ForElements<kFromShared>(
        ids, thread, stride, [](uint32_t id) { return id; }, visit);
  }
  template <bool kFromShared, typename IdAt, typename Visit>
  __device__ __forceinline__ void ForElements(Run places, uint32_t thread, uint32_t stride, const IdAt& id_at,
                                              const Visit& visit) const {
    const auto* row = Row<kFromShared>();
#pragma unroll 1
    for (uint32_t at = places.begin + thread; at < places.end; at += stride)
      visit(Logit::Value(row[id_at(at)], 0), id_at(at));
  }

  // Calls visit(logit, id) for the ids of a warp's run but for those of its part `but`, every 32nd a lane.
  template <bool kFromShared, typename Visit>
  __device__ __forceinline__ void ForElementsBut(Run but, Run run, const Visit& visit) const {
    const Run all = IdsOf(run), left_out = IdsOf(but);
    const uint32_t head_end = min(left_out.begin, all.end),
                   gap = but.begin < but.end ? left_out.end - left_out.begin : 0;
    ForElements<kFromShared>(
        {all.begin, all.end - gap}, threadIdx.x % 32, 32, [&](uint32_t id) { return id < head_end ? id : id + gap; },
        visit);
  }

  // One of them.
  template <bool kFromShared = false>
  __device__ __forceinline__ float LogitAt(uint32_t id) const {
    return Logit::Value(Row<kFromShared>()[id], 0);
  }

  template <typename Visit>
  __device__ __forceinline__ void ForElementsOf(const Vector& v, uint32_t index, const Visit& visit) const {
#pragma unroll
    for (uint32_t i = 0; i < Logit::kPerVector; ++i) {
      const uint32_t id = IdOfFirst(index) + i;  // wraps to a huge one before the row
      if (id < shape_.vocabulary) visit(Logit::Value(v.word[i / Logit::kPerWord], i % Logit::kPerWord), id);
    }
  }

 private:
  // Where the logit of id 0 lies, or would lie if all of the row were resident.
  template <bool kFromShared>
  __device__ __forceinline__ const typename Logit::Element* Row() const {
    using Element = typename Logit::Element;
    return kFromShared ? reinterpret_cast<const Element*>(resident_) + shape_.before - shape_.begin * Logit::kPerVector
                       : static_cast<const Element*>(shape_.base) + shape_.before;
  }
  // One of the two halves of each vector.
  template <bool kFromShared>
  __device__ __forceinline__ uint2 Half(uint32_t at) const {
    if (kFromShared) return reinterpret_cast<const uint2*>(resident_)[at - 2 * shape_.begin];
    const uint2* half = static_cast<const uint2*>(shape_.base) + at;
    __builtin_assume(__isGlobal(half));
    return *half;
  }
  __device__ __forceinline__ const Vector* Vectors() const { return static_cast<const Vector*>(shape_.base); }

  PartShape shape_;
  Vector* resident_;
};

}  // namespace fire::kernels
