// The sampling kernel: one row a team of blocks, from logits to token in one launch.
//
// Cost, in readings of the row, the first from global memory and the others from shared memory or cache: 2 with top-k
// or min-p and without a filter, 1⅛ where a row streams; with top-p alone 3, or 2 where it is not resident; 1 more for
// a reference log-probability. The whole account, rows that are not settled among candidates too: docs/kernels.md,
// "Where the time should go".
#pragma once

#include "definition/code.h"
#include "kernels/device/kept_row.cuh"
#include "kernels/device/whole_row.cuh"

namespace fire::kernels {

template <typename Logit, bool kResident>
class RowSampler {
 public:
  __device__ __forceinline__ explicit RowSampler(const Work& work) : work_(work), outputs_(work.outputs) {}

  __device__ __forceinline__ void Sample(int64_t row, const Team& team, const Geometry& geometry) {
    if (row_.Read(work_, row, team, geometry)) {
      if (WholeRow<Logit, kResident>().Draw()) Write();
      return;
    }
    const Prospect at = row_.Look();
    if (row_.IsListed() & !row_.team().IsLeader()) return;
    if (!FindToken(at)) {
      if (row_.IsListed() & !row_.team().IsLeader()) return;
      CountKeptAndRank();
      if (!row_.team().IsLeader()) return;
    }
    if (threadIdx.x < 32) Write();
  }

 protected:
  // Fills the outcome, for whoever has the tokens in question. With kSorts storage.sorted may have the kept set then.
  // True as of Find().
  template <bool kSorts = false>
  __device__ __forceinline__ bool FindToken(const Prospect& at) const {
    if (at.is_decided == 0) return row_.template Find<true, kSorts, kSorts>(at);
    row_.Decide();
    return false;
  }

  // Counts kept and rank where Find() left them at 0: one more reading each. Thread 0 of the leader has the result.
  __device__ __forceinline__ void CountKeptAndRank() const {
    if (outputs_.kept == nullptr && !WantsReference()) return;
    Outcome& found = SharedStorage().outcome;
    // One loop over both counts, not two calls: a reading of the row or the list inlines, and would be there twice.
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      const bool counts_kept = i == 0;
      if (counts_kept ? found.kept != 0 || outputs_.kept == nullptr : found.rank != 0 || !WantsReference()) continue;
      if (!counts_kept && threadIdx.x == 0)
        SharedStorage().at_least_drawn = {.last = LastOfKey(KeyOf(found.drawn)), .min_weight = 0};
      __syncthreads();  // the rule is written; else some threads count by an older one
      const uint64_t count = row_.TokensInQuestion().Sum(
          {.rule = counts_kept ? found.rule : SharedStorage().at_least_drawn, .counts = true, .only_key = 0});
      if (threadIdx.x == 0) (counts_kept ? found.kept : found.rank) = static_cast<uint32_t>(count);
    }
  }

  // Writes what is asked for. `status`: bits beside the row's. By one warp.
  __device__ __forceinline__ void Write(int32_t status = 0) const {
    const Outcome& found = row_.outcome();
    const int64_t at = row_.row();
    if (threadIdx.x == 0)
      outputs_.token[at] = min(IdOf(found.drawn), SharedStorage().part.vocabulary - 1);  // in it, come what may
    if (IsTokenAlone()) return;
    const bool has_reference = WantsReference();
    const uint64_t reference_mass = has_reference && row_.HasFiniteMaximum() ? RowMass(1, SharedStorage()) : 0;
    if (threadIdx.x != 0) return;
    if (outputs_.logprob != nullptr) outputs_.logprob[at] = row_.LogProb(found.drawn);
    if (outputs_.kept != nullptr) outputs_.kept[at] = static_cast<int32_t>(found.kept);
    if (outputs_.status != nullptr) outputs_.status[at] = row_.Status() | status;
    if (outputs_.rank != nullptr)
      outputs_.rank[at] = has_reference ? static_cast<int32_t>(found.rank) : definition::kNoRank;
    if (outputs_.ref_logprob != nullptr)
      outputs_.ref_logprob[at] =
          has_reference ? row_.ReferenceLogProb(found.drawn, reference_mass) : definition::kNoRefLogprob;
    if (work_.next_code != nullptr) work_.next_code[at] = NextCode(found);
  }

  const Work& work_;
  const SampleOutputs& outputs_;
  KeptRow<Logit, kResident, false> row_;

 private:
  __device__ __forceinline__ bool WantsReference() const { return definition::WantsReference(outputs_); }

  // Of six outputs at once: one after the other each is a branch to wait for.
  __device__ __forceinline__ bool IsTokenAlone() const {
    const auto bits = [](const void* output) { return reinterpret_cast<uintptr_t>(output); };
    return ((bits(outputs_.logprob) | bits(outputs_.kept)) | (bits(outputs_.status) | bits(outputs_.rank)) |
            (bits(outputs_.ref_logprob) | bits(work_.next_code))) == 0;
  }

  __device__ __forceinline__ uint64_t NextCode(const Outcome& found) const {
    const uint64_t code = row_.settings().draw_bits;
    if (row_.HasOneToken()) return code;
    const int64_t step = definition::StepOf(work_.batch, row_.row());
    return definition::NextCode(code, found.mass, SharedStorage().found_rest,
                                WeightOfKey(KeyOf(found.drawn), ScaleOf(SharedStorage())),
                                definition::FreshBits(row_.settings().record, step));
  }
};

template <typename Logit, bool kResident>
__global__ void __launch_bounds__(kMostThreads, 2)
    SampleRows(const __grid_constant__ Work work, int64_t first_row, const __grid_constant__ Geometry geometry) {
  const Team team = {ptx::ClusterRank(), 1u << geometry.block_bits};
  team.Announce();
  ptx::WaitForPriorGrids();
  RowSampler<Logit, kResident>(work).Sample(first_row + (blockIdx.x >> geometry.block_bits), team, geometry);
}

}  // namespace fire::kernels
