// How the draws of one prompt are spread. A record names its design, the group's size and which member it is, and
// a member's 64 random bits follow from that, its seed and its step: no row looks at another.
#pragma once

#include "definition/phase.h"
#include "definition/philox.h"

namespace fire::definition {

FIRE_RULE Design DesignOf(const Record& record) {
  const uint32_t field = (record.flags >> kDesignShift) & kDesignMask;
  return field > static_cast<uint32_t>(Design::kEnumerated) ? Design::kNone : static_cast<Design>(field);
}

struct Member {
  uint32_t index;  // below size
  uint32_t size;   // 1 … 65,536
};

FIRE_RULE Member MemberOf(const Record& record) {
  const uint32_t size = (record.group & ((1u << kMemberShift) - 1)) + 1;
  return {(record.group >> kMemberShift) % size, size};
}

// The record of one member of a group that `record` is drawn for: without a design the members are independent.
FIRE_RULE Record MemberRecord(Record record, uint32_t size, uint32_t member) {
  if (DesignOf(record) == Design::kNone) {
    record.flags &= ~(kDesignMask << kDesignShift);
    record.flags |= static_cast<uint32_t>(Design::kIid) << kDesignShift;
  }
  record.group = (size - 1) | member << kMemberShift;
  return record;
}

// Words of the counter that no two uses share: w = 0 is an ungrouped draw, 1 spreads seeds (SpreadSeed), those
// below kGroupWord refresh codes (code.h).
inline constexpr uint32_t kFirstMemberWord = 2;
inline constexpr uint32_t kGroupWord = 0xFFFFFFFFu;

FIRE_RULE Philox StepBlock(const Record& record, int64_t step, uint32_t w) {
  return StepBlock(SeedOf(record), step, record.stream, w);
}

// floor((high · 2^64 + low) / size) for high < size ≤ 2^16, 16 bits at a time: wider divisions are calls on a GPU.
FIRE_RULE uint64_t DivideBySize(uint32_t high, uint64_t low, uint32_t size) {
  uint64_t quotient = 0;
  for (int shift = 48; shift >= 0; shift -= 16) {
    const uint32_t digits = high << 16 | (static_cast<uint32_t>(low >> shift) & 0xFFFFu);
    quotient = quotient << 16 | digits / size;
    high = digits % size;
  }
  return quotient;
}

// At a hot step the members of a stratified group or a lattice share the unit interval out among them.
FIRE_RULE bool SharesInterval(Design design) { return design == Design::kStratified || design == Design::kLattice; }

// The 64 random bits of a record's draw.
FIRE_RULE uint64_t DrawBits(const Record& record, int64_t step) {
  const Design design = DesignOf(record);
  if (design == Design::kNone) return DrawBits(SeedOf(record), step, record.stream);
  const Member member = MemberOf(record);
  const bool shares = SharesInterval(design) && IsHot(record, step);
  // A lattice has one offset for all of its members.
  const bool is_lattice = shares && design == Design::kLattice;
  const uint64_t own = is_lattice ? 0 : FirstTwoWords(StepBlock(record, step, kFirstMemberWord + member.index));
  if (!shares) return own;
  const Philox group = StepBlock(record, step, kGroupWord);
  const uint64_t turn = (static_cast<uint64_t>(group.word[3]) << 32) | group.word[2];
  const uint32_t stratum = (member.index + static_cast<uint32_t>(MulHigh64(turn, member.size))) % member.size;
  return DivideBySize(stratum, is_lattice ? FirstTwoWords(group) : own, member.size);
}

// Whether nothing is drawn: the member's place in the order of the kept set is its token.
FIRE_RULE bool IsEnumerated(const Record& record, int64_t step) {
  return DesignOf(record) == Design::kEnumerated && IsHot(record, step);
}

// Which token of `kept`, from 0 in their order, an enumerated member takes.
FIRE_RULE uint32_t PlaceOf(const Record& record, uint32_t kept) { return MemberOf(record).index % kept; }

}  // namespace fire::definition
