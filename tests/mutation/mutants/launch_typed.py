"""Mutations of kernels/launch_typed.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "later-launches-start-at-row-0",
            "rows beyond one grid are never done",
            "kernel, work, first, static_cast",
            "kernel, work, int64_t{0}, static_cast",
        ),
        (
            "cluster-of-two-not-asked-for",
            "two blocks a row run as two rows",
            "if (plan.cluster > 1) attributes",
            "if (plan.cluster > 2) attributes",
        ),
    ),
]
