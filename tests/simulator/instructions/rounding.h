// Floating point as PTX defines it: one rounding, in the direction the instruction names, to float or to 16 bits.
//
// An exact result is carried as a double rounded to odd: where the double cannot hold it, the last bit is set, so that
// one more rounding to at most 51 bits, in any direction, gives what rounding the exact result would have given.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fire::simulator {

enum class Rounding { kNearest, kZero, kDown, kUp };

constexpr uint32_t kNanFloat = 0x7fffffff;
constexpr uint16_t kNanHalf = 0x7fff;

inline float Canonical(float x) { return x == x ? x : std::bit_cast<float>(kNanFloat); }
inline double Canonical(double x) { return x == x ? x : std::bit_cast<double>(0x7fffffffffffffffull); }

// The double nearest to odd of x + error, where x is the double nearest to the sum.
inline double ToOdd(double x, double error) {
  if (error == 0 || !std::isfinite(x)) return x;
  uint64_t bits = std::bit_cast<uint64_t>(x);
  if (bits & 1) return x;
  const bool away = (error > 0) == (x > 0);
  return std::bit_cast<double>(away ? bits + 1 : bits - 1);
}

// a + b, exact products of floats or floats themselves.
inline double AddToOdd(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return ToOdd(sum, (a - (sum - part)) + (b - part));
}

inline float RoundToFloat(double x, Rounding rounding) {
  float nearest = static_cast<float>(x);
  if (rounding == Rounding::kNearest || x != x || static_cast<double>(nearest) == x) return Canonical(nearest);
  const bool above = static_cast<double>(nearest) > x;  // an infinity compares right too
  const bool negative = x < 0;
  const bool want_below = rounding == Rounding::kDown || (rounding == Rounding::kZero && !negative);
  const float infinity = std::numeric_limits<float>::infinity();
  if (above && want_below) return std::nextafterf(nearest, -infinity);
  if (!above && !want_below) return std::nextafterf(nearest, infinity);
  return nearest;
}

// The sign of an exact zero sum of unlike signs is minus when rounding down.
inline double ZeroSign(double sum, double a, double b, Rounding rounding) {
  return rounding == Rounding::kDown && sum == 0 && (std::signbit(a) || std::signbit(b)) ? -0.0 : sum;
}

template <Rounding rounding>
float Add(float a, float b) {
  if constexpr (rounding == Rounding::kNearest) return Canonical(a + b);
  return RoundToFloat(ZeroSign(AddToOdd(a, b), a, b, rounding), rounding);
}

template <Rounding rounding>
float Multiply(float a, float b) {
  if constexpr (rounding == Rounding::kNearest) return Canonical(a * b);
  return RoundToFloat(static_cast<double>(a) * b, rounding);
}

template <Rounding rounding>
float MultiplyAdd(float a, float b, float c) {
  const double product = static_cast<double>(a) * b;
  return RoundToFloat(ZeroSign(AddToOdd(product, c), product, c, rounding), rounding);
}

template <Rounding rounding>
float Divide(float a, float b) {
  if constexpr (rounding == Rounding::kNearest) return Canonical(a / b);
  const double quotient = static_cast<double>(a) / b;
  if (!std::isfinite(quotient) || quotient == 0) return RoundToFloat(quotient, rounding);
  return RoundToFloat(ToOdd(quotient, std::fma(-quotient, b, a) / b), rounding);
}

template <Rounding rounding>
float SquareRoot(float a) {
  const double root = std::sqrt(static_cast<double>(a));
  if (!std::isfinite(root) || root == 0) return RoundToFloat(root, rounding);
  return RoundToFloat(ToOdd(root, std::fma(-root, root, a)), rounding);
}

// The 16-bit formats: kFraction stored bits, exponents from kLowest (of the smallest normal number).
struct Half {
  static constexpr int kFraction = 10, kLowest = -14;
};
struct Brain {
  static constexpr int kFraction = 7, kLowest = -126;
};

template <class Format>
uint16_t Encode(double x, Rounding rounding) {
  if (x != x) return kNanHalf;
  constexpr uint16_t kInfinity = static_cast<uint16_t>(((1u << (15 - Format::kFraction)) - 1) << Format::kFraction);
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::fabs(x);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | kInfinity;
  const int exponent = std::max(std::ilogb(magnitude), Format::kLowest);
  const double scaled = std::ldexp(magnitude, Format::kFraction - exponent);  // in units of the last place
  double whole = std::floor(scaled);
  const double rest = scaled - whole;
  bool up = false;
  if (rounding == Rounding::kNearest) up = rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2) != 0);
  if (rounding == Rounding::kUp) up = rest > 0 && !sign;
  if (rounding == Rounding::kDown) up = rest > 0 && sign;
  if (up) whole += 1;
  // A carry out of the fraction moves on to the exponent by itself.
  const int64_t bits =
      static_cast<int64_t>(whole) + (static_cast<int64_t>(exponent - Format::kLowest) << Format::kFraction);
  if (bits >= kInfinity) {
    const bool to_infinity =
        rounding == Rounding::kNearest || (rounding == Rounding::kUp && !sign) || (rounding == Rounding::kDown && sign);
    return sign | static_cast<uint16_t>(to_infinity ? kInfinity : kInfinity - 1);
  }
  return sign | static_cast<uint16_t>(bits);
}

template <class Format>
double Decode(uint16_t bits) {
  if constexpr (Format::kFraction == Brain::kFraction) return std::bit_cast<float>(uint32_t{bits} << 16);
  constexpr int kTop = (1 << (15 - Format::kFraction)) - 1;
  const int exponent = bits >> Format::kFraction & kTop, fraction = bits & ((1 << Format::kFraction) - 1);
  double magnitude;
  if (exponent == kTop) {
    magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(fraction, Format::kLowest - Format::kFraction);
  } else {
    magnitude = std::ldexp(fraction + (1 << Format::kFraction), exponent - 1 + Format::kLowest - Format::kFraction);
  }
  return bits & 0x8000 ? -magnitude : magnitude;
}

// max and min: a NaN gives way to a number unless `propagate`; +0 is above -0.
template <class T, bool maximum, bool propagate>
T Extreme(T a, T b) {
  if (a != a || b != b) {
    if (propagate || (a != a && b != b)) return Canonical(std::numeric_limits<T>::quiet_NaN());
    return a != a ? b : a;
  }
  if (a == b) return std::signbit(a) == maximum ? b : a;
  return (a > b) == maximum ? a : b;
}

}  // namespace fire::simulator
