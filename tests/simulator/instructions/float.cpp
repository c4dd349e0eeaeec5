// Single and double precision. An instruction without a rounding modifier rounds to nearest, and never contracts.
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/rounding.h"

namespace fire::simulator {
namespace {

float Clamp01(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }  // a NaN becomes +0
float Flush(float x) { return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }

// Of pairs of floats: what Of gives for their lower floats, and for their higher ones.
template <class Of, class... Pairs>
uint64_t EachFloat(Pairs... pairs) {
  const auto part = [&](int shift) {
    const float result = Of()(std::bit_cast<float>(static_cast<uint32_t>(pairs >> shift))...);
    return uint64_t{std::bit_cast<uint32_t>(result)} << shift;
  };
  return part(0) | part(32);
}

template <Rounding rounding>
void AddRounded(Table& t, const std::string& modifier) {
  using F = float;
  constexpr auto add = [](F a, F b) { return Add<rounding>(a, b); };
  constexpr auto subtract = [](F a, F b) { return Add<rounding>(a, -b); };
  constexpr auto multiply = [](F a, F b) { return Multiply<rounding>(a, b); };
  constexpr auto fma = [](F a, F b, F c) { return MultiplyAdd<rounding>(a, b, c); };
  t["add" + modifier + ".f32"] = Binary<F, F, F, add>();
  t["sub" + modifier + ".f32"] = Binary<F, F, F, subtract>();
  t["mul" + modifier + ".f32"] = Binary<F, F, F, multiply>();
  t["add" + modifier + ".sat.f32"] = Binary<F, F, F, [](F a, F b) { return Clamp01(Add<rounding>(a, b)); }>();
  t["sub" + modifier + ".sat.f32"] = Binary<F, F, F, [](F a, F b) { return Clamp01(Add<rounding>(a, -b)); }>();
  t["mul" + modifier + ".sat.f32"] = Binary<F, F, F, [](F a, F b) { return Clamp01(Multiply<rounding>(a, b)); }>();
  t["sub" + modifier + ".f32x2"] = Binary<uint64_t, uint64_t, uint64_t,
                                          [](uint64_t a, uint64_t b) { return EachFloat<decltype(subtract)>(a, b); }>();
  if (modifier.empty()) return;  // the others must name their rounding
  t["fma" + modifier + ".f32"] = Ternary<F, F, F, F, fma>();
  t["fma" + modifier + ".sat.f32"] =
      Ternary<F, F, F, F, [](F a, F b, F c) { return Clamp01(MultiplyAdd<rounding>(a, b, c)); }>();
  t["mad" + modifier + ".f32"] = Ternary<F, F, F, F, fma>();
  t["fma" + modifier + ".f32x2"] =
      Ternary<uint64_t, uint64_t, uint64_t, uint64_t,
              [](uint64_t a, uint64_t b, uint64_t c) { return EachFloat<decltype(fma)>(a, b, c); }>();
  t["div" + modifier + ".f32"] = Binary<F, F, F, [](F a, F b) { return Divide<rounding>(a, b); }>();
  t["rcp" + modifier + ".f32"] = Unary<F, F, [](F a) { return Divide<rounding>(1.0f, a); }>();
  t["sqrt" + modifier + ".f32"] = Unary<F, F, [](F a) { return SquareRoot<rounding>(a); }>();
}

// The approximations of real devices differ between them. Here each is the exact value rounded once, which lies within
// every documented error bound; .ftz takes subnormal operands and results for zeros of their sign.
template <auto F>
void AddApproximation(Table& t, const std::string& root) {
  t[root + ".approx.f32"] =
      Unary<float, float, [](float a) { return Canonical(static_cast<float>(F(static_cast<double>(a)))); }>();
  t[root + ".approx.ftz.f32"] = Unary<float, float, [](float a) {
    return Flush(Canonical(static_cast<float>(F(static_cast<double>(Flush(a))))));
  }>();
}

void AddDouble(Table& t) {
  using F = double;
  for (const char* modifier : {"", ".rn"}) {
    const std::string end = std::string(modifier) + ".f64";
    t["add" + end] = Binary<F, F, F, [](F a, F b) { return Canonical(a + b); }>();
    t["sub" + end] = Binary<F, F, F, [](F a, F b) { return Canonical(a - b); }>();
    t["mul" + end] = Binary<F, F, F, [](F a, F b) { return Canonical(a * b); }>();
  }
  t["fma.rn.f64"] = t["mad.rn.f64"] = Ternary<F, F, F, F, [](F a, F b, F c) { return Canonical(std::fma(a, b, c)); }>();
  t["div.rn.f64"] = Binary<F, F, F, [](F a, F b) { return Canonical(a / b); }>();
  t["rcp.rn.f64"] = Unary<F, F, [](F a) { return Canonical(1 / a); }>();
  t["sqrt.rn.f64"] = Unary<F, F, [](F a) { return Canonical(std::sqrt(a)); }>();
}

template <class F, class Bits>
void AddSigns(Table& t, const std::string& type) {
  constexpr Bits kSign = Bits{1} << (8 * sizeof(Bits) - 1);
  t["neg." + type] = Unary<Bits, Bits, [](Bits a) { return a ^ kSign; }>();
  t["abs." + type] = Unary<Bits, Bits, [](Bits a) { return a & ~kSign; }>();
  t["copysign." + type] = Binary<Bits, Bits, Bits, [](Bits a, Bits b) { return (b & ~kSign) | (a & kSign); }>();
  t["max." + type] = Binary<F, F, F, Extreme<F, true, false>>();
  t["min." + type] = Binary<F, F, F, Extreme<F, false, false>>();
  if (sizeof(F) == 4) {
    t["max.NaN." + type] = Binary<F, F, F, Extreme<F, true, true>>();
    t["min.NaN." + type] = Binary<F, F, F, Extreme<F, false, true>>();
  }
}

template <class F, auto condition>
Choice Test() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            auto a = w.R<F>(op.a);
            SetPredicate(w, op.d, lanes, Ballot(lanes, [&](int lane) { return condition(a[lane]); }));
          },
          {'p', Width<F>()}};
}

template <class F>
void AddTests(Table& t, const std::string& type) {
  t["testp.finite." + type] = Test<F, [](F x) { return std::isfinite(x); }>();
  t["testp.infinite." + type] = Test<F, [](F x) { return std::isinf(x); }>();
  t["testp.number." + type] = Test<F, [](F x) { return x == x; }>();
  t["testp.notanumber." + type] = Test<F, [](F x) { return x != x; }>();
  t["testp.normal." + type] = Test<F, [](F x) { return std::isnormal(x); }>();
  t["testp.subnormal." + type] = Test<F, [](F x) { return std::fpclassify(x) == FP_SUBNORMAL; }>();
}

}  // namespace

void AddFloat(Table& t) {
  AddRounded<Rounding::kNearest>(t, "");
  AddRounded<Rounding::kNearest>(t, ".rn");
  AddRounded<Rounding::kZero>(t, ".rz");
  AddRounded<Rounding::kDown>(t, ".rm");
  AddRounded<Rounding::kUp>(t, ".rp");
  AddApproximation<[](double a) { return std::exp2(a); }>(t, "ex2");
  AddApproximation<[](double a) { return std::log2(a); }>(t, "lg2");
  AddApproximation<[](double a) { return 1 / a; }>(t, "rcp");
  AddApproximation<[](double a) { return std::sqrt(a); }>(t, "sqrt");
  AddApproximation<[](double a) { return 1 / std::sqrt(a); }>(t, "rsqrt");
  AddDouble(t);
  AddSigns<float, uint32_t>(t, "f32");
  AddSigns<double, uint64_t>(t, "f64");
  AddTests<float>(t, "f32");
  AddTests<double>(t, "f64");
}

}  // namespace fire::simulator
