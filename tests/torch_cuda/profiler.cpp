// A profiler as NVTX loads one (NVTX_INJECTION64_PATH): writes each range's name to stderr as it opens, and how deep.
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

namespace {

thread_local int depth = 0;

int Push(const char* name) {
  std::fprintf(stderr, "range %d: %s\n", depth, name);
  return depth++;
}

int Pop() { return --depth; }

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable functions = nullptr;
  unsigned count = 0;
  if (!callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &functions, &count)) return 0;
  *functions[NVTX_CBID_CORE_RangePushA] = reinterpret_cast<NvtxFunctionPointer>(Push);
  *functions[NVTX_CBID_CORE_RangePop] = reinterpret_cast<NvtxFunctionPointer>(Pop);
  return 1;
}
