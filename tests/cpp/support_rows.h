// Rows, supports and tokens that look for trouble, for comparing a backend's support_log_prob with the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cpu_backend_rows.h"
#include "definition/support_reference.h"

namespace fire::test {

// Valid ones: of every kind of size, from wherever in the row, with or without places behind.
inline std::vector<int32_t> TroublesomeSupport(Random& random, uint32_t vocabulary) {
  std::vector<int32_t> ids;
  const uint32_t kind = random.Below(8);
  const double share = kind == 0 ? 0.0 : kind == 1 ? 1.0 : kind == 2 ? 0.5 : 8.0 / vocabulary;
  if (kind == 3) {
    ids.push_back(static_cast<int32_t>(random.Below(vocabulary)));  // one token
  } else {
    for (uint32_t id = 0; id < vocabulary; ++id)
      if (random.Uniform() < share) ids.push_back(static_cast<int32_t>(id));
  }
  const size_t places = random.Below(2) == 0 ? 0 : 1 + random.Below(2 * vocabulary);
  ids.resize(std::max<size_t>(ids.size() + places, 1), -1);
  return ids;
}

inline float TroublesomeSupportTemperature(Random& random) {
  switch (random.Below(8)) {
    case 0:
    case 1:
      return 1.0f;
    case 2:
      return random.Below(2) == 0 ? 0x1p-64f : 0x1p121f;  // the lowest; infinite
    case 3:
      return FloatOf(static_cast<uint32_t>(random.Bits()) % 0x60000000u + 0x1F800000u);  // any that is valid
    default:
      return static_cast<float>(std::pow(10.0, random.Uniform() * 4 - 2));
  }
}

// Mostly of the support; now and then anywhere, or nowhere.
inline int64_t TroublesomeToken(Random& random, const std::vector<int32_t>& support, uint32_t vocabulary) {
  const int32_t id = support[random.Below(static_cast<uint32_t>(support.size()))];
  if (id >= 0 && random.Below(4) != 0) return id;
  if (random.Below(8) == 0) return static_cast<int64_t>(random.Bits());
  return static_cast<int64_t>(random.Below(vocabulary + 2)) - 1;
}

inline float TroublesomeGrad(Random& random) {
  switch (random.Below(6)) {
    case 0:
      return 0.0f;
    case 1:
      return random.Below(2) == 0 ? 1e30f : -1e-38f;
    default:
      return static_cast<float>(random.Bell());
  }
}

// A row of support_log_prob with the reference's words on it.
struct SupportCase {
  SupportCase(Random& random, uint32_t vocabulary, LogitsType type)
      : row(TroublesomeRow(random, vocabulary), type),
        support(TroublesomeSupport(random, vocabulary)),
        token(TroublesomeToken(random, support, vocabulary)),
        temperature(TroublesomeSupportTemperature(random)),
        grad(TroublesomeGrad(random)),
        full_grad(TroublesomeGrad(random)),
        reference(row.values(), token, support, temperature) {}

  std::string Describe() const {
    return std::to_string(row.size()) + " logits of type " + std::to_string(static_cast<int>(row.type())) +
           ", support of " + std::to_string(support.size()) + " places, token " + std::to_string(token) + ", T " +
           std::to_string(temperature) + ", grad " + std::to_string(grad) + ", full_grad " + std::to_string(full_grad);
  }

  // The gradient in the row's own type, rounded once.
  TypedRow Gradient() const { return TypedRow(reference.Gradient(grad, full_grad), row.type()); }

  TypedRow row;
  std::vector<int32_t> support;
  int64_t token;
  float temperature, grad, full_grad;
  definition::SupportReferenceRow reference;
};

}  // namespace fire::test
