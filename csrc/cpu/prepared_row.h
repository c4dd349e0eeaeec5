// The first read of a row, which every operator begins with.
#pragma once

#include "cpu/passes.h"
#include "cpu/row.h"
#include "definition/phase.h"

namespace fire::cpu::FIRE_ISA {

// A row after its first read: its phase, its maximum, and whether anything is left to choose.
template <typename T>
struct PreparedRow {
  template <bool kDetectNan>
  static PreparedRow Of(const RowTask& task, Workspace& workspace) {
    PreparedRow out{Row<T>(static_cast<const T*>(task.logits), task.vocabulary),
                    definition::PhaseOf(task.record, task.step, task.vocabulary), 0.0f, false};
    out.maximum = FindMaxima<kDetectNan>(out.row, workspace, &out.has_nan);
    return out;
  }

  bool AllMasked() const { return maximum == kMasked; }
  bool HasInfinity() const { return maximum > definition::kFloatMax; }
  bool FiniteMaximum() const { return !AllMasked() && !HasInfinity(); }
  bool Undecided() const { return FiniteMaximum() && phase.heat != definition::Heat::kGreedy; }

  uint32_t FirstOfOrder(const Workspace& workspace) const {
    return AllMasked() ? 0 : FirstEqual(row, workspace, maximum);
  }

  Row<T> row;
  definition::Phase phase;
  float maximum;
  bool has_nan;
};

}  // namespace fire::cpu::FIRE_ISA
