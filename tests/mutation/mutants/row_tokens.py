"""Mutations of kernels/device/row_tokens.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row_tokens.cuh",
        (
            "owner-in-the-wrong-block",
            "which block holds the part that a draw falls on",
            "owner.index / warps != team().rank",
            "owner.index % team().blocks != team().rank",
        ),
        (
            "shares-rounded-down",
            "the last vectors of a run belong to no warp's share",
            "(left.high - left.low + warps - 1) / warps",
            "(left.high - left.low) / warps",
        ),
        (
            "share-counts-from-the-runs-start",
            "what was measured before a warp's share",
            ".before = left.before - at.before, .inside = 0};",
            ".before = left.before, .inside = 0};",
        ),
        (
            "larger-ones-among-equals",
            "equals are counted with what is larger",
            "if (x <= largest && fast.Keeps(x, id)) sum += amount;",
            "if (fast.Keeps(x, id)) sum += amount;",
        ),
    ),
    *without(
        "kernels/device/row_tokens.cuh",
        (
            "run-not-awaited",
            "a run is summed before it is known",
            "    __syncthreads();  // the run is written; "
            "else some threads sum what is left of an older one\n",
        ),
        (
            "share-not-awaited",
            "a share of a run is summed before it is known",
            "      __syncthreads();  // the share is written; else some threads sum what was left before\n",
        ),
        (
            "part-sums-not-awaited",
            "parts' sums are searched before they are there",
            "    team().Sync();  // every part's sum is pushed; else the point falls into the wrong part\n",
        ),
    ),
]
