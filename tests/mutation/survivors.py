"""Why a mutation that no test catches does no harm, or what else would find it."""

SURVIVORS: dict[str, str] = {
    "sum-overwrites-the-last": "does no harm. Every caller of OfBlock has a barrier between the sum before "
    "and this one; the barrier within spares callers to know that.",
    "joint-top-p-within-top-k": "does no harm. Top-p aims at the whole row's mass either way. Sought within "
    "top-k, its last token is the same where it lies there; where it does not, that of top-k decides.",
}
