// atom and red. Atomic on the host too: clusters run on several host threads.
#include <algorithm>
#include <map>

#include "tests/simulator/checks/weak_memory.h"
#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/instructions/rounding.h"
#include "tests/simulator/machine/memory.h"

namespace fire::simulator {
namespace {

template <class T, auto F>
void Atomic(Warp& w, const Op& op, uint32_t lanes) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>>;
  Access access;
  Resolve(w, op, lanes, sizeof(T), access);
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    if (access.space[lane] != Space::kGlobal && access.space[lane] != Space::kShared) {
      throw Fault{Finding::kInvalid, lane, "an atomic operation on memory that is neither global nor shared"};
    }
  }
  if (w.observed) {
    OrderBefore(w, op, access, true);
    Observe(w, op, access, Touch::kAtomic);
  }
  auto b = w.R<T>(op.b);
  for (uint32_t left = lanes; left; left &= left - 1) {
    const int lane = std::countr_zero(left);
    Bits* at = reinterpret_cast<Bits*>(access.host[lane]);
    const T c = op.c == kNone ? T{} : w.R<T>(op.c)[lane];
    Bits old = __atomic_load_n(at, __ATOMIC_RELAXED), next;
    do {
      next = std::bit_cast<Bits>(static_cast<T>(F(std::bit_cast<T>(old), b[lane], c)));
    } while (!__atomic_compare_exchange_n(at, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (op.d != kNone) w.R<T>(op.d).Set(lane, std::bit_cast<T>(old));
  }
  if (w.observed) OrderAfter(w, op, access);
}

using Atomics = std::map<std::pair<std::string, std::string>, Execute>;

template <class T>
void AddIntegers(Atomics& t, const std::string& type) {
  using U = std::make_unsigned_t<T>;
  t[{"add", type}] = Atomic<T, [](T a, T b, T) { return U(a) + U(b); }>;
  t[{"min", type}] = Atomic<T, [](T a, T b, T) { return a < b ? a : b; }>;
  t[{"max", type}] = Atomic<T, [](T a, T b, T) { return a < b ? b : a; }>;
}

template <class T>
void AddBits(Atomics& t, const std::string& type) {
  t[{"and", type}] = Atomic<T, [](T a, T b, T) { return a & b; }>;
  t[{"or", type}] = Atomic<T, [](T a, T b, T) { return a | b; }>;
  t[{"xor", type}] = Atomic<T, [](T a, T b, T) { return a ^ b; }>;
  t[{"exch", type}] = Atomic<T, [](T, T b, T) { return b; }>;
  t[{"cas", type}] = Atomic<T, [](T a, T b, T c) { return a == b ? c : a; }>;
}

}  // namespace

Execute FindAtomic(const std::string& operation, const std::string& type) {
  static const Atomics table = [] {
    Atomics t;
    AddIntegers<uint32_t>(t, "u32");
    AddIntegers<int32_t>(t, "s32");
    AddIntegers<uint64_t>(t, "u64");
    AddIntegers<int64_t>(t, "s64");
    AddBits<uint32_t>(t, "b32");
    AddBits<uint64_t>(t, "b64");
    t[{"cas", "b16"}] = Atomic<uint16_t, [](uint16_t a, uint16_t b, uint16_t c) { return a == b ? c : a; }>;
    t[{"inc", "u32"}] = Atomic<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return a >= b ? 0 : a + 1; }>;
    t[{"dec", "u32"}] = Atomic<uint32_t, [](uint32_t a, uint32_t b, uint32_t) { return a == 0 || b < a ? b : a - 1; }>;
    t[{"add", "f32"}] = Atomic<float, [](float a, float b, float) { return Canonical(a + b); }>;
    t[{"add", "f64"}] = Atomic<double, [](double a, double b, double) { return Canonical(a + b); }>;
    return t;
  }();
  const auto found = table.find({operation, type});
  return found == table.end() ? nullptr : found->second;
}

}  // namespace fire::simulator
