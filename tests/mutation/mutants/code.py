"""Mutations of csrc/definition/code.h, and of the division that it needs."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/code.h",
        ("code-refreshed-by-its-draw", "the counter word of fresh bits", "kCodeWord - member", "member"),
        (
            "code-of-no-group-has-a-member",
            "the fresh bits without a design",
            "DesignOf(record) == Design::kNone ? 0 : MemberOf(record).index",
            "MemberOf(record).index",
        ),
        (
            "code-not-refreshed",
            "the fresh bits of a code",
            "used + MulHigh64(fresh_bits, mass)",
            "used + 0 * fresh_bits",
        ),
        ("code-refreshed-without-carry", "the carry of a code's sum", "rest + (low < used ? 1 : 0)", "rest"),
    ),
    *in_file(
        "csrc/definition/bits.h",
        (
            "wide-division-of-equals",
            "a wide division's last subtraction",
            "if (high >= divisor) {",
            "if (high > divisor) {",
        ),
    ),
]
