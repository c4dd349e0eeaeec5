"""Mutations of kernels/device/tokens.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/tokens.cuh",
        (
            "bin-overflow-unseen",
            "a window with more tokens than the list has room for",
            "if (IsList() || storage_.entry_count <= kListCapacity) {",
            "if (true) {",
        ),
    ),
    *without(
        "kernels/device/tokens.cuh",
        (
            "entry-not-awaited",
            "the found token is read before it is there",
            "    team().Sync();  // the entry is pushed to all blocks; else they read an older one\n",
        ),
    ),
]
