#include "tests/simulator/checks/weak_memory.h"

#include <algorithm>

namespace fire::simulator {
namespace {

bool Overlap(const uint8_t* a, uint32_t a_bytes, const uint8_t* b, uint32_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

// Writes those stores that `leaves` picks, oldest first, and keeps the rest. A store is never overtaken by an older one
// of its thread to the same bytes.
template <class Stores, class F>
void Write(Stores& stores, F leaves) {
  size_t kept = 0;
  for (size_t i = 0; i < stores.size(); ++i) {
    bool now = leaves(stores[i]);
    for (size_t k = 0; now && k < kept; ++k) {
      if (stores[k].lane == stores[i].lane && Overlap(stores[k].to, stores[k].bytes, stores[i].to, stores[i].bytes)) {
        now = false;
      }
    }
    if (now) {
      std::memcpy(stores[i].to, stores[i].data, stores[i].bytes);
    } else {
      if (kept != i) stores[kept] = stores[i];
      ++kept;
    }
  }
  stores.resize(kept);
}

}  // namespace

void StoreBuffer::Push(Warp& w, int lane, uint8_t* to, const uint8_t* data, uint32_t bytes) {
  Pended one{lane, bytes, to, cluster_.clock + 1 + cluster_.Random() % 4096, {}};
  std::memcpy(one.data, data, bytes);
  std::vector<Pended>& stores = stores_[w.cluster_index];
  stores.push_back(one);
  constexpr size_t kCapacity = 2048;  // of a warp; beyond it the oldest half leaves
  if (stores.size() >= kCapacity) {
    const Pended* middle = &stores[kCapacity / 2];
    Write(stores, [&](const Pended& p) { return &p < middle; });
  }
}

void StoreBuffer::Forward(const Warp& w, int lane, const uint8_t* from, uint32_t bytes, uint8_t* out) const {
  for (const Pended& p : stores_[w.cluster_index]) {
    if (p.lane != lane || !Overlap(p.to, p.bytes, from, bytes)) continue;
    const uint8_t* begin = std::max<const uint8_t*>(p.to, from);
    const uint8_t* end = std::min<const uint8_t*>(p.to + p.bytes, from + bytes);
    std::memcpy(out + (begin - from), p.data + (begin - p.to), static_cast<size_t>(end - begin));
  }
}

void StoreBuffer::Flush(const Warp& w, uint32_t lanes) {
  Write(stores_[w.cluster_index], [&](const Pended& p) { return lanes >> p.lane & 1; });
}

void StoreBuffer::FlushOverlap(const Warp& w, int lane, const uint8_t* at, uint32_t bytes) {
  Write(stores_[w.cluster_index], [&](const Pended& p) { return p.lane == lane && Overlap(p.to, p.bytes, at, bytes); });
}

void StoreBuffer::Expire() {
  for (auto& stores : stores_) {
    if (!stores.empty()) Write(stores, [&](const Pended& p) { return p.due <= cluster_.clock; });
  }
}

void StoreBuffer::FlushAll() {
  for (auto& stores : stores_) Write(stores, [](const Pended&) { return true; });
}

}  // namespace fire::simulator
