"""Why a mutation that no test catches does no harm, or what else would find it."""

SURVIVORS: dict[str, str] = {
    "sum-overwrites-the-last": "does no harm. Every caller of BlockSum has a barrier between the sum before "
    "and this one; the barrier within spares callers to know that.",
    "joint-top-p-within-top-k": "does no harm. The mass that top-p aims at is the whole row's either way; sought "
    "within top-k, its last token is the same where it lies there, and where it does not, top-k's last token "
    "decides.",
}
