// Instructions by their full PTX name, and the templates that run one over the lanes of a warp.
#pragma once

#include <string>
#include <type_traits>
#include <unordered_map>

#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

struct Predicate {};  // the type of a predicate operand

// How an instruction runs, and what its operands are, result first: p predicate, w 32-bit row, l 64-bit row, i
// immediate.
struct Choice {
  Execute execute = nullptr;
  char operands[6] = {};
};
using Table = std::unordered_map<std::string, Choice>;

// One function a family of instructions; each adds its own.
void AddInteger(Table& table);
void AddBits(Table& table);
void AddFloat(Table& table);
void AddPacked(Table& table);
void AddConvert(Table& table);
void AddCompare(Table& table);
const Table& Instructions();

template <class T>
constexpr char Width() {
  return std::is_same_v<T, Predicate> ? 'p' : sizeof(T) == 8 ? 'l' : 'w';
}

template <class D, class A, auto F>
Choice Unary() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            auto d = w.R<D>(op.d);
            auto a = w.R<A>(op.a);
            ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<D>(F(a[lane]))); });
          },
          {Width<D>(), Width<A>()}};
}

template <class D, class A, class B, auto F>
Choice Binary() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            auto d = w.R<D>(op.d);
            auto a = w.R<A>(op.a);
            auto b = w.R<B>(op.b);
            ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<D>(F(a[lane], b[lane]))); });
          },
          {Width<D>(), Width<A>(), Width<B>()}};
}

template <class D, class A, class B, class C, auto F>
Choice Ternary() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            auto d = w.R<D>(op.d);
            auto a = w.R<A>(op.a);
            auto b = w.R<B>(op.b);
            auto c = w.R<C>(op.c);
            ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<D>(F(a[lane], b[lane], c[lane]))); });
          },
          {Width<D>(), Width<A>(), Width<B>(), Width<C>()}};
}

template <class D, class A, class B, class C, class E, auto F>
Choice Quaternary() {
  return {[](Warp& w, const Op& op, uint32_t lanes) {
            auto d = w.R<D>(op.d);
            auto a = w.R<A>(op.a);
            auto b = w.R<B>(op.b);
            auto c = w.R<C>(op.c);
            auto f = w.R<E>(op.f);
            ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<D>(F(a[lane], b[lane], c[lane], f[lane]))); });
          },
          {Width<D>(), Width<A>(), Width<B>(), Width<C>(), Width<E>()}};
}

// The lanes' bits of a condition, for all lanes at once.
template <class F>
inline __attribute__((always_inline)) uint32_t Ballot(uint32_t lanes, F condition) {
  uint32_t mask = 0;
  ForLanes(lanes, [&](int lane) { mask |= condition(lane) ? 1u << lane : 0u; });
  return mask;
}

inline void SetPredicate(Warp& w, uint32_t predicate, uint32_t lanes, uint32_t value) {
  if (predicate != kNone) w.predicates[predicate] = (w.predicates[predicate] & ~lanes) | (value & lanes);
}

inline uint32_t GetPredicate(const Warp& w, uint32_t predicate, bool negate) {
  return negate ? ~w.predicates[predicate] : w.predicates[predicate];
}

}  // namespace fire::simulator
