// Spreads the rows of a call over threads, each with scratch memory of its own.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "cpu/float_environment.h"
#include "cpu/thread_pool.h"
#include "cpu/workspace.h"
#include "fire/sampling.h"

namespace fire::cpu {

// Below so many logits waking a second thread costs more than it saves.
inline constexpr int64_t kLogitsWorthAThread = 1 << 15;

// One a thread, kept between calls: a row needs about 200 KB of it at most, and fresh pages are dear.
inline Workspace& ThreadWorkspace() {
  static thread_local const std::unique_ptr<Workspace> workspace(new Workspace);
  return *workspace;
}

// Records may lie at any address.
inline Record RecordAt(const Batch& batch, int64_t index) {
  Record record;
  std::memcpy(&record, batch.records + index, sizeof record);
  return record;
}

// Calls visit(row, workspace) for every row, each of which is the work of so many logits.
template <typename Visit>
void ForRows(int64_t rows, int64_t logits_a_row, const ParallelFor& parallel_for, const Visit& visit) {
  const ParallelForBody body = [&](int64_t begin, int64_t end) {
    const DefaultFloatEnvironment environment;
    Workspace& workspace = ThreadWorkspace();
    for (int64_t row = begin; row < end; ++row) visit(row, workspace);
  };
  if (rows == 0) return;
  if (rows == 1 || rows * logits_a_row < kLogitsWorthAThread) {
    body(0, rows);
  } else if (parallel_for) {
    parallel_for(rows, body);
  } else {
    DefaultThreadPool().ParallelFor(rows, body);
  }
}

}  // namespace fire::cpu
