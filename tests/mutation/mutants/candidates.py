"""Mutations of kernels/device/candidates.cuh."""

from mutations import Mutation, in_file, without

SHARE = (
    "  ShareMaxima<Logit>(maxima, has_nan, DelegateCount(storage.setup.pivot_count, team), team, storage);\n"
)

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/candidates.cuh",
        (
            "peers-not-awaited",
            "a block pushes into a peer that may not have started",
            f"  team.AwaitPeers();\n{SHARE}",
            f"{SHARE}  team.AwaitPeers();\n",
        ),
        (
            "setup-not-awaited",
            "setup and shape are read while a warp still writes them",
            "bool has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));  // also",
            "bool has_nan = __any_sync(~0u, HoldsNan<Logit>(maxima));  // also",
        ),
        (
            "whole-row-taken-for-its-prefix",
            "the maximum beside a NaN in the rest",
            "    prefix_shift = 0;\n",
            "",
        ),
        (
            "prefix-split-off-by-one",
            "a vector after the prefix is not filtered",
            "{middle, own.end}};",
            "{middle + 1, own.end}};",
        ),
        (
            "pivot-count-off-by-one",
            "the pivot is one that a token too few reaches",
            "count - 1, count + count / 8 + 8,",
            "count - 2, count - 1,",
        ),
        (
            "pivot-excludes-its-equals",
            "tokens equal to the pivot are lost",
            "if (!(x >= least)) return;",
            "if (!(x > least)) return;",
        ),
        (
            "min-p-pivot-rounded-up",
            "the direction in which min-p's bound is rounded",
            "fmaxf(pivot, __fadd_rd(maximum, setup.min_p_below))",
            "fmaxf(pivot, __fadd_ru(maximum, setup.min_p_below))",
        ),
        (
            "list-always-trusted",
            "tokens below the pivot that min-p may yet let into top-k",
            "  return least >= __fadd_ru(maximum, setup.min_p_above) ||"
            " least <= __fadd_rd(maximum, setup.min_p_below);",
            "  return true;",
        ),
        (
            "inbox-one-too-long",
            "one candidate too many lands in another block's inbox",
            "} else if (at < kInboxCapacity) {",
            "} else if (at <= kInboxCapacity) {",
        ),
        (
            "inbox-overflow-unseen",
            "a block with more candidates than its inbox holds",
            "team.blocks == 1 ? kListCapacity : kInboxCapacity;",
            "kListCapacity;",
        ),
        (
            "vector-overflow-unseen",
            "a block with more vectors than its list holds",
            "fits = storage.vector_count <= kVectorCapacity;",
            "fits = storage.vector_count <= kListCapacity;",
        ),
        (
            "list-overflow-unseen",
            "inboxes that together hold more than the list",
            "of_block == ~0u || count + of_block > kListCapacity",
            "of_block == ~0u",
        ),
        (
            "nan-in-the-rest-unseen",
            "a NaN after the prefix of a streamed row",
            "if (!fits || rest_has_nan) {",
            "if (!fits) {",
        ),
    ),
    *without(
        "kernels/device/candidates.cuh",
        (
            "maxima-not-awaited",
            "parts' maxima are read before they arrive",
            "  team.Sync();  // every part's maximum and all delegates are there, and resident parts too\n",
        ),
        (
            "vectors-not-awaited",
            "vectors are expanded while others still append",
            "    __syncthreads();  // every vector is there\n",
        ),
        (
            "state-replaced-too-soon",
            "the streamed row's state changes under its readers",
            "    __syncthreads();  // every thread has read the state\n",
        ),
        (
            "list-not-awaited",
            "the list's length is read before it is there",
            "  __syncthreads();  // the list and its length are there\n",
        ),
    ),
]
