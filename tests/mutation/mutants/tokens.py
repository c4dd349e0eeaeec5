"""Mutations of kernels/device/tokens.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/tokens.cuh",
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
            "owner.index / warps != team().rank",
            "owner.index % team().blocks != team().rank",
        ),
        (
            "part-masses-misplaced",
            "parts' masses where nobody looks for them",
            "team.rank * (blockDim.x / 32) + threadIdx.x / 32;",
            "team.rank * kMostWarps + threadIdx.x / 32;",
        ),
        (
            "bin-starts-too-late",
            "the largest keys of the bin that a search ends in",
            "static_cast<float>(bin) - 0.01f",
            "static_cast<float>(bin) + 0.5f",
        ),
        (
            "bin-ends-too-soon",
            "the least keys of the bin that a search ends in",
            "static_cast<float>(bin) + 1.01f",
            "static_cast<float>(bin) + 0.5f",
        ),
        (
            "last-bin-of-one-width",
            "the far end of the row, all in the last bin",
            "  if (bin == kBins - 1) return definition::kMaskedKey + 1;\n",
            "",
        ),
        (
            "bin-overflow-unseen",
            "a bin with more tokens than the list has room for",
            "if (IsList() || storage_.entry_count <= kListCapacity) {",
            "if (true) {",
        ),
        (
            "neighbours-of-the-bin",
            "tokens just beside the bin are measured in it once more",
            " && DistanceBin(key, storage_) == storage_.bin",
            "",
        ),
        (
            "shares-rounded-down",
            "the last ids of a run belong to no warp's share",
            "(ids.end - ids.begin + warps - 1) / warps",
            "(ids.end - ids.begin) / warps",
        ),
        (
            "share-counts-from-the-runs-start",
            "what was measured before a warp's share",
            "      target -= at.before;\n",
            "",
        ),
        (
            "nan-weighs-in-its-run",
            "a draw from a run with a NaN",
            "if (!definition::IsNanBits(__float_as_uint(x))) sum += FastWeight(x, scale);",
            "sum += FastWeight(x, scale);",
        ),
    ),
    *without(
        "kernels/device/tokens.cuh",
        (
            "part-sums-not-awaited",
            "parts' sums are searched before they are there",
            "    team().Sync();  // every part's sum is pushed; else the point falls into the wrong part\n",
        ),
        (
            "entry-not-awaited",
            "the found token is read before it is there",
            "      team().Sync();  // the entry is pushed to all blocks; else they read an older one\n",
        ),
        (
            "bin-not-awaited",
            "tokens are sought in the bin before it is known",
            "    __syncthreads();  // the bin is written and the list empty; "
            "else entries of an older bin are kept, or lost\n",
        ),
    ),
    *without(
        "kernels/device/tokens.cuh",
        (
            "entry-not-awaited-by-its-block",
            "the drawn token is read before it is there",
            "      __syncthreads();  // the entry is written for the block; "
            "else its other threads read an older one\n",
        ),
        logits="bfloat16",
        tests="CudaOutputs.*",
    ),
]
