// The kernel of a shard's answers: one row a team of blocks.
//
// Every sum is of integers, so the blocks' parts add up in any order. Each question is a reading of the shard, from
// cache after the first, and the blocks meet after each. The drawn token is sought in the run of the one warp that its
// point falls into, by the block that has it. The leader writes the answer, that block the token's slot.
#pragma once

#include "kernels/device/passes.cuh"
#include "kernels/device/shard_state.cuh"
#include "kernels/device/tokens.cuh"

namespace fire::kernels {

// Follows what Tokens works with, in place of a resident part.
__device__ __forceinline__ ShardStorage& SharedShardStorage(uint32_t blocks) {
  return *reinterpret_cast<ShardStorage*>(fire_shared_memory + StorageBytes(static_cast<int>(blocks)));
}

// What tokens count and weigh.
struct Measured {
  uint64_t count, mass;
};

template <typename Logit>
class ShardAnswerer {
 public:
  __device__ __forceinline__ ShardAnswerer(const ShardAnswerWork& work, const Team& team)
      : work_(work), team_(team), storage_(SharedStorage()), shard_(SharedShardStorage(team.blocks)) {}

  __device__ __forceinline__ void Answer(int64_t at) const {
    const int64_t row = definition::RowAt(work_.round, at, work_.state_count);
    ReadState(row);
    ShardAnswer* const out = work_.answers + at * work_.round.slots;
    ShardAnswer reference = {.count = 0, .mass = 0}, kept = reference;
    if (Asks(definition::kAskRank)) reference.count = Total(CountOfRank());
    if (HasFiniteMaximum()) {
      if (Asks(definition::kAskReference)) reference.mass = Total(MassPass<false>(Part(), shard_.ref_scale, true));
      if (Asks(definition::kAskMasses)) {
        const Measured own = MeasureKept();
        kept = {.count = Total(own.count), .mass = Total(own.mass)};
      }
      if (Asks(definition::kAskDigits)) CountDigits(out);
    }
    if (team_.IsLeader()) WriteSums(out, reference, kept);
    WriteToken(out);
  }

 private:
  // What Tokens finds in storage_: a row of which nothing is listed.
  __device__ __forceinline__ void ReadState(int64_t row) const {
    const PartShape shape = ShapeOf<Logit>(work_.batch, row, team_.rank, team_.blocks);
    ReadShardState(work_.states[row], work_.first_id, shape.vocabulary, &shard_);
    if (threadIdx.x == 0) {
      storage_.part = shape;
      storage_.state = {.maximum = shard_.row.maximum, .has_nan = 1, .is_listed = 0, .count = 0};
      storage_.settings.slope = shard_.scale.slope;
      storage_.settings.floor = shard_.scale.floor;
      storage_.settings.weight_bits = shard_.scale.bits;
      storage_.fast_scale = shard_.fast_scale;
      storage_.outcome.rule = shard_.rule;
    }
    __syncthreads();  // the part is described; else threads read another row's
    team_.AwaitPeers();
  }

  __device__ __forceinline__ const ShardRow& row() const { return shard_.row; }
  __device__ __forceinline__ bool Asks(uint32_t question) const { return (row().questions & question) != 0; }
  __device__ __forceinline__ bool HasFiniteMaximum() const { return definition::HasFiniteMaximum(row()); }
  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }
  __device__ __forceinline__ Tokens<Logit, false, false> ShardTokens() const { return {}; }

  // Adds up all threads' values, for all of them.
  __device__ __forceinline__ uint64_t Total(uint64_t own) const {
    __syncthreads();  // all have read the last total; else it is overwritten
    return ReduceTeam(own, Add(), team_, storage_);
  }

  // visit(x, id) for the tokens of this warp's run, id that of the shard; all lanes take part, with −inf and an id
  // beyond the shard where they have none.
  template <typename Visit>
  __device__ __forceinline__ void ForRun(const Visit& visit) const {
    const RowPart<Logit> part = Part();
    const Run run = part.OwnRun();
#pragma unroll 1
    for (uint32_t first = run.begin; first < run.end; first += 32) {
      const uint32_t index = first + threadIdx.x % 32;
      const Vector v = index < run.end ? part.Any(index) : part.Filler();
#pragma unroll
      for (uint32_t i = 0; i < Logit::kPerVector; ++i)
        visit(Logit::Value(v.word[i / Logit::kPerWord], i % Logit::kPerWord), part.IdOfFirst(index) + i);
    }
  }

  __device__ __forceinline__ uint64_t CountOfRank() const {
    const uint32_t least = KeyOf(row().entry), size = storage_.part.vocabulary;
    uint32_t count = 0;
    ForRun([&](float x, uint32_t id) { count += id < size && definition::Key(x) >= least; });
    return count;
  }

  // This lane's share of what the rule keeps of its warp's run.
  __device__ __forceinline__ Measured MeasureKept() const {
    const KeptRule rule = shard_.rule;
    uint32_t count = 0;
    uint64_t mass = 0;
    ForRun([&](float x, uint32_t id) {
      const uint64_t weight = WeightOf(x, shard_);
      if (definition::Keeps(rule, Entry(definition::Key(x), id), weight)) ++count, mass += weight;
    });
    return {.count = count, .mass = mass};
  }

  // Writes the histogram of the search's next digit: pairs of bins are the answer's slots.
  __device__ __forceinline__ void CountDigits(ShardAnswer* out) const {
    __syncthreads();  // all have read the last total
    RestartBins(storage_);
    const definition::ShardSearch search = row().search;
    const uint64_t min_weight = row().rule.min_weight;
    ForRun([&](float x, uint32_t id) {
      const uint32_t key = definition::Key(x);
      const uint64_t entry = Entry(key, work_.first_id + id);
      uint64_t weight = 0;
      bool counts = key > definition::kMaskedKey && definition::IsInRange(search, entry);
      if (counts) {
        weight = WeightOf(x, shard_);
        counts = weight >= min_weight;
      }
      AddToDigit(counts, definition::DigitOf(search, entry), weight);
    });
    const uint64_t* bins = TeamBins(team_, storage_);
    if (!team_.IsLeader()) return;
    const uint32_t room = static_cast<uint32_t>(work_.round.slots) - definition::kFirstSlot;
#pragma unroll 1
    for (uint32_t digit = threadIdx.x; digit < min(definition::kDigits, room); digit += blockDim.x)
      out[definition::kFirstSlot + digit] = {.count = bins[2 * digit], .mass = bins[2 * digit + 1]};
  }

  // Counts a token of each lane that has one, for all lanes of a warp. Where a row begins to be searched most have the
  // same few digits, and adding to one bin is one lane's turn after another: two digits are added up first.
  __device__ __forceinline__ void AddToDigit(bool counts, uint32_t digit, uint64_t weight) const {
    uint32_t left = __ballot_sync(~0u, counts);
#pragma unroll 1
    for (int turn = 0; turn < 2 && left != 0; ++turn) {
      const int first = __ffs(static_cast<int>(left)) - 1;
      const uint32_t of_first = __shfl_sync(~0u, digit, first);
      const bool adds = counts && digit == of_first;
      const uint32_t adding = __ballot_sync(~0u, adds);
      const uint64_t sum = ReduceWarp(adds ? weight : 0, Add());
      if (static_cast<int>(threadIdx.x % 32) == first) {
        AddToBin(2 * digit, __popc(adding), storage_);
        AddToBin(2 * digit + 1, sum, storage_);
      }
      counts = counts && !adds;
      left &= ~adding;
    }
    if (!counts) return;
    AddToBin(2 * digit, 1, storage_);
    AddToBin(2 * digit + 1, weight, storage_);
  }

  // All but the token's slot and a histogram. By one block.
  __device__ __forceinline__ void WriteSums(ShardAnswer* out, const ShardAnswer& reference,
                                            const ShardAnswer& kept) const {
    const bool has_digits = HasFiniteMaximum() && Asks(definition::kAskDigits);
    const uint32_t own = definition::kFirstSlot + work_.rank, slots = static_cast<uint32_t>(work_.round.slots);
    const uint32_t first = has_digits ? definition::kFirstSlot + definition::kDigits : definition::kFirstSlot;
#pragma unroll 1
    for (uint32_t slot = first + threadIdx.x; slot < slots; slot += blockDim.x)
      out[slot] = slot == own ? kept : ShardAnswer{.count = 0, .mass = 0};
    if (threadIdx.x == 0) out[definition::kReferenceSlot] = reference;
  }

  // Of the drawn token the shard that owns it tells, of the caller's the one that has its id.
  __device__ __forceinline__ void WriteToken(ShardAnswer* out) const {
    uint64_t entry = 0;
    bool writes = team_.IsLeader();
    if (Asks(definition::kAskToken)) {
      if ((row().wants & definition::kWantsLogProb) != 0) {
        const int64_t id = row().asked - static_cast<int64_t>(work_.first_id);
        if (id >= 0 && id < storage_.part.vocabulary) entry = EntryOf(static_cast<uint32_t>(id));
      } else if (row().owner == work_.rank && HasFiniteMaximum()) {
        entry = FindDrawn(&writes);
      }
    }
    if (!writes || threadIdx.x != 0) return;
    out[definition::kTokenSlot] = {.count = entry == 0 ? 0 : entry - work_.first_id,
                                   .mass = entry == 0 ? 0 : WeightOfEntry(entry)};
  }

  // With the id of the shard.
  __device__ __forceinline__ uint64_t EntryOf(uint32_t id) const {
    return Entry(definition::Key(Part().LogitAt(id)), id);
  }
  __device__ __forceinline__ uint64_t WeightOfEntry(uint64_t entry) const {
    return HasFiniteMaximum() ? WeightOfKey(KeyOf(entry), shard_.scale) : 0;
  }

  // The token whose share covers the row's point, and which block has it: the leader, with 0, where none does.
  __device__ __forceinline__ uint64_t FindDrawn(bool* writes) const {
    const Tokens<Logit, false, false> tokens = ShardTokens();
    const TokenMeasure measure = {.rule = storage_.outcome.rule, .counts = false, .only_key = 0};
    PushPartMass(ReduceWarp(MeasureKept().mass, Add()), 0, tokens.team(), SharedStorage());
    team_.Sync();  // every run's mass is pushed; else the point falls into the wrong one
    const Passing part = tokens.FindPart(row().point);
    if (!part.found) return 0;
    const PartOwner owner = OwnerOf(part.index);
    *writes = owner.block == team_.rank;
    if (!*writes) return 0;
    return tokens.FindInRun(owner.warp, measure, row().point - part.before);
  }

  const ShardAnswerWork& work_;
  const Team team_;
  Storage& storage_;
  ShardStorage& shard_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    ShardAnswerRows(const __grid_constant__ ShardAnswerWork work, int64_t first_row, Geometry) {
  const Team team = {ptx::ClusterRank(), ptx::ClusterSize()};
  team.Announce();
  ptx::WaitForPriorGrids();
  ShardAnswerer<Logit>(work, team).Answer(first_row + blockIdx.x / team.blocks);
}

}  // namespace fire::kernels
