"""Mutations of kernels/device/pivot.cuh."""

from mutations import Mutation, in_file, without

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
            ";",
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
    *in_file(
        "kernels/device/pivot.cuh",
        (
            "own-pivots-of-two-blocks",
            "the largest of the blocks' own pivots is the third's",
            "for (uint32_t block = 1; block < team.blocks; ++block) {\n    const uint32_t other",
            "for (uint32_t block = 1; block < min(team.blocks, 2u); ++block) {\n    const uint32_t other",
        ),
        (
            "maxima-not-awaited",
            "parts' maxima are read before they arrive",
            "  team.Wait();  // maxima, delegates and resident parts are written; "
            "else the pivot comes from an older row's\n",
            "  if (team.blocks == 1) team.Wait();\n",
        ),
        (
            "scale-of-no-maximum",
            "the fast weights of a row",
            "MakeFastScale(ScaleAt(maximum, settings));",
            "MakeFastScale(ScaleAt(0.0f, settings));",
        ),
        (
            "min-p-pivot-rounded-up",
            "the direction in which min-p's bound is rounded",
            "fmaxf(pivot, __fadd_rd(maximum, below))",
            "fmaxf(pivot, __fadd_ru(maximum, below))",
        ),
    ),
    *without(
        "kernels/device/pivot.cuh",
        (
            "delegates-not-counted",
            "the pivot is found while delegates are still counted",
            "    __syncthreads();  // the delegates are counted; "
            "else fewer tokens reach the pivot than are wanted\n",
        ),
        (
            "own-pivots-not-awaited",
            "a peer's pivot is read before it is there",
            "  team.Sync();  // every block's pivot is pushed; else blocks filter by different ones\n",
        ),
        (
            "pivot-not-awaited",
            "the pivot is read before it is there",
            "  __syncthreads();  // two warps have written state and pivot; "
            "else the others filter by an older pivot\n",
        ),
    ),
]
