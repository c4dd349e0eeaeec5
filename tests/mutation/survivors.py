"""Why a mutation that no test catches does no harm, or what else would find it."""

SURVIVORS: dict[str, str] = {
    "sum-overwrites-the-last": "does no harm. Every caller of OfBlock has a barrier between the sum before "
    "and this one; the barrier within spares callers to know that.",
    "one-id-too-many": "does no harm. What follows a row in its last vector reads as −inf, which reaches "
    "no pivot.",
    "resident-copy-beyond-the-run": "does no harm. Runs are multiples of 32 vectors but for a part's last, "
    "and a part has room for a multiple of 32.",
}
