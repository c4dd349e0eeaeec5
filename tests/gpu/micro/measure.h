// How every microbenchmark here measures and reports: the median of repeated event timings, one JSON object a line.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/gpu/cuda_memory.h"

namespace fire::micro {

using gpu::Check;
using gpu::Memory;

// A rehearsal runs every kernel once, on the smallest sizes, for its results alone: its lines carry no figure.
struct Options {
  bool rehearse = false;
  int repeats = 15;
};

inline void Expect(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("wrong result: " + what);
}

struct Device {
  int multiprocessors = 0;
  int capability = 0;  // 10 · major + minor
  int l2_bytes = 0;

  bool HasClusters() const { return capability >= 90; }
};

inline Device ThisDevice() {
  const auto attribute = [](cudaDeviceAttr name) {
    int device = 0;
    int value = 0;
    Check(cudaGetDevice(&device), "cudaGetDevice");
    Check(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
    return value;
  };
  Device device;
  device.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  device.capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
  device.l2_bytes = attribute(cudaDevAttrL2CacheSize);
  return device;
}

struct Spread {
  double median = 0;
  double low = 0;   // the first decile
  double high = 0;  // the last
};

inline Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) { return values[static_cast<size_t>(share * (values.size() - 1) + 0.5)]; };
  return {at(0.5), at(0.1), at(0.9)};
}

// Nanoseconds that the device works on what `work(stream)` enqueues; once before, uncounted.
template <typename Work>
Spread Nanoseconds(const Options& options, Work work) {
  cudaStream_t stream;
  cudaEvent_t begin;
  cudaEvent_t end;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  Check(cudaEventCreate(&begin), "cudaEventCreate");
  Check(cudaEventCreate(&end), "cudaEventCreate");
  std::vector<double> times;
  for (int i = options.rehearse ? 0 : -1; i < (options.rehearse ? 1 : options.repeats); ++i) {
    Check(cudaEventRecord(begin, stream), "cudaEventRecord");
    work(stream);
    Check(cudaEventRecord(end, stream), "cudaEventRecord");
    Check(cudaEventSynchronize(end), "cudaEventSynchronize");
    float milliseconds = 0;
    Check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    if (i >= 0) times.push_back(milliseconds * 1e6);
  }
  Check(cudaEventDestroy(begin), "cudaEventDestroy");
  Check(cudaEventDestroy(end), "cudaEventDestroy");
  Check(cudaStreamDestroy(stream), "cudaStreamDestroy");
  return SpreadOf(times);
}

// Nanoseconds of one iteration: the difference between many and few drops what a launch costs. `run(iterations,
// stream)` launches a kernel that iterates so often.
template <typename Run>
Spread NanosecondsPerIteration(const Options& options, int few, int many, Run run) {
  if (options.rehearse) {
    Nanoseconds(options, [&](cudaStream_t stream) { run(3, stream); });
    return {};
  }
  const Spread short_run = Nanoseconds(options, [&](cudaStream_t stream) { run(few, stream); });
  const Spread long_run = Nanoseconds(options, [&](cudaStream_t stream) { run(many, stream); });
  const auto slope = [&](double time) { return (time - short_run.median) / (many - few); };
  return {slope(long_run.median), slope(long_run.low), slope(long_run.high)};
}

// A launch with attributes: clusters and programmatic dependence.
class Launch {
 public:
  Launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream) {
    config_.gridDim = grid;
    config_.blockDim = block;
    config_.dynamicSmemBytes = shared_bytes;
    config_.stream = stream;
  }
  Launch& Cluster(int blocks) {
    cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = static_cast<unsigned>(blocks);
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    return *this;
  }
  Launch& ProgrammaticDependence() {
    cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    return *this;
  }
  template <typename... Parameters, typename... Arguments>
  void operator()(void (*kernel)(Parameters...), Arguments... arguments) {
    config_.attrs = attributes_;
    Check(cudaLaunchKernelEx(&config_, kernel, static_cast<Parameters>(arguments)...), "cudaLaunchKernelEx");
  }

 private:
  cudaLaunchConfig_t config_ = {};
  cudaLaunchAttribute attributes_[2] = {};
};

// One result. Keys and texts are identifiers of this program: nothing in them needs escaping.
class Line {
 public:
  explicit Line(const char* benchmark) : text_("{\"benchmark\": \"" + std::string(benchmark) + "\"") {}

  Line& With(const char* key, int64_t value) { return Raw(key, std::to_string(value)); }
  Line& With(const char* key, const char* value) { return Raw(key, "\"" + std::string(value) + "\""); }

  void Print(const Options& options, const char* unit, const Spread& spread) {
    const auto number = [&](double value) {
      char text[32];
      std::snprintf(text, sizeof text, "%.6g", value);
      return options.rehearse ? std::string("null") : std::string(text);
    };
    Raw("unit", "\"" + std::string(unit) + "\"");
    Raw("value", number(spread.median)).Raw("low", number(spread.low)).Raw("high", number(spread.high));
    std::printf("%s}\n", text_.c_str());
    std::fflush(stdout);
  }

 private:
  Line& Raw(const char* key, const std::string& value) {
    text_ += ", \"" + std::string(key) + "\": " + value;
    return *this;
  }
  std::string text_;
};

// A rate from a time: `amount` each nanosecond; a longer time is a lower rate.
inline Spread Rate(double amount, const Spread& time) {
  const auto rate = [&](double ns) { return ns > 0 ? amount / ns : 0; };
  return {rate(time.median), rate(time.high), rate(time.low)};
}

void ClusterBarrier(const Options& options);
void DistributedShared(const Options& options);
void SharedAtomics(const Options& options);
void ReadBandwidth(const Options& options);
void InstructionRates(const Options& options);
void LaunchLatency(const Options& options);

}  // namespace fire::micro
