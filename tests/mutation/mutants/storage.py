"""Mutations of kernels/storage.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/storage.h",
        (
            "inbox-one-block-short",
            "the last block's inbox overlaps the resident part",
            "(cluster - 1) * InboxCapacity(cluster)",
            "(cluster - 2) * InboxCapacity(cluster)",
        ),
    ),
]
