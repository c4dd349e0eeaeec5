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
            "if (kResident && (kCount > 1 || index < run.end)) copy",
            "if (kResident) copy",
        ),
        (
            "vector-list-one-too-long",
            "a vector is written where its index list begins",
            "if (at >= kVectorCapacity) return;",
            "if (at > kVectorCapacity) return;",
        ),
        (
            "vectors-of-a-group-misnumbered",
            "candidates get their neighbours' ids",
            "AppendVector(v[u], index + 32 * u, storage)",
            "AppendVector(v[u], index + u, storage)",
        ),
        (
            "nan-weighs-as-the-maximum",
            "the mass of rows with NaN",
            "kNan ? Logit::MaxNumber(v[u].word[i], Logit::kMaskedWord) : v[u].word[i];",
            "v[u].word[i];",
        ),
    ),
]
