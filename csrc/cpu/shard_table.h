// What the CPU backend does with a shard of one row, compiled once per instruction set as the functions of row_table.h.
#pragma once

#include "cpu/workspace.h"
#include "definition/shard.h"

namespace fire::cpu {

// A shard of one row.
struct ShardTask {
  const void* logits;
  LogitsType logits_type;
  uint32_t size;
  uint32_t first_id;
};

struct ShardFunctions {
  // The first `count` entries, 0 behind them, then the flags.
  void (*entries)(const ShardTask& task, uint32_t count, uint64_t* out, Workspace& workspace);
  // What `rank`, whose shard it is, answers to the row's questions; zeros in all other slots.
  void (*answer)(const ShardTask& task, const definition::ShardRow& row, uint32_t rank, uint32_t slots,
                 ShardAnswer* out);
  void (*process)(const ShardTask& task, const definition::ShardRow& row, float* out);
  // `grad_logits` is of the task's own type.
  void (*log_prob_backward)(const ShardTask& task, const definition::ShardRow& row, float grad, void* grad_logits,
                            Workspace& workspace);
  void (*heat)(const ShardTask& task, const definition::ShardRow& row, float* logits);
};

}  // namespace fire::cpu
