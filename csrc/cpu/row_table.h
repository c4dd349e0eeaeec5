// What the CPU backend does with one row. The functions are compiled once per instruction set, and the set is
// chosen once, at the first call.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/shard_table.h"
#include "cpu/workspace.h"
#include "definition/row_sample.h"
#include "fire/sampling.h"

namespace fire::cpu {

// One row with everything that rules it.
struct RowTask {
  const void* logits;
  LogitsType logits_type;
  uint32_t vocabulary;
  int64_t step;
  Record record;
};

struct SampleRequest {
  bool reference;          // ref_logprob and rank are wanted
  bool logprob_or_counts;  // others than those and the token are
  // The row's support, which wants counts too. Null: not wanted.
  const SupportOutputs* support = nullptr;
};

// Memory for one entry a member, where ref_logprob or rank is wanted.
struct GroupScratch {
  uint64_t* entry;
  float* logit;
  uint32_t* place;
  uint32_t* rank;
};

struct GroupRequest {
  uint32_t size;  // 1 … kMaxGroupSize
  bool reference;
  GroupScratch scratch;
};

struct CodedSample {
  int64_t token;
  uint64_t code;  // for the sequence's next step
};

// One row of a SupportBatch.
struct SupportTask {
  const void* logits;
  LogitsType logits_type;
  uint32_t vocabulary;
  int64_t token;
  const int32_t* support;
  uint32_t count;  // of its ids; 0: every id
  float temperature;
};

struct SupportRequest {
  bool has_nan;  // of the status
  bool full;     // what needs the whole row
};

struct SupportValues {
  float logprob;
  float full_logprob;
  int32_t status;
  SupportMasses masses;
};

struct RowFunctions {
  const char* name;
  RowSample (*sample)(const RowTask& task, const SampleRequest& request, Workspace& workspace);
  // `outputs` are the row's: an entry a member of those that have it.
  void (*sample_group)(const RowTask& task, const GroupRequest& request, const SampleOutputs& outputs,
                       Workspace& workspace);
  CodedSample (*sample_coded)(const RowTask& task, uint64_t code, Workspace& workspace);
  void (*process_logits)(const RowTask& task, float* out, Workspace& workspace);
  void (*heat_logits)(const RowTask& task, float* logits, Workspace& workspace);
  float (*log_prob)(const RowTask& task, int64_t token, Workspace& workspace);
  // `grad_logits` is of the task's own type.
  void (*log_prob_backward)(const RowTask& task, int64_t token, float grad, void* grad_logits, Workspace& workspace);
  SupportValues (*support_log_prob)(const SupportTask& task, const SupportRequest& request, Workspace& workspace);
  void (*support_log_prob_backward)(const SupportTask& task, const SupportMasses& masses, float grad, float full_grad,
                                    void* grad_logits);
  ShardFunctions shard;
};

extern const RowFunctions kBaselineRowFunctions;
extern const RowFunctions kAvx2RowFunctions;
extern const RowFunctions kAvx512RowFunctions;

// Those that this processor runs, the best first.
std::vector<const RowFunctions*> RunnableRowFunctions();

// The best of them, or the one that the environment variable FIRE_CPU names (baseline, avx2, avx512).
// Throws std::runtime_error where that is unknown or does not run here.
const RowFunctions& ChosenRowFunctions();

}  // namespace fire::cpu
