"""Mutations of csrc/definition/philox.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/philox.h",
        (
            "draw-takes-the-last-words",
            "which words of Philox a draw takes",
            "(static_cast<uint64_t>(block.word[1]) << 32) | block.word[0]",
            "(static_cast<uint64_t>(block.word[3]) << 32) | block.word[2]",
        ),
        (
            "counter-words-swapped",
            "the order of the step's words in the counter",
            "static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream",
            "static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(counter), stream",
        ),
    ),
]
