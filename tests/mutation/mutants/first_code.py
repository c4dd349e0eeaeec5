"""Mutations of kernels/first_code.cu."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/first_code.cu",
        (
            "codes-of-the-first-rows",
            "more rows than a block has threads",
            "int64_t{blockIdx.x} * blockDim.x + threadIdx.x",
            "threadIdx.x",
        ),
        (
            "codes-of-one-record",
            "the record of each row",
            "ReadRecord(batch, definition::SlotOf(batch, row).index)",
            "batch.records[0]",
        ),
    ),
]
