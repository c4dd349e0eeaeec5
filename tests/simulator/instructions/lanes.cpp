// Instructions across the lanes of a warp. The scheduler has gathered the member mask; `lanes` are all of its members
// that are alive.
#include <algorithm>
#include <map>

#include "tests/simulator/instructions/instructions.h"
#include "tests/simulator/instructions/operations.h"

namespace fire::simulator {
namespace {

enum class Shuffle { kUp, kDown, kButterfly, kIndex };

template <Shuffle mode>
void Shfl(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<uint32_t>(op.a), b = w.R<uint32_t>(op.b), c = w.R<uint32_t>(op.c);
  uint32_t from[kLanes];
  std::memcpy(from, a.p, sizeof from);  // the destination may be the source
  uint32_t inside = 0;
  ForLanes(lanes, [&](int lane) {
    const int clamp = static_cast<int>(c[lane] & 31), segment = static_cast<int>(c[lane] >> 8 & 31);
    const int by = static_cast<int>(b[lane] & 31), base = lane & segment;
    const int limit = base | (clamp & ~segment);
    int source;
    bool in;
    if constexpr (mode == Shuffle::kUp) {
      source = lane - by, in = source >= limit;
    } else if constexpr (mode == Shuffle::kDown) {
      source = lane + by, in = source <= limit;
    } else if constexpr (mode == Shuffle::kButterfly) {
      source = lane ^ by, in = source <= limit;
    } else {
      source = base | (by & ~segment), in = source <= limit;
    }
    if (!in) source = lane;
    if (in) inside |= 1u << lane;
    if (!(lanes >> source & 1)) {
      throw Fault{Finding::kInvalid, lane,
                  "shfl.sync reads lane " + std::to_string(source) + ", which does not take part"};
    }
    if (op.d != kNone) w.R<uint32_t>(op.d).Set(lane, from[source]);
  });
  SetPredicate(w, op.e, lanes, inside);
}

template <int mode>  // 0 ballot, 1 any, 2 all, 3 uni
void Vote(Warp& w, const Op& op, uint32_t lanes) {
  const uint32_t votes = GetPredicate(w, op.a, op.flags & kNegateA) & lanes;
  if constexpr (mode == 0) {
    if (op.d == kNone) return;
    auto d = w.R<uint32_t>(op.d);
    ForLanes(lanes, [&](int lane) { d.Set(lane, votes); });
  } else {
    const bool value = mode == 1 ? votes != 0 : mode == 2 ? votes == lanes : votes == 0 || votes == lanes;
    SetPredicate(w, op.d, lanes, value ? ~0u : 0u);
  }
}

template <class T, bool all>
void Match(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<T>(op.a);
  T value[kLanes];
  ForLanes(lanes, [&](int lane) { value[lane] = a[lane]; });
  uint32_t same[kLanes] = {};
  for (uint32_t left = lanes; left;) {  // once for each value
    const T one = value[std::countr_zero(left)];
    const uint32_t equal = Ballot(left, [&](int lane) { return value[lane] == one; });
    ForLanes(equal, [&](int lane) { same[lane] = equal; });
    left &= ~equal;
  }
  const bool agree = same[std::countr_zero(lanes) & (kLanes - 1)] == lanes;
  if (op.d != kNone) {
    auto d = w.R<uint32_t>(op.d);
    ForLanes(lanes, [&](int lane) { d.Set(lane, all ? (agree ? lanes : 0u) : same[lane]); });
  }
  SetPredicate(w, op.e, lanes, agree ? ~0u : 0u);
}

template <class T, auto F>
void Redux(Warp& w, const Op& op, uint32_t lanes) {
  auto a = w.R<T>(op.a), d = w.R<T>(op.d);
  T value = a[std::countr_zero(lanes)];
  for (uint32_t left = lanes & (lanes - 1); left; left &= left - 1) {
    value = static_cast<T>(F(value, a[std::countr_zero(left)]));
  }
  ForLanes(lanes, [&](int lane) { d.Set(lane, value); });
}

}  // namespace

Execute FindShuffle(const std::string& mode) {
  if (mode == "up") return Shfl<Shuffle::kUp>;
  if (mode == "down") return Shfl<Shuffle::kDown>;
  if (mode == "bfly") return Shfl<Shuffle::kButterfly>;
  if (mode == "idx") return Shfl<Shuffle::kIndex>;
  return nullptr;
}

Execute FindVote(const std::string& mode) {
  if (mode == "ballot") return Vote<0>;
  if (mode == "any") return Vote<1>;
  if (mode == "all") return Vote<2>;
  if (mode == "uni") return Vote<3>;
  return nullptr;
}

Execute FindMatch(const std::string& mode, bool wide) {
  if (mode == "any") return wide ? Match<uint64_t, false> : Match<uint32_t, false>;
  if (mode == "all") return wide ? Match<uint64_t, true> : Match<uint32_t, true>;
  return nullptr;
}

Execute FindRedux(const std::string& operation, const std::string& type) {
  using U = uint32_t;
  using S = int32_t;
  static const std::map<std::pair<std::string, std::string>, Execute> table = {
      {{"add", "u32"}, Redux<U, [](U a, U b) { return a + b; }>},
      {{"add", "s32"}, Redux<U, [](U a, U b) { return a + b; }>},
      {{"min", "u32"}, Redux<U, [](U a, U b) { return std::min(a, b); }>},
      {{"max", "u32"}, Redux<U, [](U a, U b) { return std::max(a, b); }>},
      {{"min", "s32"}, Redux<S, [](S a, S b) { return std::min(a, b); }>},
      {{"max", "s32"}, Redux<S, [](S a, S b) { return std::max(a, b); }>},
      {{"and", "b32"}, Redux<U, [](U a, U b) { return a & b; }>},
      {{"or", "b32"}, Redux<U, [](U a, U b) { return a | b; }>},
      {{"xor", "b32"}, Redux<U, [](U a, U b) { return a ^ b; }>},
  };
  const auto found = table.find({operation, type});
  return found == table.end() ? nullptr : found->second;
}

// Real devices elect the lowest lane of the mask too.
void Elect(Warp& w, const Op& op, uint32_t lanes) {
  const uint32_t leader = static_cast<uint32_t>(std::countr_zero(lanes));
  if (op.d != kNone) {
    auto d = w.R<uint32_t>(op.d);
    ForLanes(lanes, [&](int lane) { d.Set(lane, leader); });
  }
  SetPredicate(w, op.e, lanes, 1u << leader);
}

void ActiveMask(Warp& w, const Op& op, uint32_t lanes) {
  auto d = w.R<uint32_t>(op.d);
  ForLanes(lanes, [&](int lane) { d.Set(lane, lanes); });
}

void ReadClock(Warp& w, const Op& op, uint32_t lanes) {
  const uint64_t clock = w.cluster->clock;
  if (op.flags & kWide) {
    auto d = w.R<uint64_t>(op.d);
    ForLanes(lanes, [&](int lane) { d.Set(lane, clock); });
  } else {
    auto d = w.R<uint32_t>(op.d);
    ForLanes(lanes, [&](int lane) { d.Set(lane, static_cast<uint32_t>(clock)); });
  }
}

void Nothing(Warp&, const Op&, uint32_t) {}

void AwaitPrior(Warp& w, const Op&, uint32_t lanes) { w.unawaiting &= ~lanes; }

void Pack(Warp& w, const Op& op, uint32_t lanes) {
  const int bits = 8 * op.bytes;
  ForLanes(lanes, [&](int lane) {
    uint64_t value = 0;
    for (int i = op.count; i-- > 0;) {
      const uint64_t element = w.R<uint32_t>(op.vector[i])[lane];
      value = value << bits | (element & ((uint64_t{1} << bits) - 1));
    }
    if (op.flags & kWide) {
      w.R<uint64_t>(op.d).Set(lane, value);
    } else {
      w.R<uint32_t>(op.d).Set(lane, static_cast<uint32_t>(value));
    }
  });
}

void Unpack(Warp& w, const Op& op, uint32_t lanes) {
  const int bits = 8 * op.bytes;
  ForLanes(lanes, [&](int lane) {
    uint64_t value = op.flags & kWide ? w.R<uint64_t>(op.a)[lane] : w.R<uint32_t>(op.a)[lane];
    for (int i = 0; i < op.count; ++i, value >>= bits) {
      if (op.vector[i] == kNone) continue;
      w.R<uint32_t>(op.vector[i]).Set(lane, static_cast<uint32_t>(value & ((uint64_t{1} << bits) - 1)));
    }
  });
}

}  // namespace fire::simulator
