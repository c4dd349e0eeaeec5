#define FIRE_ISA avx512

#include "cpu/simd_avx512.h"
// The passes use what the line above defines.
#include "cpu/row_functions.h"

namespace fire::cpu {

const RowFunctions kAvx512RowFunctions = FIRE_ISA::MakeRowFunctions("avx512");

}  // namespace fire::cpu
