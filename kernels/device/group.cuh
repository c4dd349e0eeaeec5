// The kernel of a group: one row a team of blocks, its kept set found once, and from that a token for each member.
//
// The leader sorts a row that it has listed by id, with the mass up to each token: a kept set of few candidates as it
// finds it, else the list. A member then is one search of eleven steps at most, and as many members as a block has
// threads are drawn at once. A row that is not listed keeps what each warp's run of it weighs: the block that a
// member's point falls into goes through that run once more, while the others go on to the next member. A member that
// takes a place of such a row descends from its maximum, like top-k.
#pragma once

#include "kernels/device/kept_row.cuh"
#include "kernels/device/sort.cuh"

namespace fire::kernels {

__device__ __forceinline__ GroupStorage& SharedGroupStorage(uint32_t blocks) {
  return *reinterpret_cast<GroupStorage*>(fire_shared_memory + StorageBytes(static_cast<int>(blocks)));
}

template <typename Logit>
class GroupSampler {
 public:
  __device__ __forceinline__ explicit GroupSampler(const Work& work)
      : work_(work), outputs_(work.outputs), storage_(SharedStorage()) {}

  __device__ __forceinline__ void Sample(int64_t row, const Team& team, const Geometry& geometry) {
    row_.Read(work_, row, team, geometry);
    if (row_.IsListed() && !row_.team().IsLeader()) return;
    if (threadIdx.x == 0) storage_.is_sorted = 0;  // barriers follow
    if (row_.IsDecided()) {
      row_.Decide();
    } else {
      row_.template Find<false, true, true>(row_.Look());
      if (row_.IsListed() && !row_.team().IsLeader()) return;
      // Of a row that is searched each part's measure is known.
      if (storage_.is_sorted == 0 && row_.IsListed()) SortList();
    }
    WriteRow();
#pragma unroll 1
    for (uint32_t left = work_.size; left != 0; left -= min(left, blockDim.x)) DrawFrom(left);
  }

 private:
  // Found anew each time: a thread has no register to keep it in.
  __device__ __forceinline__ GroupStorage& group() const { return SharedGroupStorage(storage_.part.blocks); }
  __device__ __forceinline__ bool WantsReference() const { return definition::WantsReference(outputs_); }
  __device__ __forceinline__ bool TakesPlaces() const { return TakesPlace(row_.settings()); }
  __device__ __forceinline__ Team TeamInQuestion() const { return row_.TokensInQuestion().team(); }

  // What the kept set measures: of a row whose members take places the count, else the mass.
  __device__ __forceinline__ TokenMeasure Measure() const {
    return {.rule = row_.outcome().rule, .counts = TakesPlaces(), .only_key = 0};
  }

  // Sorts the list by id, or by the order of tokens where those have places, and sums what it measures.
  __device__ __forceinline__ void SortList() const {
    const uint32_t count = storage_.state.count;
    const uint32_t places = PlacesFor(count);
    for (uint32_t i = count + threadIdx.x; i < places; i += blockDim.x) storage_.list[i] = 0;
    SortDescending(storage_.list, places, TakesPlaces() ? ~uint64_t{0} : uint64_t{0xFFFFFFFFu});
    const TokenMeasure measure = Measure();
    const uint32_t share = (count + blockDim.x - 1) / blockDim.x;
    const uint32_t begin = min(threadIdx.x * share, count), end = min(begin + share, count);
    uint64_t own = 0;
#pragma unroll 1
    for (uint32_t i = begin; i < end; ++i) own += measure(KeyOf(storage_.list[i]), IdOf(storage_.list[i]));
    uint64_t running = BlockRunning(own, storage_) - own;
#pragma unroll 1
    for (uint32_t i = begin; i < end; ++i) {
      running += measure(KeyOf(storage_.list[i]), IdOf(storage_.list[i]));
      storage_.running[i] = running;
    }
    __syncthreads();  // every running sum is written; else members are searched among older ones
  }

  // What the row's members have in common.
  __device__ __forceinline__ void WriteRow() const {
    Outcome& found = storage_.outcome;
    if (outputs_.kept != nullptr && found.kept == 0) {
      const uint64_t count = row_.TokensInQuestion().Sum({.rule = found.rule, .counts = true, .only_key = 0});
      if (threadIdx.x == 0) found.kept = static_cast<uint32_t>(count);
    }
    if (threadIdx.x != 0 || !row_.team().IsLeader()) return;
    if (outputs_.kept != nullptr) outputs_.kept[row_.row()] = static_cast<int32_t>(found.kept);
    if (outputs_.status != nullptr) outputs_.status[row_.row()] = row_.Status();
  }

  // Draws and writes as many members as the block has threads, the first of the last `left`.
  __device__ __forceinline__ void DrawFrom(uint32_t left) const {
    const uint32_t members = min(blockDim.x, left);
    // From a sorted kept set each warp draws by itself: one without a member has nothing to do.
    if (storage_.is_sorted == 0 || threadIdx.x / 32 * 32 < members) DrawMembers(left, members);
    TeamInQuestion().Sync();  // all have read what was found of these members; else the next ones' overwrites it
  }

  __device__ __forceinline__ void DrawMembers(uint32_t left, uint32_t members) const {
    const bool has_member = threadIdx.x < members, has_reference = WantsReference();
    const bool is_in_row = !row_.IsDecided() && !row_.IsListed();
    if (is_in_row) {
      if (has_member) PutTarget(TargetOf(work_.size - left + threadIdx.x));
      __syncthreads();  // the members' targets are written; else some threads search for older ones
      FindInRow(members);
    }
    uint64_t drawn = !is_in_row ? row_.outcome().drawn : has_member ? storage_.member.drawn[threadIdx.x] : 0;
    uint32_t rank = row_.outcome().rank;  // known of a row of which nothing is finite
    if (!row_.IsDecided() && row_.IsListed() && has_member)
      FindInList(TargetOf(work_.size - left + threadIdx.x), &drawn, &rank);
    const uint64_t reference_mass = has_reference && row_.HasFiniteMaximum() ? RowMass(1, storage_) : 0;
    if (!storage_.is_sorted && row_.outcome().rank == 0 && has_reference && outputs_.rank != nullptr)
      rank = RankOf(KeyOf(drawn), members);
    if (row_.team().IsLeader() && has_member) {
      const int64_t at = (row_.row() + 1) * work_.size - left + threadIdx.x;
      outputs_.token[at] = min(IdOf(drawn), storage_.part.vocabulary - 1);  // in it, come what may
      if (outputs_.logprob != nullptr) outputs_.logprob[at] = row_.LogProb(drawn);
      if (outputs_.rank != nullptr)
        outputs_.rank[at] = has_reference ? static_cast<int32_t>(rank) : definition::kNoRank;
      if (outputs_.ref_logprob != nullptr)
        outputs_.ref_logprob[at] =
            has_reference ? row_.ReferenceLogProb(drawn, reference_mass) : definition::kNoRefLogprob;
    }
  }

  // Where in the kept set the member's token is: its place, or its point of the mass.
  __device__ __forceinline__ uint64_t TargetOf(uint32_t member) const {
    const Record record = definition::MemberRecord(row_.settings().record, work_.size, member);
    if (TakesPlaces()) return definition::PlaceOf(record, row_.outcome().kept);
    const int64_t step = definition::StepOf(work_.batch, row_.row());
    return definition::DrawPoint(definition::DrawBits(record, step), row_.outcome().mass);
  }

  // Finds the first entry up to which the sorted list measures more than the target, and its rank where that is known.
  __device__ __forceinline__ void FindInList(uint64_t target, uint64_t* entry, uint32_t* rank) const {
    const uint64_t* running = storage_.is_sorted ? storage_.sorted.running : storage_.running;
    uint32_t low = 0, high = (storage_.is_sorted ? row_.outcome().kept : storage_.state.count) - 1;
#pragma unroll 1
    while (low < high) {
      const uint32_t middle = (low + high) / 2;
      if (running[middle] > target) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    *entry = storage_.is_sorted ? storage_.sorted.entry[low] : storage_.list[low];
    if (storage_.is_sorted) *rank = storage_.sorted.rank[low];
  }

  // Writes the target of this thread's member: a point is one of the run that it falls into.
  __device__ __forceinline__ void PutTarget(uint64_t target) const {
    uint32_t part = 0;
    const uint32_t last = TakesPlaces() ? 0 : TeamInQuestion().blocks * (blockDim.x / 32) - 1;
#pragma unroll 1
    while (part < last && storage_.part_mass[0][part] <= target) target -= storage_.part_mass[0][part++];
    storage_.member.target[threadIdx.x] = target;
    storage_.member.part[threadIdx.x] = part;
  }

  // Finds the entry of each member's target, for all blocks.
  __device__ __forceinline__ void FindInRow(uint32_t members) const {
    const auto tokens = row_.TokensInQuestion();
    const Team team = tokens.team();
#pragma unroll 1
    for (uint32_t i = 0; i < members; ++i) {
      TokenMeasure measure = Measure();
      uint64_t target = storage_.member.target[i];
      uint32_t part = storage_.member.part[i];
      if (TakesPlaces()) {
        const uint32_t top_key = definition::Key(row_.maximum());
        tokens.DescendKeys(top_key, measure, target);
        measure.only_key = top_key - storage_.in.low;
        target -= storage_.in.before;
        tokens.ShareParts(measure);
        const Passing at = tokens.FindPart(target);
        part = at.index;
        target -= at.before;
        team.Sync();  // all have read the parts; else the next member's overwrite them
      }
      const PartOwner owner = OwnerOf(part);
      if (owner.block != team.rank) continue;
      const uint64_t entry = tokens.FindInRun(owner.warp, measure, target);
      if (threadIdx.x < team.blocks) ptx::Push(&storage_.member.drawn[i], threadIdx.x, entry);
    }
    team.Sync();  // every member's entry is pushed; else older ones are written
  }

  // How many tokens of the row have at least `key`, of this thread's member: one reading of the tokens in question for
  // all members at work.
  __device__ __forceinline__ uint32_t RankOf(uint32_t key, uint32_t members) const {
    group().member[threadIdx.x] = threadIdx.x < members ? (uint64_t{key} << 32) | threadIdx.x : 0;
    SortDescending(group().member, PlacesFor(members), ~uint64_t{0});
    RestartBins(storage_);
    row_.TokensInQuestion().ForEach([&](uint32_t of_token, uint32_t) {
      uint32_t low = 0, high = members;  // the first of the sorted members whose key it reaches
#pragma unroll 1
      while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (KeyOf(group().member[middle]) <= of_token) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      if (low < members) AddToBin(low, 1, storage_);
    });
    const uint64_t* bins = TeamBins(TeamInQuestion(), storage_);
    const uint64_t reaching = BlockRunning(bins[threadIdx.x], storage_);
    if (threadIdx.x < members)
      storage_.member_rank[static_cast<uint32_t>(group().member[threadIdx.x])] = static_cast<uint32_t>(reaching);
    __syncthreads();  // every rank is written; else some members read an older one
    return threadIdx.x < members ? storage_.member_rank[threadIdx.x] : 0;
  }

  const Work& work_;
  const SampleOutputs& outputs_;
  Storage& storage_;
  KeptRow<Logit, false, false> row_;
};

template <typename Logit>
__global__ void __launch_bounds__(kMostThreads, 2)
    GroupRows(const __grid_constant__ Work work, int64_t first_row, const __grid_constant__ Geometry geometry) {
  const Team team = {ptx::ClusterRank(), 1u << geometry.block_bits};
  team.Announce();
  ptx::WaitForPriorGrids();
  GroupSampler<Logit>(work).Sample(first_row + (blockIdx.x >> geometry.block_bits), team, geometry);
}

}  // namespace fire::kernels
