// smoke GOLDEN [--device N] [--most-vocabulary N] [--most-rows N]: every plan of a device's table, forced one after
// another, and the plans that the table chooses by the number of rows, against the golden answers. Prints one JSON
// object.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <string>

#include "tests/gpu/programs/device_case.h"

namespace fire::gpu {
namespace {

constexpr int64_t kRows[] = {1, 8, 32, 64, 100, 128, 512, 1024};
constexpr int64_t kMostBytes = int64_t{160} << 20;  // of a batch: R = 1,024 only where rows are short

struct Limits {
  int64_t device = 0;
  int64_t vocabulary = kMaxVocabulary;
  int64_t rows = 1024;
};

struct Totals {
  int64_t launches = 0;
  int64_t row_runs = 0;
  std::map<int, int64_t> forced;  // launches, by the blocks that had a row

  void Add(int64_t rows) {
    ++launches;
    row_runs += rows;
  }
};

void RunForcedPlans(const GoldenCase& golden, const kernels::Device& device, const Limits& limits, Totals& totals,
                    Mistakes& mistakes) {
  const int64_t rows = std::min(golden.rows, limits.rows);
  DeviceCase on_device(golden, rows);
  for (const kernels::Task task : {kernels::Task::kSample, kernels::Task::kSampleWithReference}) {
    const bool reference = task == kernels::Task::kSampleWithReference;
    for (const kernels::Plan& plan : kernels::AllPlans(task, golden.vocabulary, golden.type, device)) {
      on_device.Sample(&plan, reference, mistakes);
      totals.Add(rows);
      ++totals.forced[plan.cluster];
      if (reference) continue;
      on_device.TokenAlone(&plan, mistakes);
      totals.Add(rows);
    }
  }
}

void RunChosenPlans(const GoldenCase& golden, const Limits& limits, Totals& totals, Mistakes& mistakes) {
  const int64_t row_bytes = golden.vocabulary * static_cast<int64_t>(golden.element_bytes());
  for (const int64_t rows : kRows) {
    if (rows > limits.rows || rows * row_bytes > kMostBytes) continue;
    DeviceCase on_device(golden, rows);
    on_device.TokenAlone(nullptr, mistakes);
    on_device.Sample(nullptr, false, mistakes);
    on_device.Sample(nullptr, true, mistakes);
    on_device.LogProb(mistakes);
    for (int i = 0; i < 4; ++i) totals.Add(rows);
    if (rows > 64) continue;
    on_device.ProcessLogits(mistakes);
    totals.Add(rows);
    if (golden.type != LogitsType::kFloat32) continue;
    on_device.HeatLogits(mistakes);
    totals.Add(rows);
  }
}

// As JSON.
std::string Text(const std::map<int, int64_t>& counts) {
  std::string text;
  for (const auto& [blocks, count] : counts)
    text += (text.empty() ? "\"" : ", \"") + std::to_string(blocks) + "\": " + std::to_string(count);
  return "{" + text + "}";
}

int Run(const std::string& path, const Limits& limits) {
  const std::vector<GoldenCase> cases = ReadGolden(path);
  int devices = 0;
  Check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  UseCudaDevice(static_cast<int>(limits.device));
  const kernels::Device device = kernels::CurrentDevice();
  Totals totals;
  Mistakes mistakes;
  for (const GoldenCase& golden : cases) {
    if (golden.vocabulary > limits.vocabulary) continue;
    RunForcedPlans(golden, device, limits, totals, mistakes);
    RunChosenPlans(golden, limits, totals, mistakes);
  }
  std::printf(
      "{\"device\": %lld, \"devices\": %d, \"capability\": %d, \"multiprocessors\": %d, \"largest_cluster\": %d, "
      "\"clusters\": [%d, %d, %d, %d], \"forced\": %s, \"launches\": %lld, \"row_runs\": %lld, \"wrong\": %lld}\n",
      static_cast<long long>(limits.device), devices, device.compute_capability, device.multiprocessors,
      device.largest_cluster, device.clusters[0], device.clusters[1], device.clusters[2], device.clusters[3],
      Text(totals.forced).c_str(), static_cast<long long>(totals.launches), static_cast<long long>(totals.row_runs),
      static_cast<long long>(mistakes.count()));
  return mistakes.count() == 0 && totals.launches > 0 ? 0 : 1;
}

}  // namespace
}  // namespace fire::gpu

int main(int count, char** arguments) {
  fire::gpu::Limits limits;
  for (int i = 2; i + 1 < count; i += 2) {
    int64_t* const limit = std::strcmp(arguments[i], "--device") == 0            ? &limits.device
                           : std::strcmp(arguments[i], "--most-vocabulary") == 0 ? &limits.vocabulary
                           : std::strcmp(arguments[i], "--most-rows") == 0       ? &limits.rows
                                                                                 : nullptr;
    if (limit == nullptr) count = 0;
    if (limit != nullptr) *limit = std::atoll(arguments[i + 1]);
  }
  if (count < 2 || count % 2 != 0) {
    std::fputs("usage: smoke GOLDEN [--device N] [--most-vocabulary N] [--most-rows N]\n", stderr);
    return 2;
  }
  try {
    return fire::gpu::Run(arguments[1], limits);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "smoke: %s\n", error.what());
    return 1;
  }
}
