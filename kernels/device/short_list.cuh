// The kept set of at most kShortList candidates, and the draw from it: each candidate is compared with each, which
// gives its rank and the mass before it at once, and with these every filter is one comparison. As many threads share a
// candidate as there are. Costs two loops of (candidates)² / threads steps, and up to ten barriers.
#pragma once

#include "kernels/device/kept_set.cuh"

namespace fire::kernels {

template <typename Number>
__device__ __forceinline__ Number SumOfSharers(Number value, uint32_t sharers) {
  for (uint32_t distance = sharers / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

// `count` entries, kShortList at most: all tokens of the row down to the least of them, as far as min-p leaves any.
// `row_mass` is the whole row's where TopPCountsRow. Fills storage.outcome, the counts too.
__device__ __forceinline__ void FindKeptOfShortList(const uint64_t* entries, uint32_t count, const WeightScale& scale,
                                                    uint64_t row_mass, Storage& storage) {
  const RowSetup& setup = storage.setup;
  const definition::Phase& phase = setup.phase;
  // Places for candidates and their sharers are powers of two: a division here would be a call.
  const uint32_t place_bits = count > 1 ? 32 - __clz(count - 1) : 0;
  const uint32_t sharer_bits = min(5, 31 - __clz(blockDim.x) - place_bits), sharers = 1u << sharer_bits;
  const uint32_t candidate = threadIdx.x >> sharer_bits, sharer = threadIdx.x & (sharers - 1);
  const bool speaks = sharer == 0 && candidate < count;  // one thread a candidate does
  const bool is_one = candidate < count;
  const uint64_t entry = is_one ? entries[candidate] : 0;
  const uint64_t weight = is_one ? WeightOfKey(KeyOf(entry), scale) : 0;
  const uint64_t first_min = phase.order == Order::kVllm ? setup.min_weight : 0;
  const bool alive = is_one && weight >= first_min;
  if (speaks) storage.short_weight[candidate] = alive ? weight : 0;
  if (threadIdx.x == 0) storage.found[2] = 0;
  __syncthreads();  // every weight is there

  // A thread without a candidate compares nothing.
  const uint32_t others = is_one ? count : 0;
  uint64_t before = 0;
  uint32_t rank = 0;
#pragma unroll 1
  for (uint32_t i = sharer; i < others; i += sharers) {
    const uint64_t other = storage.short_weight[i];
    if (entries[i] > entry && other >= first_min) ++rank, before += other;
  }
  before = SumOfSharers(before, sharers);
  rank = SumOfSharers(rank, sharers);

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
    // Its equals are all among those of top-k, which keeps equals too.
    last = phase.ties == Ties::kKeep ? LastOfKey(KeyOf(storage.found[2])) : storage.found[2];
  }

  const bool is_kept = alive && entry >= last && weight >= setup.min_weight;
  if (speaks) storage.short_weight[candidate] = is_kept ? weight : 0;
  const uint32_t kept = __syncthreads_count(is_kept && speaks);  // also: the weights of what is kept are there
  uint64_t mass = 0, before_in_id_order = 0;
#pragma unroll 1
  for (uint32_t i = sharer; i < others; i += sharers) {
    const uint64_t other = storage.short_weight[i];
    mass += other;
    if (IdOf(entries[i]) < IdOf(entry)) before_in_id_order += other;
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
