"""Why a mutation that no test catches does no harm, or what else would find it."""

SURVIVORS: dict[str, str] = {
    "sum-overwrites-the-last": "does no harm. Every caller of OfBlock has a barrier between the sum before "
    "and this one; the barrier within spares callers to know that.",
}
