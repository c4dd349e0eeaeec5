// What a shard's tokens become by a rule that is known: processed logits, heated logits, the gradient of a
// log-probability. row_outputs.h for a shard.
#pragma once

#include "cpu/row_outputs.h"
#include "cpu/shard_table.h"

namespace fire::cpu::FIRE_ISA {

using definition::ShardRow;

inline KeptRule RuleOf(const ShardTask& task, const ShardRow& shared) {
  return definition::RuleOfShard(shared.rule, task.first_id, task.size);
}

// Writes 0 on the row's one token, where this shard has it, and −inf elsewhere.
inline void WriteOneHot(const ShardTask& task, const ShardRow& shared, float* out) {
  Fill(out, task.size, kMasked);
  const int64_t id = shared.token - task.first_id;
  if (id >= 0 && id < static_cast<int64_t>(task.size)) out[id] = 0.0f;
}

template <typename T>
void ShardProcess(const ShardTask& task, const ShardRow& shared, float* out) {
  if (IsDecided(shared)) return WriteOneHot(task, shared, out);
  const Row<T> row(static_cast<const T*>(task.logits), task.size);
  const definition::Phase phase = PhaseOf(shared);
  const bool infinite = phase.heat == definition::Heat::kInfinite;
  const Floats temperature = Broadcast(phase.temperature), zero = Broadcast(0.0f);
  WriteKept(row, RuleOf(task, shared), VectorScale(ScaleOf(shared)), out,
            [&](Floats x) { return infinite ? zero : Divide(x, temperature); });
}

inline void ShardHeat(const ShardTask& task, const ShardRow& shared, float* logits) {
  if (!PhaseOf(shared).hot) return;
  if ((shared.status & kStatusNoFiniteLogit) != 0) return Fill(logits, task.size, kMasked);
  if (!IsHandedOver(shared)) return WriteOneHot(task, shared, logits);
  const Row<float> row(logits, task.size);
  const KeptRule rule = {.last = RuleOf(task, shared).last, .min_weight = 0};
  const Floats ratio = Broadcast(definition::Divide(shared.record.temperature, shared.record.hot_temperature));
  WriteKept(row, rule, VectorScale(ScaleOf(shared)), logits, [&](Floats x) { return Multiply(x, ratio); });
}

template <typename T>
void ShardLogProbBackward(const ShardTask& task, const ShardRow& shared, float grad, T* grad_logits,
                          Workspace& workspace) {
  memset(static_cast<void*>(grad_logits), 0, task.size * sizeof(T));
  if (IsDecided(shared) || !definition::Keeps(shared.rule, shared.entry, shared.weight)) return;
  const Row<T> row(static_cast<const T*>(task.logits), task.size);
  bool has_nan;
  FindMaxima<false>(row, workspace, &has_nan);
  const int64_t token = shared.asked - task.first_id;
  WriteSlopesOfKept(row, RuleOf(task, shared), VectorScale(ScaleOf(shared)), workspace, shared.mass, token,
                    PhaseOf(shared).temperature, grad, grad_logits);
}

}  // namespace fire::cpu::FIRE_ISA
