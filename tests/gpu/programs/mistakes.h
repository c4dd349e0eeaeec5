// When two results are the same, and what is said when they are not.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>

namespace fire::gpu {

// Equal, or both that infinity, or within 1e-6 · max(1, |value|); no NaN is close.
inline bool Close(float got, float expected) {
  if (got == expected) return true;
  return std::isfinite(got) && std::isfinite(expected) &&
         std::fabs(got - expected) <= 1e-6f * std::fmax(1.0f, std::fabs(expected));
}

// What went wrong, the first few in words on stderr.
class Mistakes {
 public:
  template <typename... Arguments>
  void Add(const char* format, Arguments... arguments) {
    if (++count_ > kSaid) return;
    std::fprintf(stderr, format, arguments...);
    std::fputc('\n', stderr);
  }
  int64_t count() const { return count_; }

 private:
  static constexpr int64_t kSaid = 20;
  int64_t count_ = 0;
};

}  // namespace fire::gpu
