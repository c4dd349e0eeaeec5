"""Mutations of kernels/device/distance_bins.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/distance_bins.cuh",
        (
            "vectors-taken-for-the-next-ones",
            "which of its bins a lane finds enough at",
            "(vector - shift) % 4;",
            "(vector + shift) % 4;",
        ),
        (
            "vectors-summed-out-of-order",
            "what a lane counts up to each four of its bins",
            "first + (by_two ? d : b)",
            "first + (by_two ? b : d)",
        ),
        (
            "bin-ends-too-high",
            "a bin's end is above what is in it",
            "Edge(bin, 0.51f); }",
            "Edge(bin, 0.0f); }",
        ),
        (
            "enough-one-bin-early",
            "the bin before the one with enough",
            "{.bin = owner * kOfLane + at,",
            "{.bin = owner * kOfLane + (at > 0 ? at - 1 : 0),",
        ),
    ),
    *in_file(
        "kernels/device/distance_bins.cuh",
        (
            "bins-of-a-lane-counted-twice",
            "which of its bins a lane has added already",
            "(i + lane) % kVectors",
            "min(i + lane % kVectors, kVectors - 1)",
        ),
        tests="*/Supports.*/float32Times700:*/Supports.*/float32Times5000",
    ),
]
