// Sampling a group: many draws from one kept set, which is found once.
#pragma once

#include "cpu/group_order.h"
#include "cpu/group_reference.h"
#include "cpu/sample.h"

namespace fire::cpu::FIRE_ISA {

// Draws again and again from a kept set that is not decided: what lies in front of each token, or strip, is summed
// once, where a single draw counts its way to the token.
template <typename T>
class Draws {
 public:
  // Takes the place of the candidates' weights, or of the strips' masses.
  Draws(const KeptRow<T>& kept, Workspace& workspace)
      : kept_(kept),
        workspace_(workspace),
        masks_(kept.kept_set().rule, kept.vector_scale()),
        sums_(kept.kept_set().listed ? workspace.candidate_weight : workspace.strip_mass),
        count_(kept.kept_set().listed ? kept.kept_set().count : kept.row().strips) {
    for (uint32_t i = 1; i < count_; ++i) sums_[i] += sums_[i - 1];
  }

  Drawn Draw(uint64_t random_bits) const {
    const uint64_t point = definition::DrawPoint(random_bits, kept_.kept_set().mass);
    const uint32_t at = FirstAbove(point);
    const uint64_t before = at == 0 ? 0 : sums_[at - 1];
    if (kept_.kept_set().listed) return {workspace_.candidate_id[at], sums_[at] - before, point - before};
    return DrawFromStrip(point - before, kept_.row(), at, masks_);
  }

 private:
  // The first sum above `point`, as the last one is.
  uint32_t FirstAbove(uint64_t point) const {
    return FirstWhere(0, count_ - 1, [&](uint32_t i) { return sums_[i] > point; });
  }

  const KeptRow<T>& kept_;
  const Workspace& workspace_;
  RuleMasks masks_;
  uint64_t* sums_;
  uint32_t count_;
};

template <typename Value>
void FillMembers(Value* out, uint32_t size, Value value) {
  if (out == nullptr) return;
  for (uint32_t member = 0; member < size; ++member) out[member] = value;
}

// Every member's token and logprob.
template <typename T>
void DrawMembers(const RowTask& task, const KeptRow<T>& kept, uint32_t size, const SampleOutputs& outputs,
                 Workspace& workspace) {
  const Draws<T> draws(kept, workspace);
  for (uint32_t member = 0; member < size; ++member) {
    const Record record = definition::MemberRecord(task.record, size, member);
    const Drawn drawn = draws.Draw(definition::DrawBits(record, task.step));
    outputs.token[member] = drawn.token;
    if (outputs.logprob != nullptr) outputs.logprob[member] = definition::LogRatio(drawn.weight, kept.kept_set().mass);
  }
}

// The members of a row's group, each as its own record gives it. `outputs` are the row's.
template <typename T>
void SampleGroup(const RowTask& task, const GroupRequest& request, const SampleOutputs& outputs, Workspace& workspace) {
  const Phase phase = definition::PhaseOf(task.record, task.step, task.vocabulary);
  const bool enumerated = definition::IsEnumerated(task.record, task.step);
  RowTask alone = task;  // no member's, for which the row would be decided where they are enumerated
  alone.record.flags &= ~(kDesignMask << kDesignShift);
  const KeptRow<T> kept(alone, phase, {.has_nan = outputs.status != nullptr, .mass = !enumerated}, workspace);
  if (outputs.status != nullptr)
    *outputs.status = definition::StatusOf(phase, kept.maximum(), kept.has_nan(), kept.decided() || enumerated);
  const uint32_t count = outputs.kept != nullptr || enumerated ? kept.Count(workspace) : 0;
  if (outputs.kept != nullptr) *outputs.kept = static_cast<int32_t>(count);
  const uint32_t size = request.size;
  if (kept.decided()) {
    FillMembers(outputs.token, size, int64_t{kept.only()});
    FillMembers(outputs.logprob, size, 0.0f);
  } else if (enumerated) {
    WriteByOrder(kept, count, size, outputs.token, workspace);
    FillMembers(outputs.logprob, size, 0.0f);
  } else {
    DrawMembers(task, kept, size, outputs, workspace);
  }
  if (!request.reference) return;
  if (kept.decided()) {
    RowSample one = {};
    one.token = kept.only();
    AddReference(task, kept, workspace, &one);
    FillMembers(outputs.ref_logprob, size, one.ref_logprob);
    FillMembers(outputs.rank, size, one.rank);
  } else {
    AddReferences(task, kept, request, outputs, workspace);
  }
}

}  // namespace fire::cpu::FIRE_ISA
