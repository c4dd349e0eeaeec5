"""Mutations of kernels/device/weights.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/weights.cuh",
        (
            "fast-weights-of-huge-logits",
            "logits that the fast weights are not made for",
            "size <= 0x1p60f;",
            "true;",
        ),
        (
            "fast-weights-of-infinite-temperature",
            "slopes that the fast weights are not made for",
            "scale.slope >= 0x1p-120f && ",
            "",
        ),
        (
            "fast-clamp-at-half-the-range",
            "tokens far below the maximum weigh something",
            "const int k = 6 + 127 -",
            "const int k = 5 + 127 -",
        ),
        (
            "weights-rounded-to-nearest",
            "the last bit of a weight",
            "__float2ull_rz(",
            "__float2ull_rn(",
        ),
        (
            "weights-from-none",
            "weights below min-p's in a loop over the row",
            "return Truncated(power >= least ? power : 0);",
            "return Truncated(power);",
        ),
        (
            "weight-of-one-for-both",
            "the second of two logits weighed together",
            "return FastWeight(a, scale) + FastWeight(b, scale);",
            "return FastWeight(a, scale) + FastWeight(a, scale);",
        ),
    ),
    *in_file(
        "kernels/device/weights.cuh",
        (
            "fast-weights-of-long-rows",
            "vocabularies whose weights have fewer bits",
            "scale.bits == 44 && ",
            "",
        ),
        logits="bfloat16",
        tests="LargestVocabulary.*",
    ),
]
