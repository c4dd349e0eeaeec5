#define FIRE_ISA avx2

#include "cpu/simd_avx2.h"
// The passes use what the line above defines.
#include "cpu/row_functions.h"

namespace fire::cpu {

const RowFunctions kAvx2RowFunctions = FIRE_ISA::MakeRowFunctions("avx2");

}  // namespace fire::cpu
