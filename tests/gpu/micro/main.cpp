// measure NAME [--rehearse]: one microbenchmark, its results as JSON, one object a line.
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests/gpu/micro/measure.h"

namespace {

struct Entry {
  const char* name;
  void (*run)(const fire::micro::Options&);
};

constexpr Entry kEntries[] = {
    {"cluster-barrier", fire::micro::ClusterBarrier}, {"dsmem", fire::micro::DistributedShared},
    {"shared-atomics", fire::micro::SharedAtomics},   {"read-bandwidth", fire::micro::ReadBandwidth},
    {"instructions", fire::micro::InstructionRates},  {"launch", fire::micro::LaunchLatency},
};

}  // namespace

int main(int count, char** arguments) {
  fire::micro::Options options;
  options.rehearse = count == 3 && std::strcmp(arguments[2], "--rehearse") == 0;
  if (count != 2 && !options.rehearse) count = 0;
  for (const Entry& entry : kEntries) {
    if (count < 2 || std::strcmp(entry.name, arguments[1]) != 0) continue;
    try {
      entry.run(options);
      fire::micro::Check(cudaDeviceSynchronize(), entry.name);
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", entry.name, error.what());
      return 1;
    }
  }
  std::fputs("usage: measure NAME [--rehearse], NAME being one of", stderr);
  for (const Entry& entry : kEntries) std::fprintf(stderr, " %s", entry.name);
  std::fputs("\n", stderr);
  return 2;
}
