// The C++ API on the CPU: finds each row's record and step, and spreads the rows over threads.
#include "fire/sampling.h"

#include <algorithm>

#include "batch_checks.h"
#include "cpu/for_rows.h"
#include "cpu/group_memory.h"
#include "cpu/row_table.h"
#include "definition/batch.h"
#include "definition/code.h"
#include "definition/philox.h"

namespace fire {
namespace {

// What one more member of a group costs.
constexpr int64_t kLogitsAMember = 512;

using cpu::RecordAt;

cpu::RowTask TaskOf(const Batch& batch, int64_t row, int64_t record_index) {
  cpu::RowTask task;
  task.logits =
      static_cast<const char*>(batch.logits) + row * RowStride(batch) * definition::BytesOf(batch.logits_type);
  task.logits_type = batch.logits_type;
  task.vocabulary = static_cast<uint32_t>(batch.vocabulary);
  task.step = definition::StepOf(batch, row);
  task.record = RecordAt(batch, record_index);
  return task;
}

// Calls visit(row, task, slot_out_of_range, workspace) for every row; its work is that of so many logits more.
template <typename Visit>
void ForEachRow(const Batch& batch, const ParallelFor& parallel_for, const Visit& visit, int64_t more_logits = 0) {
  const auto visit_row = [&](int64_t row, cpu::Workspace& workspace) {
    const definition::Slot slot = definition::SlotOf(batch, row);
    visit(row, TaskOf(batch, row, slot.index), slot.out_of_range, workspace);
  };
  cpu::ForRows(batch.rows, batch.vocabulary + more_logits, parallel_for, visit_row);
}

// Writes each row's sample(row, task, workspace).
template <typename Sample>
void SampleRows(const Batch& batch, const SampleOutputs& outputs, const ParallelFor& parallel_for,
                const Sample& sample) {
  ForEachRow(batch, parallel_for,
             [&](int64_t row, const cpu::RowTask& task, bool slot_out_of_range, cpu::Workspace& workspace) {
               RowSample out = sample(row, task, workspace);
               if (!outputs.reference) {
                 out.ref_logprob = definition::kNoRefLogprob;
                 out.rank = definition::kNoRank;
               }
               if (slot_out_of_range) out.status |= kStatusSlotOutOfRange;
               Write(out, row, outputs);
             });
}

// Those of one row, of `size` members.
SampleOutputs OutputsOfRow(const SampleOutputs& outputs, int64_t row, int64_t size) {
  SampleOutputs out = outputs;
  ForEachOutput([&](const auto& output) {
    if (out.*output.array != nullptr) out.*output.array += row * (output.of_member ? size : 1);
  });
  return out;
}

}  // namespace

void SampleCpu(const Batch& batch, const SampleOutputs& outputs, const ParallelFor& parallel_for) {
  CheckSample(batch, outputs);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  SampleOutputs others = outputs;
  others.token = nullptr;
  others.ref_logprob = nullptr;
  others.rank = nullptr;
  const cpu::SampleRequest request = {.reference = definition::WantsReference(outputs),
                                      .logprob_or_counts = WantsAny(others)};
  SampleRows(batch, outputs, parallel_for, [&](int64_t, const cpu::RowTask& task, cpu::Workspace& workspace) {
    return functions.sample(task, request, workspace);
  });
}

void SampleWithSupportCpu(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                          const ParallelFor& parallel_for) {
  CheckSampleWithSupport(batch, support, outputs);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  const bool reference = definition::WantsReference(outputs);
  SampleRows(batch, outputs, parallel_for, [&](int64_t row, const cpu::RowTask& task, cpu::Workspace& workspace) {
    SupportOutputs of_row = support;
    of_row.token += row * support.width;
    if (of_row.logprob != nullptr) of_row.logprob += row * support.width;
    return functions.sample(task, {reference, true, &of_row}, workspace);
  });
}

void SampleGroupCpu(const Batch& batch, int64_t size, const SampleOutputs& outputs, const ParallelFor& parallel_for) {
  CheckSampleGroup(batch, size, outputs);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  const bool reference = definition::WantsReference(outputs);
  const auto visit = [&](int64_t row, const cpu::RowTask& task, bool slot_out_of_range, cpu::Workspace& workspace) {
    cpu::GroupMemory memory(reference ? static_cast<size_t>(size) : 0);
    const SampleOutputs out = OutputsOfRow(outputs, row, size);
    functions.sample_group(task, {static_cast<uint32_t>(size), reference, memory.scratch()}, out, workspace);
    if (!outputs.reference) {
      if (out.ref_logprob != nullptr) std::fill_n(out.ref_logprob, size, definition::kNoRefLogprob);
      if (out.rank != nullptr) std::fill_n(out.rank, size, definition::kNoRank);
    }
    if (slot_out_of_range && out.status != nullptr) *out.status |= kStatusSlotOutOfRange;
  };
  ForEachRow(batch, parallel_for, visit, (size - 1) * kLogitsAMember);
}

void SampleCodedCpu(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token, uint64_t* next_code,
                    const ParallelFor& parallel_for) {
  CheckSampleCoded(batch, code, token, next_code);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  ForEachRow(batch, parallel_for, [&](int64_t row, const cpu::RowTask& task, bool, cpu::Workspace& workspace) {
    const cpu::CodedSample sample = functions.sample_coded(task, code[row * code_stride], workspace);
    token[row] = sample.token;
    next_code[row] = sample.code;
  });
}

void FirstCodeCpu(const Batch& batch, uint64_t* code) {
  CheckFirstCode(batch, code);
  for (int64_t row = 0; row < batch.rows; ++row)
    code[row] =
        definition::FirstCode(RecordAt(batch, definition::SlotOf(batch, row).index), definition::StepOf(batch, row));
}

void ProcessLogitsCpu(const Batch& batch, float* out, int64_t out_stride, const ParallelFor& parallel_for) {
  CheckProcessLogits(batch, out, out_stride);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  ForEachRow(batch, parallel_for, [&](int64_t row, const cpu::RowTask& task, bool, cpu::Workspace& workspace) {
    functions.process_logits(task, out + row * out_stride, workspace);
  });
}

void HeatLogitsCpu(const Batch& batch, float* logits, const ParallelFor& parallel_for) {
  CheckHeatLogits(batch, logits);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  ForEachRow(batch, parallel_for, [&](int64_t row, const cpu::RowTask& task, bool, cpu::Workspace& workspace) {
    functions.heat_logits(task, logits + row * RowStride(batch), workspace);
  });
}

void LogProbCpu(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob,
                const ParallelFor& parallel_for) {
  CheckLogProb(batch, token, logprob);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  ForEachRow(batch, parallel_for, [&](int64_t row, const cpu::RowTask& task, bool, cpu::Workspace& workspace) {
    logprob[row] = functions.log_prob(task, token[row * token_stride], workspace);
  });
}

void LogProbBackwardCpu(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                        int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride,
                        const ParallelFor& parallel_for) {
  CheckLogProbBackward(batch, token, grad, grad_logits, grad_logits_stride);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  const int64_t row_bytes = grad_logits_stride * definition::BytesOf(batch.logits_type);
  ForEachRow(batch, parallel_for, [&](int64_t row, const cpu::RowTask& task, bool, cpu::Workspace& workspace) {
    functions.log_prob_backward(task, token[row * token_stride], grad[row * grad_stride],
                                static_cast<char*>(grad_logits) + row * row_bytes, workspace);
  });
}

Record SpreadRecord(const Record& record, uint64_t index) {
  const uint64_t seed = definition::SpreadSeed(definition::SeedOf(record), index);
  Record spread = record;
  spread.seed_low = static_cast<uint32_t>(seed);
  spread.seed_high = static_cast<uint32_t>(seed >> 32);
  return spread;
}

const char* CpuInstructionSet() { return cpu::ChosenRowFunctions().name; }

}  // namespace fire
