// Conversions between spaces: windows of the generic address space, and the blocks of a cluster.
#include "tests/simulator/instructions/operations.h"
#include "tests/simulator/machine/memory.h"

namespace fire::simulator {
namespace {

constexpr uint64_t kWindows = uint64_t{3} << 60, kParameterWindow = kWindows;

template <class F>
void Convert(Warp& w, const Op& op, uint32_t lanes, F f) {
  auto d = w.R<uint64_t>(op.d), a = w.R<uint64_t>(op.a);
  ForLanes(lanes, [&](int lane) { d.Set(lane, f(a[lane])); });
}

}  // namespace

void ToShared(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a & ~kWindows; });
}
void FromShared(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a | kSharedWindow; });
}
void ToLocal(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a & ~kWindows; });
}
void FromLocal(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a | kLocalWindow; });
}
void ToParameter(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a & ~kWindows; });
}
void FromParameter(Warp& w, const Op& op, uint32_t lanes) {
  Convert(w, op, lanes, [](uint64_t a) { return a | kParameterWindow; });
}

void IsSpace(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<uint64_t>(op.a);
  const uint64_t window = op.space == Space::kShared      ? kSharedWindow
                          : op.space == Space::kLocal     ? kLocalWindow
                          : op.space == Space::kParameter ? kParameterWindow
                                                          : 0;
  uint32_t in = 0;
  ForLanes(lanes, [&](int lane) { in |= (a[lane] & kWindows) == window ? 1u << lane : 0; });
  w.predicates[op.d] = (w.predicates[op.d] & ~lanes) | in;
}

// The same offset in the shared memory of another block of the cluster.
void MapAddress(Warp& w, const Op& op, uint32_t lanes) {
  auto rank = w.R<uint32_t>(op.b);
  ForLanes(lanes, [&](int lane) {
    if (rank[lane] >= w.cluster->blocks.size()) {
      throw Fault{Finding::kInvalid, lane,
                  "mapa to block " + std::to_string(rank[lane]) + " of a cluster of " +
                      std::to_string(w.cluster->blocks.size())};
    }
    const auto map = [&](uint64_t address) {
      return (address & ~(uint64_t{0xff} << kRankShift)) | uint64_t{rank[lane] + 1} << kRankShift;
    };
    if (op.flags & kWide) {
      w.R<uint64_t>(op.d).Set(lane, map(w.R<uint64_t>(op.a)[lane]));
    } else {
      w.R<uint32_t>(op.d).Set(lane, static_cast<uint32_t>(map(w.R<uint32_t>(op.a)[lane])));
    }
  });
}

void GetRank(Warp& w, const Op& op, uint32_t lanes) {
  auto d = w.R<uint32_t>(op.d);
  ForLanes(lanes, [&](int lane) {
    const uint64_t address = op.flags & kWide ? w.R<uint64_t>(op.a)[lane] : w.R<uint32_t>(op.a)[lane];
    const uint32_t rank = static_cast<uint32_t>(address) >> kRankShift;
    d.Set(lane, rank ? rank - 1 : w.block->rank);
  });
}

}  // namespace fire::simulator
