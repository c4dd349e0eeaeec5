"""Mutations of kernels/device/run_search.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/run_search.cuh",
        (
            "shares-rounded-down",
            "the last vectors of a run belong to no warp's share",
            "ShiftRoundingUp(left.end - left.begin, Log2(blockDim.x / 32));",
            "(left.end - left.begin) >> Log2(blockDim.x / 32);",
        ),
        (
            "share-counts-from-the-runs-start",
            "what was measured before a warp's share",
            ".rest = rest - at.before, .is_odd = is_odd};",
            ".rest = rest, .is_odd = is_odd};",
        ),
        (
            "rounds-share-their-sums",
            "a warp's sum is overwritten while it is read",
            "left.is_odd ^ 1;",
            "left.is_odd;",
        ),
        (
            "run-of-more-than-a-half-a-lane",
            "the end of a run of which no lane looks",
            "while (left.end - left.begin > 16) {",
            "while (left.end - left.begin > 32) {",
        ),
        (
            "point-on-the-edge-of-a-half",
            "which of two lanes has the token",
            "before <= target && before + own > target,",
            "before < target && before + own >= target,",
        ),
        (
            "half-ends-at-its-first",
            "which logit of a lane is the token",
            "found.rest >= amount[i]) found.rest -= amount[i], ++found.id;",
            "found.rest > amount[i]) found.rest -= amount[i], ++found.id;",
        ),
        (
            "ids-before-the-row",
            "what a row's first and last vectors hold beside it",
            "const bool is_there = first + i - ids.begin < ids.end - ids.begin;",
            "const bool is_there = true;",
        ),
        (
            "one-by-one-from-the-start",
            "what was weighed of the logits before, where no fast weight holds",
            "      found.rest -= __shfl_sync(~0u, running, 31);\n",
            "",
        ),
    ),
    *without(
        "kernels/device/run_search.cuh",
        (
            "shares-not-awaited",
            "the warps' sums are read before they are there",
            "      __syncthreads();  // every warp's sum is written, and "
            "what was read of the sums before last is; else shares differ\n",
        ),
        (
            "run-not-awaited",
            "a run is summed before it is known",
            "    __syncwarp();  // the run is written; else some lanes sum what is left of an older one\n",
        ),
        (
            "share-not-awaited",
            "a share of a run is summed before it is known",
            "      __syncwarp();  // the share is written; else some lanes sum what was left before\n",
        ),
        (
            "share-taken-too-soon",
            "what is left changes under who still reads it",
            "      __syncwarp();  // all lanes have read what was left; "
            "else they share out what is left of that\n",
        ),
    ),
]
