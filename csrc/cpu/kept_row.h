// A row, from its logits to its kept set: what every operator begins with.
//
//   1. KeptRow        reads the row once: its maximum, and whether anything is left to draw
//   2. KeptSetFinder  finds the kept set: of a list of candidates where they suffice, else of the row itself
//   3. an enumerated member takes its token of it
//   4. only(), Rule() say what is kept
#pragma once

#include <optional>

#include "cpu/kept_set.h"
#include "cpu/row_table.h"
#include "definition/design.h"

namespace fire::cpu::FIRE_ISA {

// What of a kept row is asked for, as far as it costs.
struct KeptRowRequest {
  bool has_nan;
  bool mass;
};

template <typename T>
class KeptRow {
 public:
  KeptRow(const RowTask& task, const Phase& phase, const KeptRowRequest& request, Workspace& workspace)
      : row_(static_cast<const T*>(task.logits), task.vocabulary),
        phase_(phase),
        maximum_(request.has_nan ? FindMaxima<true>(row_, workspace, &has_nan_)
                                 : FindMaxima<false>(row_, workspace, &has_nan_)) {
    if (NeedsDraw()) kept_set_ = finder_.emplace(row_, phase_, maximum_, workspace).Find(request.mass);
    if (decided()) {
      only_ = AllMasked() ? 0 : FirstEqual(row_, workspace, maximum_);
    } else if (definition::IsEnumerated(task.record, task.step)) {
      TakePlace(task.record, workspace);
    }
  }
  KeptRow(const KeptRow&) = delete;  // the finder refers to the members
  KeptRow& operator=(const KeptRow&) = delete;

  const Row<T>& row() const { return row_; }
  const Phase& phase() const { return phase_; }
  float maximum() const { return maximum_; }
  bool AllMasked() const { return maximum_ == kMasked; }
  bool HasInfinity() const { return maximum_ > definition::kFloatMax; }
  bool has_nan() const { return has_nan_; }
  // True where one token is certain: only().
  bool decided() const { return kept_set_.decided; }
  uint32_t only() const { return only_; }
  // The size of the kept set: one more read of the row where that is not listed.
  uint32_t Count(const Workspace& workspace) const {
    if (decided()) return count_;
    if (kept_set_.listed) return kept_set_.count;
    return static_cast<uint32_t>(CountKept(row_, kept_set_.rule, vector_scale(), workspace));
  }

  // Of a row that is not decided.
  const KeptSet& kept_set() const { return kept_set_; }
  KeptRule Rule() const { return finder_->Rule(kept_set_); }
  // The entry of the kept token before which `place` others stand. Where the kept set is not listed, the candidate list
  // holds other tokens afterwards.
  uint64_t EntryAt(uint32_t place) const { return finder_->EntryAt(kept_set_, place); }
  const WeightScale& scale() const { return finder_->scale(); }
  const VectorScale& vector_scale() const { return finder_->vector_scale(); }

  bool Holds(int64_t token) const {
    if (token < 0 || token >= static_cast<int64_t>(row_.size)) return false;
    const uint32_t id = static_cast<uint32_t>(token);
    if (decided()) return id == only_;
    const float logit = ValueAt(row_.logits, id);
    return definition::Keeps(Rule(), definition::Entry(Key(logit), id), definition::Weight(logit, scale()));
  }

 private:
  // Decides the row by the member's place. Not inline: it is rare, and what is not must stay as fast.
  [[gnu::noinline, gnu::cold]] void TakePlace(const Record& record, Workspace& workspace) {
    count_ = Count(workspace);
    only_ = definition::IdOf(EntryAt(definition::PlaceOf(record, count_)));
    kept_set_.decided = true;
  }

  bool NeedsDraw() const { return !AllMasked() && !HasInfinity() && phase_.heat != definition::Heat::kGreedy; }

  Row<T> row_;
  Phase phase_;
  bool has_nan_ = false;
  float maximum_;
  std::optional<KeptSetFinder<T>> finder_;  // of a row that needs a draw
  KeptSet kept_set_;
  uint32_t only_ = 0;
  uint32_t count_ = 1;  // the size of a decided row's kept set, from which an enumerated member takes one
};

}  // namespace fire::cpu::FIRE_ISA
