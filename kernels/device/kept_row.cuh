// One row, from its logits to its kept set: what every task starts with. docs/kernels.md tells the way in pictures.
//
//   1. ReadMaximum     reads the row, or its pilot: the maximum, and the delegates (ShareMaxima). Four warps work out
//                      the settings meanwhile (SettingsReader).
//   2. ListCandidates  meets the other blocks, finds a pivot among the delegates (FindPivot) and lists the tokens that
//                      reach it. Back to 1, for finer delegates of the whole row, where the pilot's pivot did not
//                      serve.
//   3. ShareMasses     weighs the row, where the record asks for its whole mass and 2 has not. WholeRow then draws the
//                      token of a row that no filter cuts, where nothing else is asked for, once the blocks have met.
//   4. CollectCounts   meets them, makes the inbox the leader's list, and tells whether it suffices: if it overflows,
//                      back to 1
//   5. Decide          takes the first token of a row that has no choice
//   6. Find            else finds the kept set and draws from it: FindKeptOfShortList among few candidates,
//                      FindKeptOfLongList among more; else FindKept, in the list or in the row itself
//
// Read() is 1 to 3 of a row that is drawn whole, of others 1 to 4. Only rows whose candidates do not suffice make the
// blocks meet more than twice.
#pragma once

#include "kernels/device/candidates.cuh"
#include "kernels/device/long_list.cuh"
#include "kernels/device/short_list.cuh"
#include "kernels/launch.h"

namespace fire::kernels {

// What decides how a row's token is found.
struct Prospect {
  uint32_t is_decided;
  uint32_t listed;  // tokens of the leader's list; 0: the row itself is searched
  uint32_t asks;    // Asks
};

// kAlone: one block has the row.
template <typename Logit, bool kResident, bool kAlone>
class KeptRow {
 public:
  __device__ __forceinline__ KeptRow() : storage_(SharedStorage()) {}

  // Everything below is the same for all threads of the team from here on. True of a row whose token WholeRow draws:
  // nothing else is asked for, and nothing more is known of it.
  __device__ __forceinline__ bool Read(const Work& work, int64_t row, Team whole, const Geometry& geometry) {
#pragma unroll 1
    for (bool again = false;; again = true) {
      const uint32_t shift = again ? 0 : geometry.pilot_shift;
      PartShape shape = ShapeOf<Logit>(work.batch, row, whole.rank, geometry);
      // Else worked out three times over on the way to the first load.
      ptx::Keep(&shape.begin), ptx::Keep(&shape.end), ptx::Keep(&shape.run);
      ReadMaximum<kResident, Logit>(shape, shift, again, whole, storage_, SettingsReader(work, row, !again));
      const uint32_t told = ListCandidates<kResident, Logit>(shift, again, team(), storage_);
      if (told != kFellShort) {
        const uint32_t asks = settings().asks;
        Team team = this->team();
        TellCount(told, team, storage_);
        if ((asks & (kAsksRowMass | kAsksReference)) != 0) {
          // Once a row: a second attempt comes here first only where the first one streamed.
          if (!again || Streams<kResident>(geometry.pilot_shift, settings())) ShareMasses();
          team = this->team();  // not kept in registers over a pass
          if ((settings().asks & kAsksTokenAlone) != 0 && HasFiniteMaximum()) {
            team.Sync();  // every block's masses are pushed; else the point falls into the wrong part
            return true;
          }
        }
        if (CollectCounts<Logit>(team, storage_) || again || IsDecided() || settings().pivot_count == 0) return false;
      }
      row = storage_.part.row, whole = team();  // registers are few: nothing is kept in them over an attempt
    }
  }

  __device__ __forceinline__ Team team() const {
    return kAlone ? Team{0, 1} : Team{storage_.part.rank, storage_.part.blocks};
  }
  __device__ __forceinline__ int64_t row() const { return storage_.part.row; }
  __device__ __forceinline__ const RowSettings& settings() const { return storage_.settings; }
  __device__ __forceinline__ float maximum() const { return storage_.state.maximum; }
  __device__ __forceinline__ bool HasFiniteMaximum() const { return (maximum() > -INFINITY) & (maximum() < INFINITY); }
  __device__ __forceinline__ bool IsDecided() const {
    return !HasFiniteMaximum() | (settings().regime == Regime::kDecided);
  }
  // True where one token is certain: of a decided row, and of one that takes its token by a place.
  __device__ __forceinline__ bool HasOneToken() const { return IsDecided() || TakesPlace(settings()); }
  // All of it asked of shared memory at once: behind branches one look would wait for the other.
  __device__ __forceinline__ Prospect Look() const {
    uint32_t count = storage_.state.count, is_listed = storage_.state.is_listed, asks = settings().asks;
    ptx::Keep(&count), ptx::Keep(&is_listed), ptx::Keep(&asks);
    return {.is_decided = IsDecided(), .listed = is_listed != 0 ? count : 0, .asks = asks};
  }
  // True where the leader has all the tokens in question, and needs no other block any more.
  __device__ __forceinline__ bool IsListed() const { return storage_.state.is_listed != 0; }

  __device__ __forceinline__ RowPart<Logit> Part() const { return RowPart<Logit>(storage_.part); }
  __device__ __forceinline__ Tokens<Logit, kResident, kAlone> TokensInQuestion() const { return {}; }

  __device__ __forceinline__ int32_t Status() const {
    return settings().status | definition::StatusOfLogits(maximum(), storage_.state.has_nan != 0, HasOneToken());
  }

  __device__ __forceinline__ const Outcome& outcome() const { return storage_.outcome; }

  // Of a token that is drawn from the outcome.
  __device__ __forceinline__ float LogProb(uint64_t drawn) const {
    if (HasOneToken()) return 0.0f;
    return definition::LogRatio(WeightOfKey(KeyOf(drawn), ScaleOf(storage_)), outcome().mass);
  }
  // `mass`: the row's at the reference temperature.
  __device__ __forceinline__ float ReferenceLogProb(uint64_t drawn, uint64_t mass) const {
    if (!HasFiniteMaximum()) return 0.0f;
    return definition::LogSoftmax(definition::KeyToFloat(KeyOf(drawn)), maximum(), settings().ref_temperature,
                                  settings().weight_of_maximum, mass);
  }

  // Writes the outcome of a decided row: its only token.
  __device__ __forceinline__ void Decide() const {
    const uint64_t first = FirstEntry();
    // No list holds a row of which nothing is finite: every token reaches −inf.
    const uint32_t rank = maximum() == -INFINITY ? storage_.part.vocabulary : 0;
    if (threadIdx.x == 0)
      storage_.outcome = {.rule = {.last = first, .min_weight = 0}, .mass = 0, .drawn = first, .kept = 1, .rank = rank};
    __syncthreads();  // thread 0 has written the outcome; else others read what an earlier stage or row left
  }

  // Finds the kept set and its token, for whoever has the tokens in question: storage.outcome. True where the list was
  // short: the counts then are filled in, and without kForAll the first warp alone has the outcome, but for its rule.
  // Of few candidates the kept set also goes into storage.sorted, with kSorts. Without kDraws no token is found. A row
  // may be listed only now: the other blocks then have nothing more to do.
  template <bool kDraws, bool kSorts, bool kForAll>
  __device__ __forceinline__ bool Find(const Prospect& at) const {
    const uint32_t listed = at.listed;
    if (listed != 0) {
      const uint64_t row_mass = storage_.row_mass;
      constexpr uint32_t most = MostOfShortList<kSorts>();
      const uint32_t count = listed <= most ? listed : kSorts ? ShortenList(row_mass) : 0;
      if (count != 0) {
        FindKeptOfShortList<kDraws, kSorts, kForAll>(listed <= most ? storage_.list : storage_.short_entry, count,
                                                     at.asks, row_mass, storage_);
        return true;
      }
      if (kSorts) {
        ClearListBins(storage_);
        __syncthreads();  // the bins are empty; else a late clear erases what was added
      }
      if (FindKeptOfLongList([this] { return BinsOfList(); }, row_mass, storage_)) return false;
    }
    FindKept(TokensInQuestion(), storage_);
    return false;
  }

 private:
  // Finds the first token of the order, for whoever has the tokens in question.
  __device__ __forceinline__ uint64_t FirstEntry() const {
    uint64_t first = Entry(definition::kMaskedKey, 0);
    if (maximum() == -INFINITY) return first;
    TokensInQuestion().ForEach([&](uint32_t key, uint32_t id) {
      const uint64_t entry = Entry(key, id);
      first = entry > first ? entry : first;
    });
    return ReduceTeam(first, Greater(), TokensInQuestion().team(), storage_);
  }

  // Weighs this warp's run at the row's temperature (0), at the reference's (1) or both, as far as the row asks for it
  // and it has not been weighed while it was listed, and tells all blocks. One loop, not two calls: the pass over the
  // row inlines, in three variants.
  __device__ __forceinline__ void ShareMasses() const {
    const uint32_t asks = settings().asks;
    bool wants_mass = !IsDecided() && (asks & kAsksRowMass) != 0;
    bool wants_reference = HasFiniteMaximum() && (asks & kAsksReference) != 0;
    if (IsWeighedWhileListed<kResident>(storage_)) {
      wants_mass = false;
      wants_reference = wants_reference && !ReferenceHasRowsScale(settings());
    }
    uint64_t mass = 0;
#pragma unroll 1
    for (uint32_t which = wants_mass ? 0 : 1; which < (wants_reference ? 2 : 1); ++which) {
      const WeightScale scale = which == 0 ? ScaleOf(storage_) : ReferenceScaleOf(storage_);
      const bool is_known = which == 1 && wants_mass && ReferenceHasRowsScale(settings());
      if (!is_known) mass = ReduceWarp(MassPass<kResident>(Part(), scale, storage_.state.has_nan), Add());
      PushPartMass(mass, which, team(), storage_);
    }
  }

  // Bins over which the list spreads.
  __device__ __forceinline__ DistanceBins BinsOfList() const {
    // A pivot that every finite logit reaches is no bound of theirs.
    const bool is_bounded = storage_.pivot != Logit::kLowestFinite;
    return {maximum(), is_bounded ? Logit::Value(storage_.pivot, 0) : maximum() - kMostSpread};
  }

  // Copies the candidates that can be kept into the short list and returns their count: 0 where they do not fit.
  __device__ __forceinline__ uint32_t ShortenList(uint64_t row_mass) const {
    const bool by_count = TopKIsOn(settings());
    if (by_count ? settings().phase.top_k > kShortList : settings().regime != Regime::kNucleus) return 0;
    const uint32_t count = storage_.state.count;
    const DistanceBins bins = BinsOfList();
    RestartBins(storage_);
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
      const uint32_t key = KeyOf(storage_.list[i]), bin = bins.Of(definition::KeyToFloat(key));
      if (by_count) {
        atomicAdd(&storage_.bin_counts[bin], 1u);
      } else {
        AddToBin(bin, WeightInRow(key, storage_), storage_);
      }
    }
    __syncthreads();  // every candidate is in its bin; else the list is cut short
    if (threadIdx.x < 32) {
      const uint32_t last =
          by_count ? FindEnough(storage_.bin_counts, static_cast<uint32_t>(settings().phase.top_k)).bin
                   : FindEnough(storage_.bins, definition::TopPTarget(settings().phase.top_p, row_mass)).bin;
      if (threadIdx.x == 0) storage_.bin = last, storage_.entry_count = 0;
    }
    __syncthreads();  // the last bin is written, the short list empty; else entries are lost
    const uint32_t last = storage_.bin;
    if (by_count && last != kBins - 1 &&
        !HoldsAllThatPass(bins.LowerEdge(last), bins.UpperEdgeOfNext(last), maximum(), settings()))
      return 0;
#pragma unroll 1
    for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
      const uint64_t entry = storage_.list[i];
      if (bins.Of(definition::KeyToFloat(KeyOf(entry))) > last) continue;
      const uint32_t to = atomicAdd(&storage_.entry_count, 1u);
      if (to < kShortList) storage_.short_entry[to] = entry;
    }
    __syncthreads();  // every entry is in the short list; else threads see different lengths of it
    return storage_.entry_count <= kShortList ? storage_.entry_count : 0;
  }

  Storage& storage_;
};

}  // namespace fire::kernels
