"""Mutations of kernels/device/row_tokens.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row_tokens.cuh",
        (
            "owner-in-the-wrong-block",
            "which block holds the part that a draw falls on",
            "if (part.found && owner.block == team().rank)",
            "if (part.found && owner.warp % team().blocks == team().rank)",
        ),
        (
            "entry-told-to-the-leader-alone",
            "a searched row's token, or the last of equals, that all blocks need",
            "last = kStays ? first : team().blocks - 1;",
            "last = first;",
        ),
        (
            "entry-of-a-run-told-to-all",
            "a block's member overwrites what another block has found",
            "NarrowRun<true>(",
            "NarrowRun<false>(",
        ),
        (
            "larger-ones-among-the-last-equals",
            "equals are sought among what is larger",
            "return x <= largest && fast.Keeps(x, id) ? amount : 0;",
            "return fast.Keeps(x, id) ? amount : 0;",
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
            "part-sums-not-awaited",
            "parts' sums are searched before they are there",
            "    team().Sync();  // every part's sum is pushed; else the point falls into the wrong part\n",
        ),
    ),
]
