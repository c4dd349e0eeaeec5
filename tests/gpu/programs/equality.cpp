// equality [--row-runs N] [--seconds S] [--seed N]: the GPU against the CPU backend on random troublesome rows and
// records, in every type, stride, alignment and kind of step, until N rows have been compared. Prints one JSON object;
// a mistake names the seed of its batch.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "tests/gpu/programs/random_batch.h"

namespace fire::gpu {
namespace {

constexpr int kRecordSets = 16;  // a batch's rows meet so many sets of records

struct Wishes {
  int64_t row_runs = 1 << 20;
  double seconds = 1e9;
  uint64_t seed = 1;
};

int Run(const Wishes& wishes) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  Mistakes mistakes;
  int64_t row_runs = 0;
  uint64_t seed = wishes.seed;
  for (; row_runs < wishes.row_runs && seconds() < wishes.seconds && mistakes.count() == 0; ++seed) {
    RandomBatch batch(seed);
    for (int set = 0; set < kRecordSets; ++set) batch.Run(set, mistakes);
    row_runs += kRecordSets * batch.rows();
  }
  std::printf("{\"row_runs\": %lld, \"wanted\": %lld, \"batches\": %lld, \"seconds\": %.1f, \"wrong\": %lld}\n",
              static_cast<long long>(row_runs), static_cast<long long>(wishes.row_runs),
              static_cast<long long>(seed - wishes.seed), seconds(), static_cast<long long>(mistakes.count()));
  return mistakes.count() == 0 && row_runs >= wishes.row_runs ? 0 : 1;
}

}  // namespace
}  // namespace fire::gpu

int main(int count, char** arguments) {
  fire::gpu::Wishes wishes;
  for (int i = 1; i < count; i += 2) {
    const bool valued = i + 1 < count;
    if (valued && std::strcmp(arguments[i], "--row-runs") == 0) {
      wishes.row_runs = std::atoll(arguments[i + 1]);
    } else if (valued && std::strcmp(arguments[i], "--seconds") == 0) {
      wishes.seconds = std::atof(arguments[i + 1]);
    } else if (valued && std::strcmp(arguments[i], "--seed") == 0) {
      wishes.seed = std::strtoull(arguments[i + 1], nullptr, 10);
    } else {
      std::fputs("usage: equality [--row-runs N] [--seconds S] [--seed N]\n", stderr);
      return 2;
    }
  }
  try {
    return fire::gpu::Run(wishes);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "equality: %s\n", error.what());
    return 1;
  }
}
