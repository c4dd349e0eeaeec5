"""Mutations of kernels/device/row.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row.cuh",
        (
            "reference-scale-taken-for-known",
            "the mass at another temperature",
            "wants_mass && scale.slope == setup().slope && scale.floor == setup().floor;",
            "wants_mass;",
        ),
        (
            "verdict-for-the-leader-only",
            "a peer never learns that the list suffices",
            "if (threadIdx.x < team().blocks) ptx::Push(&storage_.nucleus_is_listed,",
            "if (threadIdx.x < 1) ptx::Push(&storage_.nucleus_is_listed,",
        ),
        (
            "first-of-one-block",
            "the first of equals that several blocks hold",
            "return IsListed() ? first : TeamMax(first);",
            "return first;",
        ),
        (
            "short-list-without-its-last",
            "candidates equal to the least",
            "if (KeyOf(entry) < least_key) continue;",
            "if (KeyOf(entry) <= least_key) continue;",
        ),
        (
            "rank-of-a-masked-row",
            "every token reaches −inf",
            "maximum() == -INFINITY ? storage_.part.vocabulary : 0;",
            "0;",
        ),
    ),
    *without(
        "kernels/device/row.cuh",
        (
            "candidates-not-awaited",
            "the inbox is read before it is there",
            "    team().Sync();  // counts, candidates and masses are there\n",
        ),
        (
            "verdict-not-awaited",
            "the verdict is read before it is there",
            "    team().Sync();  // the verdict is there\n",
        ),
        (
            "team-maximum-not-awaited",
            "blocks' firsts are compared before all are there",
            "    team().Sync();  // every block's maximum is there\n",
        ),
        (
            "short-list-counted-too-soon",
            "entries are appended before the counter is cleared",
            "    __syncthreads();  // no entry is in the short list\n",
        ),
    ),
]
