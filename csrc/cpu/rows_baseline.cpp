#define FIRE_ISA baseline

#include "cpu/simd_baseline.h"
// The passes use what the line above defines.
#include "cpu/row_functions.h"

namespace fire::cpu {

const RowFunctions kBaselineRowFunctions = FIRE_ISA::MakeRowFunctions("baseline");

}  // namespace fire::cpu
