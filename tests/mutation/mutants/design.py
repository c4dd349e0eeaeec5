"""Mutations of csrc/definition/design.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/design.h",
        (
            "design-beyond-the-last-is-one",
            "what designs 5 to 7 mean",
            "field > static_cast<uint32_t>(Design::kEnumerated) ? Design::kNone",
            "field > 7 ? Design::kNone",
        ),
        (
            "size-one-short",
            "the size of a group",
            "(record.group & ((1u << kMemberShift) - 1)) + 1",
            "(record.group & ((1u << kMemberShift) - 1)) | 1",
        ),
        (
            "member-not-taken-modulo",
            "a member beyond the size",
            "(record.group >> kMemberShift) % size",
            "record.group >> kMemberShift",
        ),
        (
            "design-none-has-members",
            "that word 15 is ignored without a design",
            "if (design == Design::kNone) return DrawBits(",
            "if (design == Design::kNone && record.group == 0) return DrawBits(",
        ),
        (
            "members-share-their-numbers",
            "the counter word of a member's own number",
            "kFirstMemberWord + member.index",
            "kFirstMemberWord",
        ),
        (
            "first-member-draws-like-no-group",
            "the first counter word of members",
            "kFirstMemberWord = 2",
            "kFirstMemberWord = 0",
        ),
        (
            "designs-beyond-hot-steps",
            "that designs hold in hot steps alone",
            "const bool shares = SharesInterval(design) && IsHot(record, step);",
            "const bool shares = SharesInterval(design);",
        ),
        (
            "turn-from-the-group's-first-words",
            "which words of the group's block turn its strata",
            "static_cast<uint64_t>(group.word[3]) << 32) | group.word[2]",
            "static_cast<uint64_t>(group.word[1]) << 32) | group.word[0]",
        ),
        (
            "strata-not-turned",
            "which stratum a member draws from",
            "(member.index + static_cast<uint32_t>(MulHigh64(turn, member.size))) % member.size",
            "member.index + 0 * static_cast<uint32_t>(turn)",
        ),
        (
            "stratum-beyond-the-last",
            "that strata go round",
            "MulHigh64(turn, member.size))) % member.size",
            "MulHigh64(turn, member.size)))",
        ),
        (
            "lattice-draws-its-own",
            "the number that a lattice's members share",
            "is_lattice ? FirstTwoWords(group) : own",
            "own",
        ),
        (
            "strata-share-a-number",
            "the number of a stratified member",
            "is_lattice ? FirstTwoWords(group) : own",
            "FirstTwoWords(group)",
        ),
        (
            "remainder-of-a-division-lost",
            "the division by a group's size",
            "high = digits % size;",
            "high = 0;",
        ),
        (
            "enumerated-in-every-step",
            "that members are enumerated in hot steps alone",
            "DesignOf(record) == Design::kEnumerated && IsHot(record, step)",
            "DesignOf(record) == Design::kEnumerated",
        ),
        (
            "place-beyond-the-kept",
            "the place of an enumerated member",
            "MemberOf(record).index % kept",
            "MemberOf(record).index",
        ),
    ),
]
