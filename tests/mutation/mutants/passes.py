"""Mutations of kernels/device/passes.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/passes.cuh",
        (
            "maximum-passes-over-nan",
            "a NaN goes unseen",
            "m.word[i] = kKeepNan ? Logit::Max(",
            "m.word[i] = kKeepNan ? Logit::MaxNumber(",
        ),
        (
            "resident-copy-beyond-the-run",
            "a warp's filler overwrites the next warp's part",
            "if (kResident && u < count) copy",
            "if (kResident) copy",
        ),
        (
            "vectors-of-a-group-misnumbered",
            "candidates get their neighbours' ids",
            "storage.vector[at] = index + 32 * u;",
            "storage.vector[at] = index + u;",
        ),
        (
            "nan-weighs-as-the-maximum",
            "the mass of rows with NaN",
            "kNan ? Logit::MaxNumber(word, Logit::kMaskedWord) : word, i % Logit::kPerWord",
            "word, i % Logit::kPerWord",
        ),
        (
            "vectors-beyond-their-list",
            "more vectors than the list has room for overwrite what follows it",
            "if (at + count > kVectorCapacity) return false;",
            "if (at + count > 2 * kVectorCapacity) return false;",
        ),
        (
            "appending-stops-too-soon",
            "a list that has room for one vector more",
            "if (at + count > kVectorCapacity) return false;",
            "if (at + count >= kVectorCapacity) return false;",
        ),
    ),
]
