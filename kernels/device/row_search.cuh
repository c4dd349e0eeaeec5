// Searching a row by key: where a running count or mass passes a target, in two readings of the row where they do.
//
// The first is a histogram over distances from the maximum, of 32-bit sums that leave out a weight's lowest bits. They
// tell a window of logits in which the measure passes the target. The second reading measures exactly what is above the
// window, and lists what is within, where keys and ids are then sought. Where a block's list has no room, and its keys
// differ, both are done once more inside the window. Where more tokens have the largest key than a list holds, those
// are counted before all this: the search may end among them.
#pragma once

#include "kernels/device/distance_bins.cuh"
#include "kernels/device/row_tokens.cuh"

namespace fire::kernels {

inline constexpr uint32_t kBinCopies = 8;
inline constexpr uint64_t kAllEquals = ~uint64_t{0};  // RowSearch::kept_equals where all are kept

template <typename Logit, bool kResident, bool kAlone>
class RowSearcher : public RowTokens<Logit, kResident, kAlone> {
 protected:
  using Base = RowTokens<Logit, kResident, kAlone>;
  using Base::FastPart;
  using Base::ForRest;
  using Base::Part;
  using Base::storage_;

  template <typename Visit>
  __device__ __forceinline__ void ForList(uint32_t count, const Visit& visit) const {
#pragma unroll 1
    for (uint32_t i = ptx::ThreadAnew(); i < count; i += blockDim.x) {
      const uint64_t entry = storage_.list[i];
      visit(KeyOf(entry), IdOf(entry));
    }
  }

  // What others may be changing: an older value does, too.
  static __device__ __forceinline__ uint32_t Peek(const uint32_t& word) {
    return *const_cast<const volatile uint32_t*>(&word);
  }

  // Lists a token, unless the list is known to have no room: nearly the whole row may want to be there. entry_count
  // then is more than kListCapacity.
  __device__ __forceinline__ void List(uint32_t key, uint32_t id) const {
    if (Peek(storage_.entry_count) > kListCapacity) return;
    const uint32_t at = atomicAdd(&storage_.entry_count, 1u);
    if (at < kListCapacity) storage_.list[at] = Entry(key, id);
  }

  // How far below the maximum a search is likely to end; `rest`: what of the mass is beyond its target, 0 where tokens
  // are counted.
  __device__ __forceinline__ float Reach(const TokenMeasure& measure, uint64_t rest) const {
    const RowSettings& settings = storage_.settings;
    const float maximum = storage_.state.maximum, pivot = Logit::Value(storage_.pivot, 0);
    const bool is_cut = measure.rule.last > KeepAll().last;
    float reach = kMostSpread;
    if (rest != 0) {
      // Further away the whole vocabulary would weigh less.
      const float all = static_cast<float>(storage_.part.vocabulary) * static_cast<float>(settings.weight_of_maximum);
      reach = definition::Divide(__log2f(definition::Divide(all, static_cast<float>(rest))), settings.slope);
    } else if (!is_cut && settings.regime == Regime::kList && pivot > Logit::Value(Logit::kLowestFinite, 0)) {
      reach = 1.25f * (maximum - pivot);  // which about as many tokens reach as are wanted
    }
    if (is_cut) reach = fminf(reach, maximum - definition::KeyToFloat(KeyOf(measure.rule.last)));
    return fmaxf(reach, 0x1p-100f);
  }

  // True where a search that counts ends among the tokens of the largest key: storage.in is that key, and as after any
  // search that ends so part_mass[0] is how many of it each part has, though of those that are far more than the target
  // no more than that. They are counted where the pivot is the maximum and more tokens reach it than a list holds: a
  // histogram of equals is one counter that all threads add to.
  __device__ __forceinline__ bool EndsAmongLargest(const TokenMeasure& measure) const {
    const float maximum = storage_.state.maximum;
    if (!measure.counts || Logit::Value(storage_.pivot, 0) < maximum || storage_.state.count <= kListCapacity)
      return false;
    const Team team = this->team();
    team.Sync();  // the target is written, and all have read what the parts weigh; else that is overwritten
    const uint64_t target = storage_.row_search.target;
    PushPartMass(ReduceWarp(CountOwnEquals(maximum, target), Add()), 0, team, storage_);
    team.Sync();  // every part's count is pushed; else the search goes on where it has ended
    const uint64_t inside = RowMass(0, storage_);
    if (inside <= target) return false;
    if (ptx::ThreadAnew() < blockDim.x / 32 * team.blocks) storage_.part_within[ptx::ThreadAnew()] = 0;
    if (ptx::ThreadAnew() == 0) {
      storage_.in = {.low = 0, .high = 0, .before = 0, .inside = inside};
      storage_.row_search.narrowed = Narrowed::kToEquals;
    }
    team.Sync();  // the interval is written, and all have read the parts' sums; else they are overwritten
    return true;
  }

  // Narrows storage.in of a row to the least and the largest key of a few bins of distances, in which the measure
  // exceeds row_search.target; nothing is inside where it never does. Once more inside them, where some block's list
  // has no room for its part of them. What this block has of them then is in its list, entry_count of them, or more
  // than kListCapacity; and part_mass[0] has what each part of the row measures above them.
  __device__ __forceinline__ void NarrowInRow(const TokenMeasure& measure) const {
#pragma unroll 1
    for (int round = 0; round < 2; ++round) {
      MeasureDistances(measure);
      FindWindow();
      if (ShareWindow(measure, MeasureWindow(measure))) return;
    }
  }

 private:
  // Counts a lane's share of this warp's run that equals `x`. One that has seen more than the target and one beyond it,
  // by which a search tells that there are others, has seen enough.
  __device__ __forceinline__ uint64_t CountOwnEquals(float x, uint64_t target) const {
    const uint32_t enough = static_cast<uint32_t>(target) + 2;
    const Run run = Part().OwnRun();
    uint32_t count = 0;
    Part().template ForVectors<kResident>(run.begin, run.end, [&](const auto& v, uint32_t, uint32_t) {
#pragma unroll
      for (uint32_t u = 0; u < sizeof(v) / sizeof(Vector); ++u) {
#pragma unroll
        for (uint32_t i = 0; i < Logit::kPerVector; ++i)
          count += Logit::Value(v[u].word[i / Logit::kPerWord], i % Logit::kPerWord) == x;
      }
      return count < enough;
    });
    return count;
  }

  // The keys of storage.in, and the bins of its logits.
  __device__ __forceinline__ uint32_t LargestKey() const {
    return definition::Key(storage_.state.maximum) - storage_.in.low;
  }
  __device__ __forceinline__ uint32_t LeastKey() const {
    return definition::Key(storage_.state.maximum) - storage_.in.high;
  }
  __device__ __forceinline__ DistanceBins Bins() const {
    const float largest = definition::KeyToFloat(LargestKey());
    return {largest, largest - storage_.row_search.reach};
  }

  // Adds up what the row's tokens measure, by their distance: storage.bins of this block. Without row_search.shift of
  // their lowest bits, so that 32 bits hold any sum: an add that nobody waits for. A bin has a copy for every eighth
  // lane, in the list's place: where nearly all tokens are in one bin four lanes take turns, not 32.
  __device__ __forceinline__ void MeasureDistances(const TokenMeasure& measure) const {
    static_assert(kBins * kBinCopies * sizeof(uint32_t) <= kListCapacity * sizeof(uint64_t));
    auto* copies = reinterpret_cast<uint32_t*>(storage_.list);
#pragma unroll 1
    for (uint32_t i = ptx::ThreadAnew(); i < kBins * kBinCopies; i += blockDim.x) copies[i] = 0;
    __syncthreads();  // the copies are empty and the search described; else a late clear erases what was added
    const uint32_t copy = ptx::ThreadAnew() % kBinCopies;
    const auto add = [&](const DistanceBins& bins, float x, uint32_t amount) {
      atomicAdd(&copies[bins.Of(x) * kBinCopies + copy], amount);
    };
    const bool weighs = measure.Weighs();
    const Run run = Part().OwnRun();
    const Run fast_part = FastPart(run, !weighs || (storage_.fast_scale.is_exact && !measure.counts));
    const DistanceBins bins = Bins();
    const RowMeasure fast(measure);
    const float down = __uint_as_float((127 - storage_.row_search.shift) << 23);
    Part().template ForLogits<kResident>(fast_part, [&](float x, uint32_t id) {
      const uint32_t amount = weighs ? __float2uint_rz(fast.Power(x) * down) : 1;
      if (fast.Keeps(x, id)) add(bins, x, amount);
    });
    ForRest(fast_part, run, [&](uint32_t key, uint32_t id) {
      const uint32_t amount = static_cast<uint32_t>(measure.Exactly(key, id) >> storage_.row_search.shift);
      if (amount != 0) add(bins, definition::KeyToFloat(key), amount);
    });
    __syncthreads();  // the copies are complete; else the bins miss what is added later
#pragma unroll 1
    for (uint32_t bin = ptx::ThreadAnew(); bin < kBins; bin += blockDim.x) {
      uint64_t sum = 0;
#pragma unroll
      for (uint32_t i = 0; i < kBinCopies; ++i) sum += copies[bin * kBinCopies + i];
      storage_.bins[bin] = sum;
    }
  }

  // Finds the window of logits in which the measure passes the target, once each block has measured distances: from the
  // first bin that may to the first that surely does.
  __device__ __forceinline__ void FindWindow() const {
    const uint64_t* sums = TeamBins(this->team(), storage_);
    const uint64_t target = storage_.row_search.target >> storage_.row_search.shift;
    const PassingBin last = FindPassingBin(sums, target, storage_);
    if (ptx::ThreadAnew() == 0) {
      uint32_t first = last.bin;
      // What was left out is less than 1 a token.
      const uint32_t lost = storage_.row_search.shift == 0 ? 0 : storage_.part.vocabulary;
      uint64_t before = last.before + lost;
#pragma unroll 1
      while (first > 0 && before > target) before -= sums[--first];
      const DistanceBins bins = Bins();
      uint32_t from = LeastKey(), above = LargestKey() + 1;
      if (last.inside != 0 && last.bin != kBins - 1) from = max(from, definition::Key(bins.LowerEdge(last.bin)));
      // What is larger than all of a bin is in smaller ones.
      if (first != 0) above = min(above, definition::Key(bins.UpperEdge(first)) + 1);
      const bool lists_all =
          storage_.row_search.shift == 0 && storage_.in.low == 0 && last.before + last.inside <= kListCapacity;
      if (lists_all) above = LargestKey() + 1;
      storage_.row_search.lists_all = lists_all;
      storage_.row_search.from = definition::KeyToFloat(from);
      storage_.row_search.above = definition::KeyToFloat(above);
      storage_.row_search.largest = 0, storage_.row_search.least = ~0u;
      storage_.entry_count = 0;
    }
    __syncthreads();  // the window is written and the list empty; else older ones are measured
  }

  // What a lane's share of the row measures above the window, and how many tokens are within.
  struct Window {
    uint64_t above;
    uint32_t within;
  };

  // Measures that, and lists what is kept within. Whatever is above is kept.
  __device__ __forceinline__ Window MeasureWindow(const TokenMeasure& measure) const {
    Window found = {.above = 0, .within = 0};
    const bool weighs = measure.Weighs();
    const Run run = Part().OwnRun();
    const Run fast_part = FastPart(run, !weighs || (storage_.fast_scale.is_exact && !measure.counts));
    const RowMeasure fast(measure);
    const float from = storage_.row_search.from, above = storage_.row_search.above;
    const auto list = [&](uint32_t key, uint32_t id) {
      if (Entry(key, id) < measure.rule.last) return;
      ++found.within;
      if (key > Peek(storage_.row_search.largest)) atomicMax(&storage_.row_search.largest, key);
      if (key < Peek(storage_.row_search.least)) atomicMin(&storage_.row_search.least, key);
      List(key, id);
    };
    Part().template ForLogits<kResident>(fast_part, [&](float x, uint32_t id) {
      const uint64_t amount = weighs ? fast.Amount(x, false) : 1;
      if (x >= above) {
        found.above += amount;
      } else if (x >= from) {
        list(definition::Key(x), id);
      }
    });
    ForRest(fast_part, run, [&](uint32_t key, uint32_t id) {
      if (key >= definition::Key(above)) {
        found.above += measure.Exactly(key, id);
      } else if (key >= definition::Key(from)) {
        list(key, id);
      }
    });
    return found;
  }

  // Tells all blocks what each has measured and listed. True where the search is at its end, or goes on in the lists.
  __device__ __forceinline__ bool ShareWindow(const TokenMeasure& measure, const Window& own) const {
    const Team team = this->team();
    PushPartMass(ReduceWarp(own.above, Add()), 0, team, storage_);
    PushOfPart(__reduce_add_sync(~0u, own.within), storage_.part_within, team);
    __syncthreads();  // every entry is listed; else some are left out
    uint32_t largest = storage_.row_search.largest, least = storage_.row_search.least;
    bool has_room = storage_.entry_count <= kListCapacity;
    // Where the list holds all, what that measures; else how many there are.
    uint64_t inside = own.within;
    if (has_room) {
      inside = 0;
      ForList(storage_.entry_count, [&](uint32_t key, uint32_t id) { inside += measure(key, id); });
    }
    inside = ReduceBlock(inside, Add(), storage_);
    if (!has_room && largest == least) inside *= measure.OfKey(largest);
    if (team.blocks > 1) {
      if (ptx::ThreadAnew() < team.blocks) {
        ptx::Push(&storage_.of_block[team.rank], ptx::ThreadAnew(), uint64_t{largest} << 32 | least);
        ptx::Push(&storage_.block_mass[team.rank], ptx::ThreadAnew(), inside);
        ptx::Push(&storage_.block_count[team.rank], ptx::ThreadAnew(), uint32_t{has_room});
      }
      team.Sync();  // what every block found is pushed; else blocks search different intervals
      const uint32_t lane = ptx::ThreadAnew() % 32;
      const uint64_t ends = lane < team.blocks ? storage_.of_block[lane] : ~0u;
      largest = __reduce_max_sync(~0u, static_cast<uint32_t>(ends >> 32));
      least = __reduce_min_sync(~0u, static_cast<uint32_t>(ends));
      inside = ReduceWarp(lane < team.blocks ? storage_.block_mass[lane] : 0, Add());
      has_room = __all_sync(~0u, lane >= team.blocks || storage_.block_count[lane] != 0);
    }
    const bool is_one_key = largest == least;
    const uint64_t before = RowMass(0, storage_);
    // Of a list that has no room it is not known yet.
    const bool may_pass = (!has_room && !is_one_key) || before + inside > storage_.row_search.target;
    if (ptx::ThreadAnew() == 0) {
      const uint32_t top_key = definition::Key(storage_.state.maximum);
      storage_.in = {.low = top_key - largest,
                     .high = top_key - least,
                     .before = before,
                     .inside = !may_pass     ? 0
                               : inside != 0 ? inside
                                             : 1};
      storage_.row_search.narrowed = has_room     ? Narrowed::kToLists
                                     : is_one_key ? Narrowed::kToEquals
                                                  : Narrowed::kToRow;
      storage_.row_search.reach = definition::KeyToFloat(largest) - definition::KeyToFloat(least);
    }
    if (!has_room && is_one_key) {
      // Parts are searched for one of the equals: part_mass[0] is theirs, what is above takes the other's place.
      const uint64_t each = measure.OfKey(largest);
      __syncthreads();  // all have read the sums above the window; else they read the equals'
      if (ptx::ThreadAnew() < blockDim.x / 32 * team.blocks) {
        const uint64_t within = storage_.part_within[ptx::ThreadAnew()];
        storage_.part_within[ptx::ThreadAnew()] = storage_.part_mass[0][ptx::ThreadAnew()];
        storage_.part_mass[0][ptx::ThreadAnew()] = within * each;
      }
    }
    team.Sync();  // the interval is written, and all have read what was pushed; else it is overwritten
    return !may_pass || has_room || is_one_key;
  }
};

}  // namespace fire::kernels
