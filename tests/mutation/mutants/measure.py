"""Mutations of kernels/device/measure.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/measure.cuh",
        (
            "last-kept-token-excluded",
            "the rule's last token",
            "    if (Entry(key, id) < rule.last) return false;\n",
            "    if (Entry(key, id) <= rule.last) return false;\n",
        ),
        (
            "counted-token-excluded",
            "the rule's last token where tokens are counted",
            "return Entry(key, id) >= rule.last;",
            "return Entry(key, id) > rule.last;",
        ),
        (
            "fast-loops-keep-all-equals",
            "which of the last token's equals a loop over the row keeps",
            "return x >= last && (x > last || id <= last_id);",
            "return x >= last;",
        ),
        (
            "fast-loops-lose-the-last",
            "the rule's last token in a loop over the row",
            "id <= last_id",
            "id < last_id",
        ),
        (
            "min-p-loosened-in-the-row",
            "min-p's threshold where a loop over the row weighs",
            "return power >= min_power ? power : 0;",
            "return power;",
        ),
        (
            "nan-weighs-in-its-run",
            "a draw from a run with a NaN",
            "return x >= last && (x > last || id <= last_id);",
            "return !(x < last) && (!(x <= last) || id <= last_id);",
        ),
        (
            "part-masses-misplaced",
            "parts' masses where nobody looks for them",
            "part = team.rank * (blockDim.x / 32) + thread / 32;",
            "part = team.rank * kMostWarps + thread / 32;",
        ),
    ),
]
