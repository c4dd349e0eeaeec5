"""Mutations of kernels/device/logits.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/logits.cuh",
        (
            "comparison-drops-nan",
            "a candidate beside a NaN is lost",
            "return !(__uint_as_float(a) < __uint_as_float(b));",
            "return __uint_as_float(a) >= __uint_as_float(b);",
        ),
    ),
    *in_file(
        "kernels/device/logits.cuh",
        (
            "upper-half-not-compared",
            "without the packed comparison, candidates in odd places are lost",
            "return !(Value(a, 0) < Value(b, 0)) || !(Value(a, 1) < Value(b, 1));",
            "return !(Value(a, 0) < Value(b, 0));",
        ),
        logits="bfloat16",
        architecture=80,
    ),
]
