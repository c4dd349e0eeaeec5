"""Mutations of kernels/device/support.cuh."""

from mutations import Mutation, in_file, without

FILE = "kernels/device/support.cuh"

MUTATIONS: list[Mutation] = [
    *in_file(
        FILE,
        (
            "support-leaves-early",
            "a block leaves while its peers still need it",
            "geometry);\n    if (IsListed() && !this->row_.team().IsLeader()) return;",
            "geometry);\n    if (!this->row_.team().IsLeader()) return;",
        ),
        (
            "cut-at-the-width",
            "a kept set of as many tokens as places",
            "CountKept() > Width();",
            "CountKept() >= Width();",
        ),
        (
            "cut-of-certain-tokens",
            "the status of a place that is taken from a large kept set",
            "const bool is_cut = !HasOneToken() && ",
            "const bool is_cut = ",
        ),
        (
            "cut-untold",
            "the status of a cut support",
            "is_cut ? kStatusSupportCut : 0",
            "0",
        ),
        (
            "drawn-token-cut-away",
            "the place of a drawn token beyond the cut",
            "return entry == storage_.outcome.drawn || Counts()",
            "return Counts()",
        ),
        (
            "drawn-token-in-one-place-too-many",
            "a cut whose last place the drawn token takes",
            "places + 2 > Width(); --places",
            "places + 1 > Width(); --places",
        ),
        (
            "cut-one-early",
            "the last place of a cut support",
            "EntryAt(places - 1);",
            "EntryAt(places > 1 ? places - 2 : 0);",
        ),
        (
            "drawn-token-last-of-the-cut",
            "a drawn token that is the last with a place",
            "if (storage_.outcome.drawn >= last) break;",
            "if (storage_.outcome.drawn > last) break;",
        ),
        (
            "equals-of-any-key",
            "the last place among tokens of one key",
            "    measure.only_key = top_key - storage_.in.low;\n    return",
            "    return",
        ),
        (
            "places-before-the-key-uncounted",
            "the last place among tokens of one key",
            "FindInIdOrder(measure, place - storage_.in.before, false)",
            "FindInIdOrder(measure, place, false)",
        ),
        (
            "cut-runs-not-counted-again",
            "where each run begins in a cut support",
            "    if (!IsListed()) CountRuns();\n",
            "",
        ),
        (
            "list-in-any-order",
            "the order of a longer list",
            "    SortDescending(to, places, uint64_t{0xFFFFFFFFu});\n",
            "",
        ),
        (
            "list-by-order-of-tokens",
            "the order of a longer list",
            "SortDescending(to, places, uint64_t{0xFFFFFFFFu});",
            "SortDescending(to, places, ~uint64_t{0});",
        ),
        (
            "cut-list-taken-as-sorted",
            "a short list that is cut",
            "WriteListed(storage_.is_sorted != 0 && !is_cut);",
            "WriteListed(storage_.is_sorted != 0);",
        ),
        (
            "runs-all-begin-at-first-place",
            "where a warp's run begins in the support",
            "for (uint32_t i = lane; i < own; i += 32)",
            "for (uint32_t i = lane; i < 0; i += 32)",
        ),
        (
            "drawn-token-before-a-run-uncounted",
            "runs behind a drawn token beyond the cut",
            " + (is_uncounted && IdOf(drawn) < ids.begin);",
            ";",
        ),
        (
            "a-lane-counts-itself",
            "the place of a token among its warp's",
            "__popc(with_place & ((1u << lane) - 1))",
            "__popc(with_place & ((2u << lane) - 1))",
        ),
        (
            "drawn-token-not-among-the-count",
            "the places behind a cut support",
            "RowMass(0, storage_)) + is_uncounted;",
            "RowMass(0, storage_));",
        ),
        (
            "places-behind-of-a-warp",
            "the places behind a support in a row of several blocks",
            "PutNone(count, team.rank * blockDim.x + threadIdx.x, team.blocks * blockDim.x);",
            "PutNone(count, team.rank * blockDim.x + threadIdx.x, 2 * team.blocks * blockDim.x);",
        ),
        (
            "support-of-the-first-row",
            "the supports of more than one row",
            "const int64_t at = this->row_.row() * support_.width + place;",
            "const int64_t at = place;",
        ),
        (
            "places-behind-kept-as-they-were",
            "the places behind a support",
            "      support_.token[row + place] = -1;\n",
            "",
        ),
        (
            "nothing-is-certain-behind",
            "the log-probability of the places behind",
            "support_.logprob[row + place] = -INFINITY;",
            "support_.logprob[row + place] = 0.0f;",
        ),
        (
            "support-before-prior-kernels",
            "logits are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n",
            "",
        ),
    ),
    *without(
        FILE,
        (
            "kept-count-not-awaited",
            "some threads count a kept set that others have counted",
            "      __syncthreads();  // the count is written; else some threads count again\n",
        ),
        (
            "tightened-rule-not-awaited",
            "some threads keep by the rule from before the cut",
            "    __syncthreads();  // the rule is written; else some threads keep by the older one\n",
        ),
        (
            "reset-not-awaited",
            "entries are counted before the count is reset",
            "    __syncthreads();  // the count is reset; else entries are lost\n",
        ),
        (
            "entries-not-awaited",
            "the list is sorted before it is complete",
            "    __syncthreads();  // every entry is there; else some are left out\n",
        ),
    ),
]
