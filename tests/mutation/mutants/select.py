"""Mutations of kernels/device/select.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/select.cuh",
        (
            "wrong-half-of-the-keys",
            "on which side of a key the search goes on",
            "      high = middle;\n",
            "      low = middle;\n",
        ),
        (
            "key-that-too-few-reach",
            "which end of the last interval is the answer",
            "  return low;\n",
            "  return high;\n",
        ),
    ),
]
