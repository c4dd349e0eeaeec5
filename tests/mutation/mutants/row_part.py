"""Mutations of kernels/device/row_part.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row_part.cuh",
        (
            "row-offset-in-32-bits",
            "rows more than 2^32 elements apart",
            "(batch.logits) + row * batch.row_stride",
            "(batch.logits) + static_cast<int32_t>(row * batch.row_stride)",
        ),
        logits="bfloat16",
        tests="CudaLayout.RowsMoreThanTwoToThe32ElementsApartAreFound",
    ),
    *in_file(
        "kernels/device/row_part.cuh",
        (
            "head-read-as-whole-vector",
            "memory before an unaligned row is read",
            "shape.full_begin = shape.before != 0;",
            "shape.full_begin = 0;",
        ),
        (
            "tail-read-as-whole-vector",
            "memory after the row is read",
            "shape.full_end = (shape.before + vocabulary) / Logit::kPerVector;",
            "shape.full_end = vectors;",
        ),
        (
            "tail-one-element-too-long",
            "the element after the row is read",
            "at - shape_.before >= shape_.vocabulary) continue;",
            "at - shape_.before > shape_.vocabulary) continue;",
        ),
        (
            "parts-rounded-down",
            "the last vectors of a row belong to no block",
            "(ShiftRoundingUp(vectors, geometry.block_bits) + 31) / 32 * 32",
            "((vectors >> geometry.block_bits) + 31) / 32 * 32",
        ),
        (
            "rest-of-a-run-cut-short",
            "vectors behind a run's last whole tile, of a row that is kept",
            "(stop - index + 31) / 32",
            "(stop - index) / 32",
        ),
        (
            "runs-rounded-down",
            "the last vectors of a part belong to no warp",
            "ShiftRoundingUp(shape.end - shape.begin, geometry.warp_bits);",
            "(shape.end - shape.begin) >> geometry.warp_bits;",
        ),
        (
            "first-ids-wrap",
            "ids of an unaligned row's first vector wrap below 0",
            "return {max(first, shape_.before) - shape_.before,",
            "return {first - shape_.before,",
        ),
        (
            "loop-leaves-out-the-tail",
            "the last vector of an unaligned row is not visited",
            "const uint32_t count = head + end - rest;",
            "const uint32_t count = head + stop - rest;",
        ),
        (
            "head-one-too-long",
            "the first vector after an unaligned row's head is visited twice",
            "const uint32_t at = i < head ? begin + i",
            "const uint32_t at = i <= head ? begin + i",
        ),
        (
            "resident-part-misplaced",
            "a later block's elements are looked for beyond its part",
            "(resident_) + shape_.before - shape_.begin * Logit::kPerVector",
            "(resident_) + shape_.before",
        ),
        (
            "one-id-too-many",
            "the filler after the row counts as a token",
            "if (id < shape_.vocabulary) visit(",
            "if (id <= shape_.vocabulary) visit(",
        ),
    ),
]
