"""Mutations of kernels/device/sort.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/sort.cuh",
        (
            "sort-without-its-last-merge",
            "a list whose length is a power of two",
            "run <= count; run *= 2",
            "run < count; run *= 2",
        ),
        (
            "every-run-downwards",
            "runs that are merged",
            "== ((first & run) == 0)) values",
            "== true) values",
        ),
        (
            "half-the-exchanges",
            "lists that are longer than a block",
            "i < count / 2; i += blockDim.x",
            "i < min(count / 2, blockDim.x); i += blockDim.x",
        ),
    ),
    *without(
        "kernels/device/sort.cuh",
        (
            "exchanges-not-awaited",
            "values are exchanged before the last round is done",
            "      __syncthreads();  // the last round's exchanges are done; else a value is lost\n",
        ),
        (
            "sorted-not-awaited",
            "values are read before they are in their place",
            "  __syncthreads();  // the last round is done; else a value is read before it is in its place\n",
        ),
    ),
]
