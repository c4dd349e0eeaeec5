// large [--rows R] [--vocabulary V]: a batch of more than 2^32 logits, each row with its own record, against the CPU
// backend: offsets must be 64 bits wide. The rows repeat a tile that both sides hold. Prints one JSON object.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

#include "fire/cuda.h"
#include "tests/cpp/cpu_backend_rows.h"
#include "tests/gpu/cuda_memory.h"
#include "tests/gpu/programs/mistakes.h"

namespace fire::gpu {
namespace {

constexpr int64_t kTile = 256;     // rows
constexpr int64_t kCompared = 64;  // rows of process_logits that are read back, at either end

// The tile's rows over and over; odd vocabularies leave most rows unaligned.
void FillDevice(const std::vector<uint16_t>& tile, Memory<uint16_t>& logits) {
  const size_t all = logits.count();
  const size_t once = std::min(all, tile.size());
  Check(cudaMemcpy(logits.get(), tile.data(), once * 2, cudaMemcpyHostToDevice), "cudaMemcpy to the device");
  for (size_t done = once; done < all;) {
    const size_t more = std::min(done / once * once, all - done);
    Check(cudaMemcpy(logits.get() + done, logits.get(), more * 2, cudaMemcpyDeviceToDevice), "cudaMemcpy");
    done += more;
  }
}

struct Large {
  Large(int64_t rows_wanted, int64_t vocabulary_wanted)
      : rows(rows_wanted), vocabulary(vocabulary_wanted), logits(static_cast<size_t>(rows * vocabulary)) {
    test::Random random(7);
    for (int64_t row = 0; row < std::min(rows, kTile); ++row) {
      const test::TypedRow typed(test::TroublesomeRow(random, static_cast<uint32_t>(vocabulary)),
                                 LogitsType::kBFloat16);
      const auto* halves = static_cast<const uint16_t*>(typed.data());
      tile.insert(tile.end(), halves, halves + vocabulary);
    }
    FillDevice(tile, logits);
    for (int64_t row = 0; row < rows; ++row) {
      records.push_back(test::TroublesomeRecord(random, static_cast<uint32_t>(vocabulary)));
      step.push_back(row % 3);
    }
  }

  Batch OnHost(int64_t first, int64_t count) const {
    Batch batch = Shape(count);
    batch.logits = tile.data();
    batch.step = step.data() + first;
    batch.records = records.data() + first;
    return batch;
  }

  Batch Shape(int64_t count) const {
    Batch batch;
    batch.logits_type = LogitsType::kBFloat16;
    batch.rows = batch.record_count = count;
    batch.vocabulary = batch.row_stride = vocabulary;
    return batch;
  }

  int64_t rows;
  int64_t vocabulary;
  std::vector<uint16_t> tile;
  std::vector<Record> records;
  std::vector<int64_t> step;
  Memory<uint16_t> logits;
};

void CompareSamples(const Large& large, const Batch& batch, Mistakes& mistakes) {
  const auto rows = static_cast<size_t>(large.rows);
  const Memory<int64_t> token(rows);
  const Memory<int32_t> kept(rows);
  SampleOutputs there;
  there.token = token.get();
  there.kept = kept.get();
  SampleCuda(batch, there, nullptr);
  const std::vector<int64_t> tokens = token.Read();
  const std::vector<int32_t> counts = kept.Read();
  std::vector<int64_t> tokens_here(kTile);
  std::vector<int32_t> counts_here(kTile);
  for (int64_t first = 0; first < large.rows; first += kTile) {
    const int64_t count = std::min(kTile, large.rows - first);
    SampleOutputs here;
    here.token = tokens_here.data();
    here.kept = counts_here.data();
    SampleCpu(large.OnHost(first, count), here);
    for (int64_t i = 0; i < count; ++i) {
      const auto row = static_cast<size_t>(first + i);
      const auto at = static_cast<size_t>(i);
      if (tokens[row] == tokens_here[at] && counts[row] == counts_here[at]) continue;
      mistakes.Add("row %zu: token %lld of %d kept, expected %lld of %d; %s", row, static_cast<long long>(tokens[row]),
                   counts[row], static_cast<long long>(tokens_here[at]), counts_here[at],
                   test::Describe(large.records[row]).c_str());
    }
  }
}

// The output is float32: twice as large as the logits. Its first and last rows are read back.
void CompareProcessed(const Large& large, const Batch& batch, Mistakes& mistakes) {
  const Memory<float> out(static_cast<size_t>(large.rows * large.vocabulary));
  ProcessLogitsCuda(batch, out.get(), large.vocabulary, nullptr);
  const int64_t last_tile = (large.rows - 1) / kTile * kTile;
  for (const int64_t first : {int64_t{0}, last_tile}) {
    const int64_t count = std::min(kCompared, large.rows - first);
    std::vector<float> here(static_cast<size_t>(count * large.vocabulary));
    ProcessLogitsCpu(large.OnHost(first, count), here.data(), large.vocabulary);
    const std::vector<float> there = out.Read(static_cast<size_t>(first * large.vocabulary), here.size());
    for (size_t i = 0; i < here.size(); ++i) {
      if (there[i] == here[i]) continue;
      mistakes.Add("process_logits[%lld + %zu]: %.9g, expected %.9g", static_cast<long long>(first * large.vocabulary),
                   i, static_cast<double>(there[i]), static_cast<double>(here[i]));
    }
  }
}

int Run(int64_t rows, int64_t vocabulary) {
  const Large large(rows, vocabulary);
  const Memory<Record> records(large.records);
  const Memory<int64_t> step(large.step);
  Batch batch = large.Shape(rows);
  batch.logits = large.logits.get();
  batch.step = step.get();
  batch.records = records.get();
  Mistakes mistakes;
  CompareSamples(large, batch, mistakes);
  size_t free_bytes = 0;
  size_t all_bytes = 0;
  Check(cudaMemGetInfo(&free_bytes, &all_bytes), "cudaMemGetInfo");
  const bool processes = free_bytes / 5 > static_cast<size_t>(rows * vocabulary);
  if (processes) CompareProcessed(large, batch, mistakes);
  std::printf("{\"rows\": %lld, \"vocabulary\": %lld, \"logits\": %lld, \"process_logits\": %s, \"wrong\": %lld}\n",
              static_cast<long long>(rows), static_cast<long long>(vocabulary),
              static_cast<long long>(rows * vocabulary), processes ? "true" : "false",
              static_cast<long long>(mistakes.count()));
  return mistakes.count() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fire::gpu

int main(int count, char** arguments) {
  int64_t rows = 32900;
  int64_t vocabulary = 131073;
  for (int i = 1; i < count; i += 2) {
    int64_t* const wish = i + 1 < count && std::strcmp(arguments[i], "--rows") == 0         ? &rows
                          : i + 1 < count && std::strcmp(arguments[i], "--vocabulary") == 0 ? &vocabulary
                                                                                            : nullptr;
    if (wish == nullptr) {
      std::fputs("usage: large [--rows R] [--vocabulary V]\n", stderr);
      return 2;
    }
    *wish = std::atoll(arguments[i + 1]);
  }
  try {
    return fire::gpu::Run(rows, vocabulary);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "large: %s\n", error.what());
    return 1;
  }
}
