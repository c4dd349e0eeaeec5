// The draw from a row that no filter cuts, where nothing but its token is asked for: once all blocks know what each
// warp's run weighs, the block whose run the point falls into finds the token, and none waits for another.
#pragma once

#include "definition/draw.h"
#include "kernels/device/measure.cuh"
#include "kernels/device/run_search.cuh"

namespace fire::kernels {

template <typename Logit, bool kResident>
class WholeRow {
 public:
  __device__ __forceinline__ WholeRow() : storage_(SharedStorage()), scale_(storage_.fast_scale) {}

  // Fills storage.outcome, once part_mass[0] is there: true in the first warp of the block that has the token, which
  // then may read it.
  __device__ __forceinline__ bool Draw() const {
    const uint32_t parts = blockDim.x / 32 * storage_.part.blocks;
    uint64_t mass = 0, point = 0;
    const Passing part = WarpPassing<kMostBlocks * kMostWarps>(storage_.part_mass[0], parts, [&](uint64_t total) {
      mass = total;
      point = definition::DrawPoint(storage_.settings.draw_bits, total);
      return point;
    });
    const PartOwner owner = OwnerOf(part.index);
    if (!part.found || owner.block != storage_.part.rank) return false;
    const FoundInRun found =
        RunSearch<Logit, kResident, WholeRow>(*this).Find(Part().RunOf(owner.warp), point - part.before);
    if (ptx::ThreadAnew() >= 32) return false;
    if (found.is_here) {
      const uint32_t key = definition::Key(Part().template LogitAt<kResident>(found.id));
      storage_.outcome = {.rule = KeepAll(), .mass = mass, .drawn = Entry(key, found.id), .kept = 0, .rank = 0};
      storage_.found_rest = found.rest;
    }
    __syncwarp();  // the lane that found it has written the outcome; else another reads an older one
    return true;
  }

  // ---- what RunSearch asks ----
  __device__ __forceinline__ bool IsFast() const { return scale_.is_exact; }
  __device__ __forceinline__ auto InFloats() const {
    return [scale = scale_](float x, uint32_t) -> uint64_t {
      return definition::IsNanBits(__float_as_uint(x)) ? 0 : FastWeight(x, scale);
    };
  }
  __device__ __forceinline__ uint64_t Exactly(uint32_t key, uint32_t) const {
    return WeightOfKey(key, ScaleOf(storage_));
  }
  __device__ __forceinline__ uint64_t SumOf(Run run) const {
    uint64_t sum = 0;
    const Run full = IsFast() ? Part().FullOf(run) : Run{run.begin, run.begin};
    const auto weight_of = InFloats();
    Part().template ForLogits<kResident>(full, [&](float x, uint32_t id) { sum += weight_of(x, id); });
    Part().template ForElementsBut<kResident>(full, run,
                                              [&](float x, uint32_t id) { sum += Exactly(definition::Key(x), id); });
    return sum;
  }

 private:
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }

  Storage& storage_;
  const FastScale scale_;
};

}  // namespace fire::kernels
