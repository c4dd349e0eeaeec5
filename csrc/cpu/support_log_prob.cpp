// The trainer's half of the support on the CPU: checks every row's support and temperature, then spreads the rows over
// threads.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>

#include "batch_checks.h"
#include "cpu/for_rows.h"
#include "cpu/row_table.h"
#include "definition/batch.h"
#include "definition/support.h"
#include "refused_row.h"

namespace fire {
namespace {

const int32_t* SupportOf(const SupportBatch& batch, int64_t row) { return batch.support + row * SupportStride(batch); }

float TemperatureOf(const SupportBatch& batch, int64_t row) {
  return batch.temperature[row * batch.temperature_stride];
}

[[noreturn]] void RefuseTemperature(int64_t row, float temperature) {
  char shown[32];
  std::snprintf(shown, sizeof shown, "%g", static_cast<double>(temperature));
  throw RefusedRow("SupportBatch", "temperature",
                   "of row " + std::to_string(row) + " is " + shown + ", expected a finite one of at least 2^-64");
}

[[noreturn]] void RefuseSupport(int64_t row, const int32_t* support, int64_t place, int64_t vocabulary) {
  const std::string behind = place == 0 ? "" : " behind " + std::to_string(support[place - 1]);
  throw RefusedRow("SupportBatch", "support",
                   "of row " + std::to_string(row) + " has " + std::to_string(support[place]) + behind + " in place " +
                       std::to_string(place) + ", expected ids from 0 to " + std::to_string(vocabulary - 1) +
                       " in ascending order, then -1");
}

// The first place of a row's support that no id may have there, or `width`.
int64_t FirstRefusedPlace(const SupportBatch& batch, int64_t row) {
  const int32_t* const support = SupportOf(batch, row);
  int32_t previous = definition::kBeforeSupport;
  for (int64_t place = 0; place < batch.width; previous = support[place++])
    if (!definition::MayFollow(previous, support[place], static_cast<uint32_t>(batch.vocabulary))) return place;
  return batch.width;
}

// Throws for the first row whose temperature or support is none.
void CheckRows(const SupportBatch& batch, const ParallelFor& parallel_for) {
  std::atomic<int64_t> first_refused{batch.rows};
  cpu::ForRows(batch.rows, batch.width, parallel_for, [&](int64_t row, cpu::Workspace&) {
    if (definition::IsSupportTemperature(TemperatureOf(batch, row)) && FirstRefusedPlace(batch, row) == batch.width)
      return;
    for (int64_t first = first_refused; row < first && !first_refused.compare_exchange_weak(first, row);) {
    }
  });
  const int64_t row = first_refused;
  if (row == batch.rows) return;
  const float temperature = TemperatureOf(batch, row);
  if (!definition::IsSupportTemperature(temperature)) RefuseTemperature(row, temperature);
  RefuseSupport(row, SupportOf(batch, row), FirstRefusedPlace(batch, row), batch.vocabulary);
}

cpu::SupportTask TaskOf(const SupportBatch& batch, int64_t row) {
  cpu::SupportTask task;
  task.logits =
      static_cast<const char*>(batch.logits) + row * RowStride(batch) * definition::BytesOf(batch.logits_type);
  task.logits_type = batch.logits_type;
  task.vocabulary = static_cast<uint32_t>(batch.vocabulary);
  task.token = batch.token[row * batch.token_stride];
  task.support = SupportOf(batch, row);
  const auto is_id = [](int32_t id) { return id != definition::kNoToken; };
  task.count =
      static_cast<uint32_t>(std::partition_point(task.support, task.support + batch.width, is_id) - task.support);
  task.temperature = TemperatureOf(batch, row);
  return task;
}

}  // namespace

void SupportLogProbCpu(const SupportBatch& batch, const SupportLogProbOutputs& outputs,
                       const ParallelFor& parallel_for) {
  CheckSupportLogProb(batch);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  CheckRows(batch, parallel_for);
  const cpu::SupportRequest request = {
      .has_nan = outputs.status != nullptr,
      .full = outputs.full_logprob != nullptr || outputs.status != nullptr || outputs.masses != nullptr};
  cpu::ForRows(batch.rows, batch.vocabulary, parallel_for, [&](int64_t row, cpu::Workspace& workspace) {
    const cpu::SupportValues values = functions.support_log_prob(TaskOf(batch, row), request, workspace);
    if (outputs.logprob != nullptr) outputs.logprob[row] = values.logprob;
    if (outputs.full_logprob != nullptr) outputs.full_logprob[row] = values.full_logprob;
    if (outputs.status != nullptr) outputs.status[row] = values.status;
    if (outputs.masses != nullptr) outputs.masses[row] = values.masses;
  });
}

void SupportLogProbBackwardCpu(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                               const float* full_grad, void* grad_logits, int64_t grad_logits_stride,
                               const ParallelFor& parallel_for) {
  CheckSupportLogProbBackward(batch, masses, grad_logits, grad_logits_stride);
  const cpu::RowFunctions& functions = cpu::ChosenRowFunctions();
  CheckRows(batch, parallel_for);
  const int64_t row_bytes = grad_logits_stride * definition::BytesOf(batch.logits_type);
  cpu::ForRows(batch.rows, batch.vocabulary, parallel_for, [&](int64_t row, cpu::Workspace&) {
    functions.support_log_prob_backward(TaskOf(batch, row), masses[row], grad == nullptr ? 0.0f : grad[row],
                                        full_grad == nullptr ? 0.0f : full_grad[row],
                                        static_cast<char*>(grad_logits) + row * row_bytes);
  });
}

}  // namespace fire
