// 16-bit floating point, alone and in pairs. Every result is rounded once from the exact one.
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/rounding.h"

namespace fire::simulator {
namespace {

template <class Format>
struct Arithmetic {
  static double Exact(uint16_t a) { return Decode<Format>(a); }
  static uint16_t Round(double x) { return Encode<Format>(x, Rounding::kNearest); }
  static uint16_t Saturate(uint16_t a) {
    const double x = Exact(a);
    return x > 0 ? (x < 1 ? a : Round(1)) : 0;
  }

  static uint16_t Sum(uint16_t a, uint16_t b) { return Round(AddToOdd(Exact(a), Exact(b))); }
  static uint16_t Difference(uint16_t a, uint16_t b) { return Round(AddToOdd(Exact(a), -Exact(b))); }
  static uint16_t Product(uint16_t a, uint16_t b) { return Round(Exact(a) * Exact(b)); }
  static uint16_t Fma(uint16_t a, uint16_t b, uint16_t c) { return Round(AddToOdd(Exact(a) * Exact(b), Exact(c))); }
  static uint16_t FmaRelu(uint16_t a, uint16_t b, uint16_t c) {
    const uint16_t x = Fma(a, b, c);
    return x & 0x8000 ? 0 : x;
  }
  static uint16_t SumSat(uint16_t a, uint16_t b) { return Saturate(Sum(a, b)); }
  static uint16_t DifferenceSat(uint16_t a, uint16_t b) { return Saturate(Difference(a, b)); }
  static uint16_t ProductSat(uint16_t a, uint16_t b) { return Saturate(Product(a, b)); }
  static uint16_t FmaSat(uint16_t a, uint16_t b, uint16_t c) { return Saturate(Fma(a, b, c)); }

  template <bool maximum, bool propagate>
  static uint16_t Best(uint16_t a, uint16_t b) {
    constexpr uint16_t kInfinity = static_cast<uint16_t>(0x7fffu >> Format::kFraction << Format::kFraction);
    const bool a_nan = (a & 0x7fff) > kInfinity, b_nan = (b & 0x7fff) > kInfinity;
    if (a_nan || b_nan) return propagate || (a_nan && b_nan) ? kNanHalf : a_nan ? b : a;
    const auto key = [](uint16_t x) { return static_cast<int16_t>(x & 0x8000 ? x ^ 0x7fff : x); };
    return (key(a) > key(b)) == maximum ? a : b;
  }
  static uint16_t Negate(uint16_t a) { return a ^ 0x8000; }
  static uint16_t Absolute(uint16_t a) { return a & 0x7fff; }
};

template <auto F>
void AddOne(Table& t, const std::string& name, const std::string& type) {
  t[name + type] = Unary<uint16_t, uint16_t, F>();
  t[name + type + "x2"] = Unary<uint32_t, uint32_t, [](uint32_t a) {
    return uint32_t{F(static_cast<uint16_t>(a))} | uint32_t{F(static_cast<uint16_t>(a >> 16))} << 16;
  }>();
}

template <auto F>
void AddTwo(Table& t, const std::string& name, const std::string& type) {
  t[name + type] = Binary<uint16_t, uint16_t, uint16_t, F>();
  t[name + type + "x2"] = Binary<uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b) {
    return uint32_t{F(static_cast<uint16_t>(a), static_cast<uint16_t>(b))} |
           uint32_t{F(static_cast<uint16_t>(a >> 16), static_cast<uint16_t>(b >> 16))} << 16;
  }>();
}

template <auto F>
void AddThree(Table& t, const std::string& name, const std::string& type) {
  t[name + type] = Ternary<uint16_t, uint16_t, uint16_t, uint16_t, F>();
  t[name + type + "x2"] = Ternary<uint32_t, uint32_t, uint32_t, uint32_t, [](uint32_t a, uint32_t b, uint32_t c) {
    const auto high = [](uint32_t x) { return static_cast<uint16_t>(x >> 16); };
    return uint32_t{F(static_cast<uint16_t>(a), static_cast<uint16_t>(b), static_cast<uint16_t>(c))} |
           uint32_t{F(high(a), high(b), high(c))} << 16;
  }>();
}

template <class Format>
void AddFormat(Table& t, const std::string& type) {
  using A = Arithmetic<Format>;
  for (const char* rounding : {".", ".rn."}) {
    AddTwo<A::Sum>(t, "add" + std::string(rounding), type);
    AddTwo<A::Difference>(t, "sub" + std::string(rounding), type);
    AddTwo<A::Product>(t, "mul" + std::string(rounding), type);
    AddTwo<A::SumSat>(t, "add" + std::string(rounding) + "sat.", type);
    AddTwo<A::DifferenceSat>(t, "sub" + std::string(rounding) + "sat.", type);
    AddTwo<A::ProductSat>(t, "mul" + std::string(rounding) + "sat.", type);
  }
  AddThree<A::Fma>(t, "fma.rn.", type);
  AddThree<A::FmaSat>(t, "fma.rn.sat.", type);
  AddThree<A::FmaRelu>(t, "fma.rn.relu.", type);
  AddTwo<A::template Best<true, false>>(t, "max.", type);
  AddTwo<A::template Best<false, false>>(t, "min.", type);
  AddTwo<A::template Best<true, true>>(t, "max.NaN.", type);
  AddTwo<A::template Best<false, true>>(t, "min.NaN.", type);
  AddOne<A::Negate>(t, "neg.", type);
  AddOne<A::Absolute>(t, "abs.", type);
}

}  // namespace

void AddPacked(Table& t) {
  AddFormat<Half>(t, "f16");
  AddFormat<Brain>(t, "bf16");
}

}  // namespace fire::simulator
