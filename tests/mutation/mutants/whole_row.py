"""Mutations of kernels/device/whole_row.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/whole_row.cuh",
        (
            "whole-row-of-the-wrong-block",
            "which block holds the part that a draw falls on",
            "owner.block != storage_.part.rank) return false;",
            "owner.block != 0) return false;",
        ),
        (
            "point-of-the-whole-row-in-a-run",
            "what lies before the run that a point falls on",
            "point - part.before);",
            "point);",
        ),
        (
            "nan-drawn-from-a-whole-row",
            "a NaN is drawn",
            "definition::IsNanBits(__float_as_uint(x)) ? 0 : FastWeight(x, scale);",
            "FastWeight(x, scale);",
        ),
        (
            "row-ends-unweighed",
            "logits of vectors that reach beyond the row",
            "sum += Exactly(definition::Key(x), id);",
            "sum += 0;",
        ),
    ),
    *in_file(
        "kernels/device/whole_row.cuh",
        (
            "fast-weights-of-any-row",
            "a scale for which fast weights are not exact",
            "return scale_.is_exact;",
            "return true;",
        ),
        logits="bfloat16",
        tests="CudaOutputs.Every*",
    ),
    *in_file(
        "kernels/device/whole_row.cuh",
        (
            "code-without-its-rest",
            "where in its token's share a code lay",
            "      storage_.found_rest = found.rest;\n",
            "",
        ),
        tests="*Codes*/float32*:CudaCodes.*",
    ),
    *without(
        "kernels/device/whole_row.cuh",
        (
            "whole-outcome-not-awaited",
            "the token is written before it is found",
            "    __syncwarp();  // the lane that found it has written the outcome; "
            "else another reads an older one\n",
        ),
        logits="bfloat16",
        tests="CudaOutputs.Every*",
    ),
]
