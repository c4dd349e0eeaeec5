"""Mutations of kernels/device/maxima.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/maxima.cuh",
        (
            "maximum-of-half-a-warp",
            "maxima of half of the lanes",
            "max(of_lower, of_upper);",
            "of_lower;",
        ),
        (
            "delegates-overlap",
            "the four delegates of a thread overwrite its neighbours'",
            "&storage.delegate[first_lane * 4 + i]",
            "&storage.delegate[first_lane + i]",
        ),
        (
            "nan-of-block-0-only",
            "a NaN in another block's part",
            "threadIdx.x % 32 < team.blocks && storage.block_has_nan[threadIdx.x % 32] != 0",
            "storage.block_has_nan[0] != 0",
        ),
        (
            "delegates-of-overlapping-parts",
            "one token stands for two",
            "for (uint32_t distance = 1; distance < group; distance *= 2)",
            "for (uint32_t distance = 1; distance <= min(group, 16u); distance *= 2)",
        ),
    ),
]
