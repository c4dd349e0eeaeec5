// What a block keeps in shared memory while it works on a row, and how large each part is. Plain data that host and
// device agree on: a launch plan needs its size.
#pragma once

#include <cstddef>
#include <cstdint>

#include "definition/filter.h"
#include "definition/kept_rule.h"
#include "fire/config.h"

namespace fire::kernels {

using definition::Entry;
using definition::IdOf;
using definition::KeepAll;
using definition::KeptRule;
using definition::KeyOf;
using definition::LastOfKey;

inline constexpr int kMostThreads = 512;  // a block
inline constexpr int kMostWarps = kMostThreads / 32;
inline constexpr int kMostBlocks = 16;  // a row

inline constexpr uint32_t kVectorCapacity = 4096;  // 16-byte vectors that hold a candidate
inline constexpr uint32_t kListCapacity = 2048;    // candidates
inline constexpr uint32_t kShortList = 128;        // candidates that are ordered by comparing each with each
inline constexpr uint32_t kBins = 512;             // of a histogram
inline constexpr uint32_t kMostDelegates = 4096;

// Candidates that a block of a cluster sends the leader before all know how many there are.
FIRE_RULE constexpr uint32_t InboxCapacity(uint32_t cluster) {
  return cluster <= 2 ? kListCapacity / 2 : cluster == 4 ? kListCapacity / 4 : kListCapacity / 8;
}

struct alignas(16) Vector {
  uint32_t word[4];
};

// How a row's kept set can be found; what the record asks for decides, before any logit is seen.
enum class Regime : uint32_t {
  kDecided,  // greedy, or min-p above 1: the first token of the order
  kAll,      // no filter: every finite logit is kept
  kList,     // top-k or min-p: few candidates
  kNucleus   // top-p alone: the whole mass first, then few candidates unless the row is flat
};

// What a row asks for beside its list, as far as the record and the outputs tell. Bits: one look answers for a row that
// asks for none of several.
enum Asks : uint32_t {
  kAsksNoList = 1 << 0,      // without a filter every finite token is in question
  kAsksRowMass = 1 << 1,     // the whole row's mass: without a filter, or since top-p counts it
  kAsksReference = 1 << 2,   // its mass at the reference temperature, or the token's rank
  kAsksListedMass = 1 << 3,  // the list's, which top-p alone compares with its target
  kAsksMinP = 1 << 4,        // that the list has all that pass min-p
  kAsksTopK = 1 << 5,        // that it has all that top-k keeps
  kAsksTopPOfRow = 1 << 6,   // top-p counts the row's mass
  kAsksTokenAlone = 1 << 7,  // of an unfiltered row no more than its token: the block that has it writes it, none waits
  // What its filters do with a list.
  kAsksFirstOfK = 1 << 8,    // top-k is on
  kAsksEqualsOfK = 1 << 9,   // and keeps the equals of its last
  kAsksNucleus = 1 << 10,    // top-p is on
  kAsksEqualsOfP = 1 << 11,  // and keeps the equals of its last
  kAsksMinPFirst = 1 << 12,  // min-p, if any, comes before them
  kAsksPlace = 1 << 13       // nothing is drawn: the record names a place in the order of the kept set
};

// A row's settings, worked out once, by a few threads of four warps.
struct RowSettings {
  Record record;
  definition::Phase phase;
  uint64_t draw_bits;
  uint64_t weight_of_maximum;
  uint64_t min_weight;  // what min-p asks of a weight; 0: nothing
  Regime regime;
  uint32_t asks;               // Asks
  int32_t status;              // the bits that no logit is needed for
  uint32_t pivot_count;        // so many tokens shall reach the pivot; 0: the pivot is not a count's
  uint32_t delegates;          // among which such a pivot is found
  uint32_t lane_bits;          // of 2^lane_bits lanes each, or of a word of one
  uint32_t bins_of_thread;     // of a histogram; here, since a thread has no register to keep it in
  bool min_p_bounds_list;      // nothing that fails min-p is needed
  bool seeks_token;            // else its members do, or nothing does
  int32_t weight_bits;         // WeightScale::bits
  float slope, floor;          // WeightScale of the row's temperature, but for the maximum
  float ref_slope, ref_floor;  // of the reference temperature
  float ref_temperature;
  definition::MinPBounds min_p_bounds;
};

// A WeightScale as device/weights.cuh uses it.
struct FastScale {
  float shrink;   // −2^-k
  float maximum;  // m · 2^-k
  float slope;    // −c · 2^k, with c · 2^k in [64, 128)
  bool is_exact;  // else the row takes definition::Weight
};

// What is found of a row.
struct Outcome {
  KeptRule rule;
  uint64_t mass;   // of the kept set
  uint64_t drawn;  // an Entry
  uint32_t kept;   // the kept set's size; 0 until counted
  uint32_t rank;   // how many tokens of the row have at least the drawn one's key; 0 until counted
};

// How far a search has narrowed.
struct Interval {
  uint32_t low, high;  // ordinals; the measure passes the target within
  uint64_t before;     // measured at smaller ordinals
  uint64_t inside;  // measured at low … high; 0 before it is known, and where everything does not exceed the target
};

// What is left of a run in which a token is sought.
struct NarrowedRun {
  uint32_t begin, end;  // vectors
  uint64_t rest;        // what of the target lies beyond the measure of those before it
  uint32_t is_odd;      // the round
};

// Where a search of a row goes on.
enum class Narrowed : uint32_t {
  kToRow,    // in the row itself
  kToLists,  // in the blocks' lists, which have all that is in question
  kToEquals  // it has ended, at a key that more tokens have than a list has room for
};

// How a row's tokens are sought by their distance from a maximum.
struct RowSearch {
  uint64_t target;          // what the running measure is to exceed
  float reach;              // the distance that the bins divide
  uint32_t shift;           // bits of a weight that the bins leave out
  float from, above;        // the window of logits that it has come down to: at least the one, below the other
  uint32_t largest, least;  // the keys that this block has found in it
  Narrowed narrowed;
  uint32_t lists_all;    // nothing is above the window
  uint64_t kept_equals;  // what those measure that are kept, of the last key's, once found; 0 where not known
};

// The bin of a long list in which a filter ends, or the draw.
struct DecidingBin {
  uint32_t stage;  // for which it was found
  uint32_t size;
  uint32_t count_before;
  uint64_t mass_before;
};

// One block's part of a row, in 16-byte vectors of the row from the aligned address at or below its first logit.
struct PartShape {
  int64_t row;            // its number in the batch
  uint32_t rank, blocks;  // whose part it is, of how many
  const void* base;
  uint32_t vocabulary;
  uint32_t before;                // elements of the first vector that precede the row
  uint32_t begin, end;            // the part
  uint32_t run;                   // vectors of a warp of it
  uint32_t resident_at;           // where in shared memory it lies, where it is resident
  uint32_t full_begin, full_end;  // what lies wholly in the row
};

// What a row's first reading leaves, the same for all threads of a team.
struct RowState {
  float maximum;
  uint32_t has_nan;
  uint32_t is_listed;  // the leader's list holds all tokens in question
  uint32_t count;      // of them
};

struct Storage {
  // Lifetimes: delegates until the pivot is known; vectors from then until they are expanded into entries; what is in
  // which bin of a long list, and what a group needs, of a list or of a row, from then on.
  union {
    uint32_t vector[kVectorCapacity];  // of those that hold a candidate: which of the row's
    float delegate[kMostDelegates];
    uint64_t in_bin[kListCapacity];   // of the list's entries: InBin
    uint64_t running[kListCapacity];  // what the list measures up to each of its entries
    struct {                          // the kept set of a short list, by id, or by its order where members take places
      uint64_t running[kShortList];   // what it measures up to each
      uint64_t entry[kShortList];
      uint32_t rank[kShortList];  // how many tokens of the row have at least its key
    } sorted;
    struct {
      uint64_t target[kMostThreads];  // where each member at work is: its place, or how far into a warp's run
      uint64_t drawn[kMostThreads];   // its entry
      uint32_t part[kMostThreads];    // the run, counted over all blocks
    } member;
  };
  // Entries: the key above, the id's complement below. Before the first of a searched row is listed, the copies of its
  // histogram.
  alignas(16) uint64_t list[kListCapacity];
  union {
    alignas(16) uint64_t bins[kBins];  // of a histogram; low and high words are added to apart
    uint32_t bin_counts[kBins];        // of delegates or candidates
  };
  union {
    struct {
      alignas(16) uint64_t short_entry[kShortList];
      uint64_t short_weight[kShortList];
    };
    uint32_t member_rank[kMostThreads];      // of a group's members at work, once the kept set is found
    struct {                                 // while a token is sought in a warp's run
      NarrowedRun narrowed_run[kMostWarps];  // each warp's own, all the same
      uint64_t of_share[2][kMostWarps];      // what each warp's share of it measures; of rounds in turn
    };
  };
  // [0]: the mass of each warp's run, in id order, until a search in id order writes what it measures of each. [1]: its
  // mass at the reference temperature.
  alignas(16) uint64_t part_mass[2][kMostBlocks * kMostWarps];
  uint64_t warp_total[kMostWarps];
  // What one thread finds, for all: where BlockPassing's sum passes; the last token of top-k and what top-p asks of the
  // mass up to it.
  union {
    struct {
      uint64_t index, before;
    } passing;
    struct {
      uint64_t entry, target;
    } top_k;
    struct {
      uint64_t top_p, draw;
    } target;  // of a long list: what the sums must reach
  };
  uint64_t boundary_entry;            // of a short list: the k-th token, then the nucleus's last; 0 until known
  uint64_t row_mass;                  // of a row whose whole mass top-p counts, else 0
  uint64_t found_entry;               // in id order: the drawn token, or the last of equal ones
  uint64_t found_rest;                // what of the target lies beyond the measure of those before it
  uint32_t block_count[kMostBlocks];  // candidates of each block
  uint64_t block_mass[kMostBlocks];   // theirs, where top-p stands alone
  union {
    uint32_t block_pivot[kMostBlocks];  // each block's own, where the row is read again; until the pivot is the team's
    RowSearch row_search;               // once the kept set is sought
  };
  union {
    // Of each warp's part: the key of its maximum above, of its least delegate that is not masked below. Until the
    // pivot is known.
    alignas(16) uint64_t part_extremes[kMostBlocks * kMostWarps];
    // Tokens in the window that a search has come down to; what is above it, where part_mass has what equals measure.
    uint64_t part_within[kMostBlocks * kMostWarps];
    uint32_t counts[kBins];  // beside `bins`, of candidates
  };
  union {
    uint32_t block_has_nan[kMostBlocks];  // until the pivot is known
    uint64_t of_block[kMostBlocks];       // what ReduceTeam combines
  };
  PartShape part;
  RowState state;
  uint32_t pivot;        // a word of logits: who reaches it is a candidate
  uint32_t bin;          // of the list, which ends the short list
  uint32_t stage;        // of the kept set's filters, which is at work
  uint32_t is_sorted;    // storage.sorted holds a group's kept set, or a support
  FastScale fast_scale;  // of the row's temperature, once the maximum is known
  Outcome outcome;
  union {
    Interval in;
    DecidingBin deciding;
  };
  KeptRule at_least_drawn;  // every token of at least the drawn one's key
  uint32_t vector_count;
  uint32_t entry_count;
  RowSettings settings;
};

// Follows Storage where several blocks share a row.
struct ClusterStorage {
  uint64_t total[kBins];  // a histogram summed over the blocks
};

// What a group's ranks need of dynamic shared memory, in place of a resident part: the key of each member at work
// above, whose it is below; sorted.
struct GroupStorage {
  uint64_t member[kMostThreads];
};

// All that the kernels of support_log_prob keep: what each warp has of a row and of its support.
struct SupportStorage {
  uint64_t maximum[kMostWarps], mass[kMostWarps];
  uint64_t set_maximum[kMostWarps], set_mass[kMostWarps];
};

// Then the leader's inbox, InboxCapacity entries for each other block; then the block's part of the row, where it is
// resident.
FIRE_RULE constexpr size_t StorageBytes(int cluster) {
  const size_t shared = (sizeof(Storage) + 15) / 16 * 16;
  return cluster == 1 ? shared
                      : shared + sizeof(ClusterStorage) + (cluster - 1) * InboxCapacity(cluster) * sizeof(uint64_t);
}

}  // namespace fire::kernels
