// A program with libtorch and no Python: loads the operators' shared object, samples through torch's dispatcher and
// prints the tokens, which tests/python/operators/test_torch_program.py compares with the Python operator's.
//
// Usage: torch_program OBJECT ROWS VOCABULARY
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include <cstdlib>
#include <iostream>
#include <optional>

#include "fire/config.h"

namespace {

using SampleSignature = at::Tensor(const at::Tensor& logits, const at::Tensor& step, const at::Tensor& cfg,
                                   const std::optional<at::Tensor>& slot);

// Integers divided once, so that Python makes the same bits.
at::Tensor MakeLogits(int64_t rows, int64_t vocabulary) {
  at::Tensor logits = at::empty({rows, vocabulary}, at::kFloat);
  auto values = logits.accessor<float, 2>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t id = 0; id < vocabulary; ++id)
      values[row][id] = static_cast<float>((7919 * id + 104729 * row) % 1001) / 100.0f;
  }
  return logits;
}

// Sequence r: seed r, temperature 0.8, nucleus 0.95, and the defaults of a hot first step.
at::Tensor MakeRecords(int64_t rows) {
  at::Tensor records = at::empty({rows, fire::kRecordWords}, at::kInt);
  auto* record = reinterpret_cast<fire::Record*>(records.data_ptr<int32_t>());
  for (int64_t row = 0; row < rows; ++row) {
    record[row] = fire::Record();
    record[row].temperature = 0.8f;
    record[row].top_p = record[row].hot_top_p = 0.95f;
    record[row].seed_low = static_cast<uint32_t>(row);
  }
  return records;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: torch_program OBJECT ROWS VOCABULARY\n";
    return EXIT_FAILURE;
  }
  if (dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::cerr << dlerror() << "\n";
    return EXIT_FAILURE;
  }
  const int64_t rows = std::atoll(argv[2]);
  const at::Tensor logits = MakeLogits(rows, std::atoll(argv[3]));
  const at::Tensor step = at::arange(rows, at::kLong).remainder(2);
  const auto sample = c10::Dispatcher::singleton().findSchemaOrThrow("fire::sample", "").typed<SampleSignature>();
  const at::Tensor token = sample.call(logits, step, MakeRecords(rows), std::nullopt);
  for (int64_t row = 0; row < rows; ++row) std::cout << token[row].item<int64_t>() << "\n";
  return EXIT_SUCCESS;
}
