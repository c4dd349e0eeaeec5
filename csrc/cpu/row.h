// A row as the passes read it: its logits in groups of sixteen, cut into strips (workspace.h).
#pragma once

#include <type_traits>

#include "cpu/workspace.h"
#include "definition/order.h"

namespace fire::cpu::FIRE_ISA {

using definition::Key;
using definition::KeyToFloat;

inline constexpr float kMasked = -__builtin_inff();
inline constexpr float kLowestFinite = -definition::kFloatMax;

template <typename T>
inline float ValueAt(const T* row, uint32_t index) {
  if constexpr (sizeof(T) == 4) {
    float value;
    memcpy(&value, row + index, sizeof value);
    return value;
  } else {
    T half;
    memcpy(&half, row + index, sizeof half);
    if constexpr (std::is_same_v<T, BFloat16>)
      return definition::BitsToFloat(definition::BFloat16ToFloatBits(half.bits));
    else
      return definition::BitsToFloat(definition::Float16ToFloatBits(half.bits));
  }
}

// Rounds to the type of a row: to nearest, even where two are.
inline void Narrow(float value, float* out) { *out = value; }
inline void Narrow(float value, BFloat16* out) { out->bits = definition::FloatToBFloat16(value); }
inline void Narrow(float value, Float16* out) { out->bits = definition::FloatToFloat16(value); }

// Fewer than sixteen logits, the missing lanes −inf: never kept, weight 0.
template <typename T>
inline Floats LoadPartial(const T* p, uint32_t count) {
  alignas(64) float lanes[kLanes];
  for (uint32_t i = 0; i < kLanes; ++i) lanes[i] = i < count ? ValueAt(p, i) : kMasked;
  return Load(lanes);
}

// A row and the way it is cut.
template <typename T>
struct Row {
  const T* logits;
  uint32_t size;
  uint32_t strip_size;
  uint32_t strips;

  Row(const T* logits_in, uint32_t size_in)
      : logits(logits_in), size(size_in), strip_size(StripSize(size_in)), strips((size_in - 1) / strip_size + 1) {}

  uint32_t StripEnd(uint32_t strip) const {
    const uint32_t end = (strip + 1) * strip_size;
    return end < size ? end : size;
  }

  // Sixteen logits from `id` on; lanes past the end of the row are −inf.
  Floats Group(uint32_t id) const {
    return id + kLanes <= size ? Load(logits + id) : LoadPartial(logits + id, size - id);
  }

  // Calls visit(first id, sixteen logits) over one strip, in id order.
  template <typename Visit>
  void ForGroups(uint32_t strip, const Visit& visit) const {
    const uint32_t end = StripEnd(strip);
    uint32_t i = strip * strip_size;
#pragma GCC unroll 4
    for (; i + kLanes <= end; i += kLanes) visit(i, Load(logits + i));
    if (i < end) visit(i, LoadPartial(logits + i, end - i));
  }
};

}  // namespace fire::cpu::FIRE_ISA
