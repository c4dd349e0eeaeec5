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
            "for (uint32_t bin = threadIdx.x; bin < kBins; bin += blockDim.x) storage.bin_counts[bin] = 0;",
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
            "team.blocks * (blockDim.x / 64); i += 32) {",
            "team.blocks * (blockDim.x / 64) / 2; i += 32) {",
        ),
        (
            "enough-delegates-taken-for-granted",
            "fewer finite delegates than are wanted",
            "if (at.up_to < wanted) return -definition::kFloatMax;",
            "",
        ),
    ),
]
