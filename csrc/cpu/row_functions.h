// The table of what is done with one row, for one instruction set (row_table.h).
#pragma once

#include "cpu/group.h"
#include "cpu/row_outputs.h"
#include "cpu/shard_answers.h"
#include "cpu/shard_entries.h"
#include "cpu/shard_outputs.h"
#include "cpu/support_log_prob.h"

namespace fire::cpu::FIRE_ISA {

// Calls function(a null pointer of the row's logit type): the one place where the type is looked at.
template <typename Function>
auto WithType(LogitsType type, const Function& function) {
  switch (type) {
    case LogitsType::kBFloat16:
      return function(static_cast<const BFloat16*>(nullptr));
    case LogitsType::kFloat16:
      return function(static_cast<const Float16*>(nullptr));
    default:
      return function(static_cast<const float*>(nullptr));
  }
}

template <typename T>
T TypeOf(const T*);

constexpr ShardFunctions MakeShardFunctions() {
  return {
      [](const ShardTask& task, uint32_t count, uint64_t* out, Workspace& workspace) {
        WithType(task.logits_type, [&](auto* t) { ShardEntries<decltype(TypeOf(t))>(task, count, out, workspace); });
      },
      [](const ShardTask& task, const ShardRow& row, uint32_t rank, uint32_t slots, ShardAnswer* out) {
        WithType(task.logits_type, [&](auto* t) { ShardAnswers<decltype(TypeOf(t))>(task, row, rank, slots, out); });
      },
      [](const ShardTask& task, const ShardRow& row, float* out) {
        WithType(task.logits_type, [&](auto* t) { ShardProcess<decltype(TypeOf(t))>(task, row, out); });
      },
      [](const ShardTask& task, const ShardRow& row, float grad, void* grad_logits, Workspace& workspace) {
        WithType(task.logits_type, [&](auto* t) {
          using T = decltype(TypeOf(t));
          ShardLogProbBackward<T>(task, row, grad, static_cast<T*>(grad_logits), workspace);
        });
      },
      [](const ShardTask& task, const ShardRow& row, float* logits) { ShardHeat(task, row, logits); }};
}

constexpr RowFunctions MakeRowFunctions(const char* name) {
  return {name,
          [](const RowTask& task, const SampleRequest& request, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return Sample<decltype(TypeOf(t))>(task, request, workspace); });
          },
          [](const RowTask& task, const GroupRequest& request, const SampleOutputs& outputs, Workspace& workspace) {
            WithType(task.logits_type,
                     [&](auto* t) { SampleGroup<decltype(TypeOf(t))>(task, request, outputs, workspace); });
          },
          [](const RowTask& task, uint64_t code, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return SampleCoded<decltype(TypeOf(t))>(task, code, workspace); });
          },
          [](const RowTask& task, float* out, Workspace& workspace) {
            WithType(task.logits_type, [&](auto* t) { ProcessLogits<decltype(TypeOf(t))>(task, out, workspace); });
          },
          [](const RowTask& task, float* logits, Workspace& workspace) { HeatLogits(task, logits, workspace); },
          [](const RowTask& task, int64_t token, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return LogProb<decltype(TypeOf(t))>(task, token, workspace); });
          },
          [](const RowTask& task, int64_t token, float grad, void* grad_logits, Workspace& workspace) {
            WithType(task.logits_type, [&](auto* t) {
              using T = decltype(TypeOf(t));
              LogProbBackward<T>(task, token, grad, static_cast<T*>(grad_logits), workspace);
            });
          },
          [](const SupportTask& task, const SupportRequest& request, Workspace& workspace) {
            return WithType(task.logits_type,
                            [&](auto* t) { return SupportLogProb<decltype(TypeOf(t))>(task, request, workspace); });
          },
          [](const SupportTask& task, const SupportMasses& masses, float grad, float full_grad, void* grad_logits) {
            WithType(task.logits_type, [&](auto* t) {
              using T = decltype(TypeOf(t));
              SupportLogProbBackward<T>(task, masses, grad, full_grad, static_cast<T*>(grad_logits));
            });
          },
          MakeShardFunctions()};
}

}  // namespace fire::cpu::FIRE_ISA
