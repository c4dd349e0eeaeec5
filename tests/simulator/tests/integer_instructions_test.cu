// Integer arithmetic, logic, shifts and bit fields: PTX against plain C++.
#include <algorithm>

#include "tests/simulator/tests/instruction_check.h"

namespace fire::simulator {
namespace {

using i16 = int16_t;
using u16 = uint16_t;
using i32 = int32_t;
using u32 = uint32_t;
using i64 = int64_t;
using u64 = uint64_t;

u32 Reverse(u32 x) {
  u32 out = 0;
  for (int bit = 0; bit < 32; ++bit) out |= (x >> bit & 1) << (31 - bit);
  return out;
}

u32 Ones(u64 x) {
  u32 count = 0;
  for (; x; x &= x - 1) ++count;
  return count;
}

u32 LeadingZeros(u64 x, int bits) {
  u32 count = 0;
  for (int bit = bits - 1; bit >= 0 && !(x >> bit & 1); --bit) ++count;
  return count;
}

u32 HighestBit(u32 x) { return x ? 31 - LeadingZeros(x, 32) : ~0u; }

u32 Field(u32 x, u32 position, u32 length) {
  u32 out = 0;
  for (u32 bit = 0; bit < 32; ++bit) {
    if (bit < (length & 255) && bit + (position & 255) < 32) out |= (x >> (bit + (position & 255)) & 1) << bit;
  }
  return out;
}

u32 SignedField(u32 x, u32 position, u32 length) {
  position &= 255, length &= 255;
  if (length == 0) return 0;
  const u32 sign = x >> std::min(position + length - 1, 31u) & 1;
  u32 out = 0;
  for (u32 bit = 0; bit < 32; ++bit) {
    out |= (bit < length && bit + position < 32 ? x >> (bit + position) & 1 : sign) << bit;
  }
  return out;
}

u32 Inserted(u32 into, u32 field, u32 position, u32 length) {
  for (u32 bit = 0; bit < length && bit + position < 32; ++bit) {
    into = (into & ~(1u << (bit + position))) | (field >> bit & 1) << (bit + position);
  }
  return into;
}

u32 Permuted(u32 x, u32 y, u32 selectors) {
  u32 out = 0;
  for (int i = 0; i < 4; ++i) {
    const u32 selector = selectors >> 4 * i & 15;
    const u32 byte = static_cast<u32>((u64{y} << 32 | x) >> 8 * (selector & 7)) & 255;
    out |= (selector & 8 ? (byte & 128 ? 255u : 0u) : byte) << 8 * i;
  }
  return out;
}

u32 Funnel(u32 low, u32 high, u32 n, bool left) {
  const u64 both = u64{high} << 32 | low;
  return static_cast<u32>(left ? (both << n) >> 32 : both >> n);
}

u32 DotBytes(u32 x, u32 y, u32 z) {
  for (int i = 0; i < 4; ++i) z += (x >> 8 * i & 255) * (y >> 8 * i & 255);
  return z;
}

i64 Clamp32(i64 x) { return std::min<i64>(std::max<i64>(x, -0x80000000ll), 0x7fffffff); }

BINARY(AddU16, "add.u16 %0, %1, %2;", u16, "h", u16, "h", u16, "h", a + b)
BINARY(AddU32, "add.u32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", a + b)
BINARY(AddS64, "add.s64 %0, %1, %2;", u64, "l", u64, "l", u64, "l", a + b)
BINARY(AddSatS32, "add.sat.s32 %0, %1, %2;", i32, "r", i32, "r", i32, "r", Clamp32(i64{a} + b))
BINARY(SubSatS32, "sub.sat.s32 %0, %1, %2;", i32, "r", i32, "r", i32, "r", Clamp32(i64{a} - b))
BINARY(SubS32, "sub.s32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", a - b)
BINARY(SubU64, "sub.u64 %0, %1, %2;", u64, "l", u64, "l", u64, "l", a - b)
BINARY(MulLoS32, "mul.lo.s32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", (a * b))
BINARY(MulLoU64, "mul.lo.u64 %0, %1, %2;", u64, "l", u64, "l", u64, "l", (a * b))
BINARY(MulHiS32, "mul.hi.s32 %0, %1, %2;", i32, "r", i32, "r", i32, "r", (i64{a} * b) >> 32)
BINARY(MulHiU32, "mul.hi.u32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", (u64{a} * b) >> 32)
BINARY(MulHiS64, "mul.hi.s64 %0, %1, %2;", i64, "l", i64, "l", i64, "l", (__int128(a) * b) >> 64)
BINARY(MulHiU64, "mul.hi.u64 %0, %1, %2;", u64, "l", u64, "l", u64, "l", (static_cast<unsigned __int128>(a) * b) >> 64)
BINARY(MulWideS16, "mul.wide.s16 %0, %1, %2;", i32, "r", i16, "h", i16, "h", i32{a} * b)
BINARY(MulWideU16, "mul.wide.u16 %0, %1, %2;", u32, "r", u16, "h", u16, "h", u32{a} * b)
BINARY(MulWideS32, "mul.wide.s32 %0, %1, %2;", i64, "l", i32, "r", i32, "r", i64{a} * b)
BINARY(MulWideU32, "mul.wide.u32 %0, %1, %2;", u64, "l", u32, "r", u32, "r", u64{a} * b)
TERNARY(MadLoS32, "mad.lo.s32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", a* b + c)
TERNARY(MadHiU32, "mad.hi.u32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", ((u64{a} * b) >> 32) + c)
TERNARY(MadWideU32, "mad.wide.u32 %0, %1, %2, %3;", u64, "l", u32, "r", u32, "r", u64, "l", u64{a} * b + c)
TERNARY(MadLoS64, "mad.lo.s64 %0, %1, %2, %3;", u64, "l", u64, "l", u64, "l", u64, "l", a* b + c)
TERNARY(SadU32, "sad.u32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", (a < b ? b - a : a - b) + c)
TERNARY(DotU32, "dp4a.u32.u32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", DotBytes(a, b, c))
// What an integer divided by zero gives is not PTX's to say; INT_MIN / −1 wraps.
BINARY(DivS32, "{.reg .pred p; setp.eq.s32 p, %2, 0; @!p div.s32 %0, %1, %2; @p mov.s32 %0, 0;}", i32, "r", i32, "r",
       i32, "r", b == 0 ? 0 : i64{a} / b)
BINARY(RemS32, "{.reg .pred p; setp.eq.s32 p, %2, 0; @!p rem.s32 %0, %1, %2; @p mov.s32 %0, 0;}", i32, "r", i32, "r",
       i32, "r", b == 0 ? 0 : i64{a} % b)
BINARY(DivU64, "{.reg .pred p; setp.eq.u64 p, %2, 0; @!p div.u64 %0, %1, %2; @p mov.u64 %0, 0;}", u64, "l", u64, "l",
       u64, "l", b == 0 ? 0 : a / b)
BINARY(RemU32, "{.reg .pred p; setp.eq.u32 p, %2, 0; @!p rem.u32 %0, %1, %2; @p mov.u32 %0, 0;}", u32, "r", u32, "r",
       u32, "r", b == 0 ? 0 : a % b)
BINARY(MinS32, "min.s32 %0, %1, %2;", i32, "r", i32, "r", i32, "r", std::min(a, b))
BINARY(MinU32, "min.u32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", std::min(a, b))
BINARY(MaxS64, "max.s64 %0, %1, %2;", i64, "l", i64, "l", i64, "l", std::max(a, b))
BINARY(MaxU16, "max.u16 %0, %1, %2;", u16, "h", u16, "h", u16, "h", std::max(a, b))
UNARY(AbsS32, "abs.s32 %0, %1;", u32, "r", i32, "r", a < 0 ? 0u - static_cast<u32>(a) : static_cast<u32>(a))
UNARY(NegS32, "neg.s32 %0, %1;", u32, "r", u32, "r", 0u - a)
UNARY(NegS64, "neg.s64 %0, %1;", u64, "l", u64, "l", u64{0} - a)
BINARY(AddCarry, "{.reg .u32 l; add.cc.u32 l, %1, %2; addc.u32 %0, %1, %2;}", u32, "r", u32, "r", u32, "r",
       a + b + static_cast<u32>((u64{a} + b) >> 32))
BINARY(SubBorrow, "{.reg .u32 l; sub.cc.u32 l, %1, %2; subc.u32 %0, %1, %2;}", u32, "r", u32, "r", u32, "r",
       a - b - (a < b ? 1u : 0u))
TERNARY(MadCarry, "{.reg .u32 l; mad.lo.cc.u32 l, %1, %2, %3; madc.hi.u32 %0, %1, %2, 0;}", u32, "r", u32, "r", u32,
        "r", u32, "r", (u64{a} * b + c) >> 32)
BINARY(AndB32, "and.b32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", a& b)
BINARY(OrB64, "or.b64 %0, %1, %2;", u64, "l", u64, "l", u64, "l", a | b)
BINARY(XorB16, "xor.b16 %0, %1, %2;", u16, "h", u16, "h", u16, "h", a ^ b)
UNARY(NotB32, "not.b32 %0, %1;", u32, "r", u32, "r", ~a)
UNARY(CnotB32, "cnot.b32 %0, %1;", u32, "r", u32, "r", a == 0)
TERNARY(Lop3, "lop3.b32 %0, %1, %2, %3, 0xCA;", u32, "r", u32, "r", u32, "r", u32, "r", (a & b) | (~a & c))
TERNARY(Lop3Odd, "lop3.b32 %0, %1, %2, %3, 0x96;", u32, "r", u32, "r", u32, "r", u32, "r", a ^ b ^ c)
BINARY(ShlB32, "shl.b32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", b > 31 ? 0 : a << b)
BINARY(ShlB64, "shl.b64 %0, %1, %2;", u64, "l", u64, "l", u32, "r", b > 63 ? 0 : a << b)
BINARY(ShlB16, "shl.b16 %0, %1, %2;", u16, "h", u16, "h", u32, "r", b > 15 ? 0 : a << b)
BINARY(ShrU32, "shr.u32 %0, %1, %2;", u32, "r", u32, "r", u32, "r", b > 31 ? 0 : a >> b)
BINARY(ShrS32, "shr.s32 %0, %1, %2;", i32, "r", i32, "r", u32, "r", a >> std::min(b, 31u))
BINARY(ShrS64, "shr.s64 %0, %1, %2;", i64, "l", i64, "l", u32, "r", a >> std::min(b, 63u))
BINARY(ShrU64, "shr.u64 %0, %1, %2;", u64, "l", u64, "l", u32, "r", b > 63 ? 0 : a >> b)
BINARY(ShrS16, "shr.s16 %0, %1, %2;", i16, "h", i16, "h", u32, "r", a >> std::min(b, 15u))
TERNARY(ShfLeftWrap, "shf.l.wrap.b32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r",
        Funnel(a, b, c & 31, true))
TERNARY(ShfLeftClamp, "shf.l.clamp.b32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r",
        Funnel(a, b, std::min(c, 32u), true))
TERNARY(ShfRightWrap, "shf.r.wrap.b32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r",
        Funnel(a, b, c & 31, false))
TERNARY(ShfRightClamp, "shf.r.clamp.b32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r",
        Funnel(a, b, std::min(c, 32u), false))
UNARY(PopcB32, "popc.b32 %0, %1;", u32, "r", u32, "r", Ones(a))
UNARY(PopcB64, "popc.b64 %0, %1;", u32, "r", u64, "l", Ones(a))
UNARY(ClzB32, "clz.b32 %0, %1;", u32, "r", u32, "r", LeadingZeros(a, 32))
UNARY(ClzB64, "clz.b64 %0, %1;", u32, "r", u64, "l", LeadingZeros(a, 64))
UNARY(BrevB32, "brev.b32 %0, %1;", u32, "r", u32, "r", Reverse(a))
UNARY(BfindU32, "bfind.u32 %0, %1;", u32, "r", u32, "r", HighestBit(a))
UNARY(BfindS32, "bfind.s32 %0, %1;", u32, "r", i32, "r", HighestBit(a < 0 ? ~a : a))
UNARY(BfindShift, "bfind.shiftamt.u32 %0, %1;", u32, "r", u32, "r", a ? 31 - HighestBit(a) : ~0u)
TERNARY(BfeU32, "bfe.u32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", Field(a, b, c))
TERNARY(BfeS32, "bfe.s32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", SignedField(a, b, c))
TERNARY(BfiB32, "bfi.b32 %0, %1, %2, %3, 5;", u32, "r", u32, "r", u32, "r", u32, "r", Inserted(b, a, c & 255, 5))
BINARY(BmskClamp, "bmsk.clamp.b32 %0, %1, %2;", u32, "r", u32, "r", u32, "r",
       a > 31 ? 0 : (b > 31 ? ~0u : (1u << b) - 1) << a)
TERNARY(Prmt, "prmt.b32 %0, %1, %2, %3;", u32, "r", u32, "r", u32, "r", u32, "r", Permuted(a, b, c))
BINARY(FnsUp, "fns.b32 %0, %1, %2, 0;", u32, "r", u32, "r", u32, "r", b > 31 ? ~0u : a >> b & 1 ? b : ~0u)
TERNARY(SelpB32, "{.reg .pred p; setp.ne.u32 p, %3, 0; selp.b32 %0, %1, %2, p;}", u32, "r", u32, "r", u32, "r", u32,
        "r", c ? a : b)
TERNARY(SlctS32, "slct.s32.s32 %0, %1, %2, %3;", i32, "r", i32, "r", i32, "r", i32, "r", c >= 0 ? a : b)
BINARY(SetpLtS32, "{.reg .pred p; setp.lt.s32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", i32, "r", i32, "r", a < b)
BINARY(SetpHiU32, "{.reg .pred p; setp.hi.u32 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", u32, "r", u32, "r", a > b)
BINARY(SetpGeU64, "{.reg .pred p; setp.ge.u64 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", u64, "l", u64, "l", a >= b)
BINARY(SetpLeS16, "{.reg .pred p; setp.le.s16 p, %1, %2; selp.u32 %0, 1, 0, p;}", u32, "r", i16, "h", i16, "h", a <= b)
TERNARY(SetpAnd, "{.reg .pred p, q; setp.ne.u32 q, %3, 0; setp.eq.and.u32 p, %1, %2, !q; selp.u32 %0, 1, 0, p;}", u32,
        "r", u32, "r", u32, "r", u32, "r", a == b && c == 0)
TERNARY(SetpPair,
        "{.reg .pred p, q, s; setp.ne.u32 s, %3, 0; setp.gt.or.u32 p|q, %1, %2, s; "
        "selp.u32 %0, 1, 0, p; @q add.u32 %0, %0, 2;}",
        u32, "r", u32, "r", u32, "r", u32, "r", (a > b || c ? 1 : 0) + (!(a > b) || c ? 2 : 0))
UNARY(CvtU8, "cvt.u8.u32 %0, %1;", u32, "r", u32, "r", static_cast<uint8_t>(a))
UNARY(CvtS8, "cvt.s8.s32 %0, %1;", i32, "r", i32, "r", static_cast<int8_t>(a))
UNARY(CvtS64S32, "cvt.s64.s32 %0, %1;", i64, "l", i32, "r", a)
UNARY(CvtU64U32, "cvt.u64.u32 %0, %1;", u64, "l", u32, "r", a)
UNARY(CvtU32U64, "cvt.u32.u64 %0, %1;", u32, "r", u64, "l", a)
UNARY(CvtS32S16, "cvt.s32.s16 %0, %1;", i32, "r", i16, "h", a)
UNARY(CvtS64S32OfWide, "cvt.s64.s32 %0, %1;", i64, "l", i64, "l", static_cast<i32>(a))
UNARY(CvtU32U8OfWide, "cvt.u32.u8 %0, %1;", u32, "r", u64, "l", static_cast<uint8_t>(a))
UNARY(CvtS32S16OfWide, "cvt.s32.s16 %0, %1;", i32, "r", i32, "r", static_cast<i16>(a))
UNARY(CvtSatU16S32, "cvt.sat.u16.s32 %0, %1;", u16, "h", i32, "r", std::min(std::max(a, 0), 65535))
UNARY(CvtSatS32S64, "cvt.sat.s32.s64 %0, %1;", i32, "r", i64, "l", Clamp32(a))

TEST(IntegerInstructions, GiveWhatPlainCppGives) {
  for (const InstructionCheck check : InstructionChecks()) check();
}

}  // namespace
}  // namespace fire::simulator
