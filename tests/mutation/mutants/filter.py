"""Mutations of csrc/definition/filter.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/filter.h",
        (
            "min-p-margin-below-reversed",
            "tokens just above min-p's threshold",
            "return {Divide(distance - kMinPMargin,",
            "return {Divide(distance + kMinPMargin,",
        ),
        (
            "min-p-margin-above-reversed",
            "a list trusted just above min-p's threshold",
            ", Divide(distance + kMinPMargin,",
            ", Divide(distance - kMinPMargin,",
        ),
    ),
]
