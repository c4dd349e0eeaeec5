// run_row LOGITS RECORD TYPE OUTPUTS ROWS…: samples one row once for each of ROWS, by the launch that a batch of so
// many rows gets, on the simulated device, which counts its work where FIRE_SIMULATOR says counts=FILE.
//
// LOGITS and RECORD are files of raw bytes; TYPE is float32 or bfloat16; OUTPUTS token, logprobs or reference.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/cuda/device_memory.h"

namespace fire {
namespace {

using test::DeviceArray;

std::vector<char> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

void Run(const std::vector<std::string>& arguments) {
  const std::vector<char> logits_bytes = ReadFile(arguments[0]), record_bytes = ReadFile(arguments[1]);
  const bool is_float = arguments[2] == "float32";
  const bool token_only = arguments[3] == "token", reference = arguments[3] == "reference";
  if (record_bytes.size() != sizeof(Record)) throw std::runtime_error(arguments[1] + ": not one record");
  const DeviceArray<char> logits(logits_bytes), record(record_bytes);
  const DeviceArray<int64_t> step(std::vector<int64_t>{0}), token(1);
  const DeviceArray<float> logprob(1), ref_logprob(1);
  const DeviceArray<int32_t> rank(1), kept(1), status(1);

  Batch batch;
  batch.logits = logits.get();
  batch.logits_type = is_float ? LogitsType::kFloat32 : LogitsType::kBFloat16;
  batch.rows = batch.record_count = 1;
  batch.vocabulary = batch.row_stride = static_cast<int64_t>(logits_bytes.size() / (is_float ? 4 : 2));
  batch.step = step.get();
  batch.records = reinterpret_cast<const Record*>(record.get());
  SampleOutputs outputs;
  outputs.token = token.get();
  outputs.reference = reference;
  if (!token_only) {
    outputs.logprob = logprob.get();
    outputs.ref_logprob = ref_logprob.get();
    outputs.rank = rank.get();
    outputs.kept = kept.get();
    outputs.status = status.get();
  }
  const kernels::Task task = reference ? kernels::Task::kSampleWithReference : kernels::Task::kSample;
  for (size_t i = 4; i < arguments.size(); ++i) {
    const int64_t rows = std::atoll(arguments[i].c_str());
    const kernels::Plan plan =
        kernels::PlanFor(task, rows, batch.vocabulary, batch.logits_type, kernels::CurrentDevice());
    kernels::SampleWithPlan(batch, outputs, plan, nullptr);
    test::ThrowOnError(cudaDeviceSynchronize(), "launch");
  }
}

}  // namespace
}  // namespace fire

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  const auto is_one_of = [](const std::string& word, std::initializer_list<const char*> known) {
    for (const char* one : known)
      if (word == one) return true;
    return false;
  };
  if (arguments.size() < 5 || !is_one_of(arguments[2], {"float32", "bfloat16"}) ||
      !is_one_of(arguments[3], {"token", "logprobs", "reference"})) {
    std::fputs("usage: run_row LOGITS RECORD float32|bfloat16 token|logprobs|reference ROWS...\n", stderr);
    return 2;
  }
  try {
    fire::Run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_row: %s\n", error.what());
    return 1;
  }
}
