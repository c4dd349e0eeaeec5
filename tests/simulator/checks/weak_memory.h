// Weak memory: plain stores wait here until their thread orders them, or until a seeded delay has passed. The thread
// itself sees them at once.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/simulator/machine/warp.h"

namespace fire::simulator {

class StoreBuffer {
 public:
  StoreBuffer(Cluster& cluster, size_t warps) : cluster_(cluster), stores_(warps) {}

  bool Pending(const Warp& w) const { return !stores_[w.cluster_index].empty(); }
  void Push(Warp& w, int lane, uint8_t* to, const uint8_t* data, uint32_t bytes);
  // Lays the lane's own stores over what memory holds.
  void Forward(const Warp& w, int lane, const uint8_t* from, uint32_t bytes, uint8_t* out) const;
  void Flush(const Warp& w, uint32_t lanes);  // in program order
  // Before an atomic or strong access: the lane's stores to the same bytes.
  void FlushOverlap(const Warp& w, int lane, const uint8_t* at, uint32_t bytes);
  void Expire();  // of all warps, those whose delay has passed
  void FlushAll();

 private:
  struct Pended {
    int lane;
    uint32_t bytes;
    uint8_t* to;
    uint64_t due;
    uint8_t data[32];
  };
  Cluster& cluster_;
  std::vector<std::vector<Pended>> stores_;  // by warp of the cluster
};

}  // namespace fire::simulator
