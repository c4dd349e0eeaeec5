"""Mutations of kernels/device/ptx.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/ptx.cuh",
        (
            "lone-block-is-not-the-leader",
            "where there are no clusters nobody writes a row's result",
            "#else\n  return 0;\n",
            "#else\n  return 1;\n",
        ),
        architecture=80,
    ),
]
