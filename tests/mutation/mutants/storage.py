"""Mutations of kernels/storage.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/storage.h",
        (
            "inbox-one-block-short",
            "the last block's inbox overlaps the resident part",
            "sizeof(ClusterStorage) + cluster * kInboxCapacity",
            "sizeof(ClusterStorage) + (cluster - 1) * kInboxCapacity",
        ),
    ),
]
