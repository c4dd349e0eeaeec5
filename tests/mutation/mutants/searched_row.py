"""Mutations of kernels/device/searched_row.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/searched_row.cuh",
        (
            "window-kept-whole",
            "what a search lists beyond its end is weighed with what is kept",
            "measure(key, id));\n      });\n      __syncthreads();  // the sums of this",
            "measure.OfKey(key));\n      });\n      __syncthreads();  // the sums of this",
        ),
        (
            "equals-of-all-parts-kept",
            "how many of the equals of each part are kept",
            "(before < kept ? min(own, kept - before) : 0)",
            "own",
        ),
        (
            "runs-without-equals-left-out",
            "tokens above the equals, in a run beyond the last of those",
            " || storage_.part_within[own] != 0;",
            ";",
        ),
        (
            "others-entries-overwrite-the-leaders",
            "top-k's tokens of several blocks in one list",
            "ptx::Push(&storage_.list[before + i], 0, storage_.list[i]);",
            "ptx::Push(&storage_.list[i], 0, storage_.list[i]);",
        ),
    ),
]
