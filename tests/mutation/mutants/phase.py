"""Mutations of csrc/definition/phase.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/phase.h",
        (
            "one-hot-step-too-many",
            "the step after the last hot one",
            "step < begin + record.hot_steps",
            "step <= begin + record.hot_steps",
        ),
    ),
]
