#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cpu/row.h"

namespace fire::cpu {
namespace {

bool RunsHere(const RowFunctions& functions) {
#if defined(__x86_64__)
  if (&functions == &kAvx512RowFunctions)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && RunsHere(kAvx2RowFunctions);
  if (&functions == &kAvx2RowFunctions)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
#endif
  return &functions == &kBaselineRowFunctions;
}

const RowFunctions& Choose() {
#if defined(__x86_64__)
  const RowFunctions* const best_first[] = {&kAvx512RowFunctions, &kAvx2RowFunctions, &kBaselineRowFunctions};
#else
  const RowFunctions* const best_first[] = {&kBaselineRowFunctions};
#endif
  const char* asked = std::getenv("FIRE_CPU");
  const bool any = asked == nullptr || *asked == '\0';
  std::string runs_here;
  for (const RowFunctions* functions : best_first) {
    if (!RunsHere(*functions)) continue;
    if (any || std::strcmp(asked, functions->name) == 0) return *functions;
    runs_here += (runs_here.empty() ? "" : ", ") + std::string(functions->name);
  }
  throw std::runtime_error("FIRE_CPU is '" + std::string(asked) + "'; expected one that runs here: " + runs_here);
}

}  // namespace

const RowFunctions& ChosenRowFunctions() {
  static const RowFunctions& chosen = Choose();
  return chosen;
}

}  // namespace fire::cpu
