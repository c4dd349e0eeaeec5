// The kept set of at most kShortList candidates, and the draw from it: each candidate is compared with each, which
// gives its rank and the mass before it at once, and with these every filter is one comparison. A few threads share a
// candidate. Costs about kShortList / (threads a candidate) steps twice, and eight barriers.
#pragma once

#include "kernels/device/kept_set.cuh"

namespace fire::kernels {

__device__ __forceinline__ uint64_t SumOfSharers(uint64_t value, uint32_t sharers) {
  for (uint32_t distance = sharers / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

// `count` entries of storage.short_entry: all tokens of the row down to the least of them, as far as min-p leaves any.
// `row_mass` is the whole row's where TopPCountsRow. Fills storage.outcome, the counts too.
__device__ __forceinline__ void FindKeptOfShortList(uint32_t count, const WeightScale& scale, uint64_t row_mass,
                                                    Storage& storage) {
  const RowSetup& setup = storage.setup;
  const definition::Phase& phase = setup.phase;
  const uint32_t sharers = blockDim.x / kShortList;
  const uint32_t candidate = threadIdx.x / sharers, sharer = threadIdx.x % sharers;
  const bool speaks = sharer == 0 && candidate < count;  // one thread a candidate does
  const uint64_t entry = candidate < count ? storage.short_entry[candidate] : 0;
  const uint64_t weight = candidate < count ? WeightOfKey(KeyOf(entry), scale) : 0;
  const uint64_t first_min = phase.order == Order::kVllm ? setup.min_weight : 0;
  const bool alive = candidate < count && weight >= first_min;
  if (sharer == 0) storage.short_weight[candidate] = alive ? weight : 0;
  if (threadIdx.x == 0) storage.found[2] = 0;
  __syncthreads();  // every weight is there

  uint64_t before = 0;
  uint32_t rank = 0;
#pragma unroll 1
  for (uint32_t i = sharer; i < count; i += sharers) {
    const uint64_t other = storage.short_weight[i];
    if (storage.short_entry[i] > entry && other >= first_min) ++rank, before += other;
  }
  before = SumOfSharers(before, sharers);
  rank = static_cast<uint32_t>(SumOfSharers(rank, sharers));

  bool in = alive && rank < phase.top_k;
  if (setup.top_k_on && phase.ties != Ties::kExact) {
    if (alive && sharer == 0 && rank == phase.top_k - 1) storage.found[2] = entry;
    __syncthreads();  // the k-th entry is there, or 0 where there are fewer
    in = alive && KeyOf(entry) >= KeyOf(storage.found[2]);
  }
  // The last token of top-k, and the mass up to it.
  const uint32_t in_top_k = __syncthreads_count(in && speaks);
  if (in && speaks && rank == in_top_k - 1) storage.found[0] = entry, storage.found[1] = before + weight;
  __syncthreads();  // the last token is there
  uint64_t last = storage.found[0];
  if (setup.top_p_on) {
    const uint64_t mass = TopPCountsRow(setup) ? row_mass : storage.found[1];
    in = in && before < definition::TopPTarget(phase.top_p, mass);
    const uint32_t in_top_p = __syncthreads_count(in && speaks);
    if (in && speaks && rank == in_top_p - 1) storage.found[2] = entry;
    __syncthreads();  // the nucleus's last token is there
    const uint64_t equal = LastOfKey(KeyOf(storage.found[2]));
    last = phase.ties != Ties::kKeep ? storage.found[2] : (equal > last ? equal : last);
  }

  const bool is_kept = alive && entry >= last && weight >= setup.min_weight;
  if (sharer == 0) storage.short_weight[candidate] = is_kept ? weight : 0;
  const uint32_t kept = __syncthreads_count(is_kept && speaks);  // also: the weights of what is kept are there
  uint64_t mass = 0, before_in_id_order = 0;
#pragma unroll 1
  for (uint32_t i = sharer; i < count; i += sharers) {
    const uint64_t other = storage.short_weight[i];
    mass += other;
    if (IdOf(storage.short_entry[i]) < IdOf(entry)) before_in_id_order += other;
  }
  before_in_id_order = SumOfSharers(before_in_id_order, sharers);
  mass = SumOfSharers(mass, sharers);
  const uint64_t point = definition::DrawPoint(setup.draw_bits, mass);
  if (speaks && is_kept && before_in_id_order <= point && point - before_in_id_order < weight) storage.found[3] = entry;
  __syncthreads();  // the drawn token is there
  const uint64_t drawn = storage.found[3];
  const uint32_t reaching = __syncthreads_count(speaks && KeyOf(entry) >= KeyOf(drawn));
  if (threadIdx.x == 0) storage.outcome = {{last, setup.min_weight}, mass, drawn, kept, reaching};
  __syncthreads();  // the outcome is there
}

}  // namespace fire::kernels
