// The 16-bit logit types as the row passes see them.
#pragma once

#include <cstdint>

namespace fire::cpu {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

}  // namespace fire::cpu
