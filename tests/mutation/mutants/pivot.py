"""Mutations of kernels/device/pivot.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/pivot.cuh",
        (
            "pivot-count-off-by-one",
            "the pivot is one that a token too few reaches",
            "FindEnough(storage.bin_counts, wanted);",
            "FindEnough(storage.bin_counts, wanted - (wanted > 1));",
        ),
        (
            "delegates-in-old-bins",
            "a histogram that nobody emptied",
            "four[i] = {0, 0, 0, 0};",
            "",
        ),
        (
            "pivot-without-the-far-delegates",
            "the least delegate is not among those counted",
            "if (x > -INFINITY) atomicAdd",
            "if (bins.Of(x) < kBins - 1) atomicAdd",
        ),
        (
            "extremes-of-half-the-parts",
            "the maximum is in a part that nobody asked",
            "count = team.blocks * (blockDim.x / 64);",
            "count = team.blocks * (blockDim.x / 64) / 2;",
        ),
        (
            "enough-delegates-taken-for-granted",
            "fewer finite delegates than are wanted",
            "if (at.up_to < wanted) return -definition::kFloatMax;",
            "",
        ),
    ),
]
