"""Mutations of csrc/definition/heat.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/heat.h",
        (
            "heated-rows-keep-min-p",
            "min-p of rows that the engine filters itself",
            "  phase.min_p = 0.0f;\n",
            "",
        ),
    ),
]
