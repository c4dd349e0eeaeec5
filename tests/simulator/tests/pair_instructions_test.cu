// Arithmetic on two floats at once, which only code for compute capability 10.0 has: PTX against plain C++.
#include "tests/simulator/simulator.h"
#include "tests/simulator/tests/instruction_check.h"

namespace fire::simulator {
namespace {

using f32 = float;

// The pairs (a, b), (b, c) and (c, a).
TERNARY(FmaPairLow,
        "{.reg .b64 p, q, r; .reg .f32 x; mov.b64 p, {%1, %2}; mov.b64 q, {%2, %3}; mov.b64 r, {%3, %1};"
        " fma.rn.f32x2 p, p, q, r; mov.b64 {%0, x}, p;}",
        f32, "f", f32, "f", f32, "f", f32, "f", std::fma(a, b, c))
TERNARY(FmaPairHigh,
        "{.reg .b64 p, q, r; .reg .f32 x; mov.b64 p, {%1, %2}; mov.b64 q, {%2, %3}; mov.b64 r, {%3, %1};"
        " fma.rn.f32x2 p, p, q, r; mov.b64 {x, %0}, p;}",
        f32, "f", f32, "f", f32, "f", f32, "f", std::fma(b, c, a))

BINARY(SubPairLow,
       "{.reg .b64 p, q; .reg .f32 x; mov.b64 p, {%1, %2}; mov.b64 q, {%2, %1}; sub.rn.f32x2 p, p, q;"
       " mov.b64 {%0, x}, p;}",
       f32, "f", f32, "f", f32, "f", a - b)
BINARY(SubPairHigh,
       "{.reg .b64 p, q; .reg .f32 x; mov.b64 p, {%1, %2}; mov.b64 q, {%2, %1}; sub.rn.f32x2 p, p, q;"
       " mov.b64 {x, %0}, p;}",
       f32, "f", f32, "f", f32, "f", b - a)

TEST(PairInstructions, GiveForEachHalfWhatOneFloatWouldGet) {
  SetDeviceDescription(0, KnownDevice(10, 0));
  for (const InstructionCheck check : InstructionChecks()) check();
  EXPECT_EQ(InstructionChecks().size(), 4u);
  Reset();
}

}  // namespace
}  // namespace fire::simulator
