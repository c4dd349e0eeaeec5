"""Mutations of kernels/device/source.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/source.cuh",
        (
            "last-kept-token-excluded",
            "the rule's last token",
            "if (Entry(key, id) < rule.last) return false;",
            "if (Entry(key, id) <= rule.last) return false;",
        ),
        (
            "counted-token-excluded",
            "the rule's last token where tokens are counted",
            "return Entry(key, id) >= rule.last;",
            "return Entry(key, id) > rule.last;",
        ),
        (
            "owner-in-the-wrong-block",
            "which block holds the part that a draw falls on",
            "owner.index / warps != team_.rank",
            "owner.index % team_.blocks != team_.rank",
        ),
        (
            "draw-on-the-edge",
            "the token before the one that the draw falls on",
            "entry == 0 && own > left",
            "entry == 0 && own >= left",
        ),
        (
            "part-masses-misplaced",
            "parts' masses where nobody looks for them",
            "team_.rank * (blockDim.x / 32) + threadIdx.x / 32;",
            "team_.rank * kMostWarps + threadIdx.x / 32;",
        ),
    ),
    *without(
        "kernels/device/source.cuh",
        (
            "part-sums-not-awaited",
            "parts' sums are searched before they are there",
            "        team_.Sync();  // every part's sum is there\n",
        ),
        (
            "entry-not-awaited-by-its-block",
            "the drawn token is read before it is there",
            "      __syncthreads();  // the entry is there for the block\n",
        ),
        (
            "entry-not-awaited",
            "the found token is read before it is there",
            "      team_.Sync();  // the entry is there for all\n",
        ),
    ),
]
