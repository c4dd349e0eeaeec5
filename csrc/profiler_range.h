// Shows what the host does as a range in NVIDIA's profilers. Header-only NVTX: without a profiler a call through a null
// pointer is skipped, nothing else; without NVTX's headers, which some toolkits ship apart, there are no ranges.
#pragma once

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define FIRE_HAS_NVTX 1
#else
#define FIRE_HAS_NVTX 0
#endif

namespace fire {

class ProfilerRange {
 public:
#if FIRE_HAS_NVTX
  explicit ProfilerRange(const char* name) { nvtxRangePushA(name); }
  ~ProfilerRange() { nvtxRangePop(); }
#else
  explicit ProfilerRange(const char*) {}
#endif
  ProfilerRange(const ProfilerRange&) = delete;
  ProfilerRange& operator=(const ProfilerRange&) = delete;
};

}  // namespace fire
