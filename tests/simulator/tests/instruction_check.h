// Runs one PTX instruction on the simulated device over every combination of its operands' edge cases, and compares
// each result with plain C++.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <vector>

namespace fire::simulator {

struct Nothing {};  // the type of an operand the instruction does not have

template <class T>
std::vector<T> EdgeCases() {
  if constexpr (std::is_same_v<T, Nothing>) {
    return {{}};
  } else if constexpr (std::is_floating_point_v<T>) {
    using L = std::numeric_limits<T>;
    return {T(0),
            -T(0),
            L::denorm_min(),
            -L::denorm_min(),
            L::min() / 2,
            L::min(),
            -L::min(),
            T(0.25),
            T(0.5),
            T(-0.5),
            T(1) - L::epsilon(),
            T(1),
            T(-1),
            T(1.5),
            T(2.5),
            T(-2.5),
            T(3.75),
            T(-126.3),
            T(255.5),
            T(65519.5),
            T(2147483648.),
            T(-3e9),
            T(4294967296.),
            T(1.8446744e19),
            T(-1e30),
            L::max(),
            -L::max(),
            L::infinity(),
            -L::infinity(),
            L::quiet_NaN()};
  } else {
    using U = std::make_unsigned_t<T>;
    constexpr U kTop = U(1) << (8 * sizeof(T) - 1);
    std::vector<T> cases;
    for (const U value : {U(0),
                          U(1),
                          U(2),
                          U(3),
                          U(7),
                          U(15),
                          U(16),
                          U(31),
                          U(32),
                          U(33),
                          U(63),
                          U(64),
                          U(255),
                          U(0x1234),
                          U(0x89abcdef01234567),
                          U(0x5555555555555555),
                          U(kTop - 1),
                          kTop,
                          U(kTop + 1),
                          U(~U(0) - 1),
                          U(~U(0))}) {
      cases.push_back(static_cast<T>(value));
    }
    return cases;
  }
}

template <class T>
bool SameBits(T x, T y) {
  return std::memcmp(&x, &y, sizeof x) == 0;
}

// PTX does not say which NaN; C++ does not either.
template <class T>
bool SameResult(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  }
  return SameBits(x, y);
}

template <class T>
uint64_t Bits(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class Op>
__global__ void Apply(const typename Op::A* a, const typename Op::B* b, const typename Op::C* c,
                      typename Op::Result* result, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) result[i] = Op::Device(a[i], b[i], c[i]);
}

template <class T>
T* ToDevice(const std::vector<T>& values) {
  T* device = nullptr;
  EXPECT_EQ(cudaMalloc(&device, values.size() * sizeof(T)), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(device, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
  return device;
}

template <class Op>
void CheckInstruction() {
  using Result = typename Op::Result;
  std::vector<typename Op::A> a;
  std::vector<typename Op::B> b;
  std::vector<typename Op::C> c;
  for (const auto& x : EdgeCases<typename Op::A>()) {
    for (const auto& y : EdgeCases<typename Op::B>()) {
      for (const auto& z : EdgeCases<typename Op::C>()) {
        a.push_back(x);
        b.push_back(y);
        c.push_back(z);
      }
    }
  }
  const int count = static_cast<int>(a.size());
  std::vector<Result> result(a.size());
  auto* device_a = ToDevice(a);
  auto* device_b = ToDevice(b);
  auto* device_c = ToDevice(c);
  auto* device_result = ToDevice(result);
  Apply<Op><<<(count + 255) / 256, 256>>>(device_a, device_b, device_c, device_result, count);
  ASSERT_EQ(cudaMemcpy(result.data(), device_result, sizeof(Result) * a.size(), cudaMemcpyDeviceToHost), cudaSuccess)
      << Op::kText;
  cudaFree(device_a);
  cudaFree(device_b);
  cudaFree(device_c);
  cudaFree(device_result);
  int wrong = 0;
  for (int i = 0; i < count && wrong < 5; ++i) {
    const Result expected = Op::Host(a[i], b[i], c[i]);
    if (SameResult(result[i], expected)) continue;
    ++wrong;
    ADD_FAILURE() << Op::kText << std::hex << "  of " << Bits(a[i]) << ", " << Bits(b[i]) << ", " << Bits(c[i])
                  << " gave " << Bits(result[i]) << ", in C++ " << Bits(expected);
  }
}

using InstructionCheck = void (*)();
inline std::vector<InstructionCheck>& InstructionChecks() {
  static std::vector<InstructionCheck> checks;
  return checks;
}

}  // namespace fire::simulator

// name, PTX, result, operands (each a type and its letter in an asm statement), and what it gives, in C++ of a, b, c.
#define FIRE_INSTRUCTION(Name, Text, R, TA, TB, TC, Asm, Expected)                                      \
  struct Name {                                                                                         \
    using Result = R;                                                                                   \
    using A = TA;                                                                                       \
    using B = TB;                                                                                       \
    using C = TC;                                                                                       \
    static constexpr const char* kText = Text;                                                          \
    static __device__ Result Device([[maybe_unused]] A a, [[maybe_unused]] B b, [[maybe_unused]] C c) { \
      Result result;                                                                                    \
      Asm;                                                                                              \
      return result;                                                                                    \
    }                                                                                                   \
    static Result Host([[maybe_unused]] A a, [[maybe_unused]] B b, [[maybe_unused]] C c) {              \
      return static_cast<Result>(Expected);                                                             \
    }                                                                                                   \
  };                                                                                                    \
  [[maybe_unused]] static const bool k##Name##Listed =                                                  \
      (::fire::simulator::InstructionChecks().push_back(&::fire::simulator::CheckInstruction<Name>), true);
#define UNARY(Name, Text, R, r, A, a_, Expected)                                             \
  FIRE_INSTRUCTION(Name, Text, R, A, ::fire::simulator::Nothing, ::fire::simulator::Nothing, \
                   asm volatile(Text                                                         \
                                : "=" r(result)                                              \
                                : a_(a)),                                                    \
                   Expected)
#define BINARY(Name, Text, R, r, A, a_, B, b_, Expected)            \
  FIRE_INSTRUCTION(Name, Text, R, A, B, ::fire::simulator::Nothing, \
                   asm volatile(Text                                \
                                : "=" r(result)                     \
                                : a_(a), b_(b)),                    \
                   Expected)
#define TERNARY(Name, Text, R, r, A, a_, B, b_, C, c_, Expected) \
  FIRE_INSTRUCTION(Name, Text, R, A, B, C, asm volatile(Text : "=" r(result) : a_(a), b_(b), c_(c)), Expected)
