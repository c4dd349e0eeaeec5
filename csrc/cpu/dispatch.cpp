#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cpu/row_table.h"

namespace fire::cpu {
namespace {

#if defined(__x86_64__)
bool RunsAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
}

bool RunsAvx512() {
  return RunsAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const RowFunctions& Choose() {
  const char* asked = std::getenv("FIRE_CPU");
  const std::vector<const RowFunctions*> runnable = RunnableRowFunctions();
  if (asked == nullptr || *asked == '\0') return *runnable.front();
  std::string names;
  for (const RowFunctions* functions : runnable) {
    if (std::strcmp(asked, functions->name) == 0) return *functions;
    names += (names.empty() ? "" : ", ") + std::string(functions->name);
  }
  throw std::runtime_error("FIRE_CPU is '" + std::string(asked) + "'; expected one that runs here: " + names);
}

}  // namespace

std::vector<const RowFunctions*> RunnableRowFunctions() {
  std::vector<const RowFunctions*> out;
#if defined(__x86_64__)
  if (RunsAvx512()) out.push_back(&kAvx512RowFunctions);
  if (RunsAvx2()) out.push_back(&kAvx2RowFunctions);
#endif
  out.push_back(&kBaselineRowFunctions);
  return out;
}

const RowFunctions& ChosenRowFunctions() {
  static const RowFunctions& chosen = Choose();
  return chosen;
}

}  // namespace fire::cpu
