"""Mutations of kernels/device/kept_row.cuh."""

from mutations import Mutation, in_file, without

# Rows whose list is shortened, to be sorted.
SUPPORTS = "*/Supports.*/float32Times700:*/Supports.*/float32Times5000"

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/kept_row.cuh",
        (
            "reference-scale-taken-for-known",
            "the mass at another temperature",
            "wants_mass && ReferenceHasRowsScale(settings());",
            "wants_mass;",
        ),
        (
            "reference-not-weighed-where-the-row-was",
            "the reference's mass at another temperature, of a nucleus that is not resident",
            "wants_reference = wants_reference && !ReferenceHasRowsScale(settings());",
            "wants_reference = false;",
        ),
        (
            "first-of-one-block",
            "the first of equals that several blocks hold",
            "return ReduceTeam(first, Greater(), TokensInQuestion().team(), storage_);",
            "return ReduceBlock(first, Greater(), storage_);",
        ),
        (
            "rank-of-a-masked-row",
            "every token reaches −inf",
            "maximum() == -INFINITY ? storage_.part.vocabulary : 0;",
            "0;",
        ),
        (
            "row-not-read-again",
            "a streamed row whose pivot does not serve",
            "if (told != kFellShort) {",
            "if (true) {",
        ),
        (
            "short-list-of-any-length",
            "more equals than the short list has room for",
            "return storage_.entry_count <= kShortList ? storage_.entry_count : 0;",
            "return storage_.entry_count;",
        ),
    ),
    *without(
        "kernels/device/kept_row.cuh",
        (
            "masses-not-awaited",
            "an unfiltered row's point is sought before all masses are there",
            "            team.Sync();  // every block's masses are pushed; "
            "else the point falls into the wrong part\n",
        ),
        (
            "short-list-not-awaited",
            "the short list is read before it is there",
            "    __syncthreads();  // every entry is in the short list; "
            "else threads see different lengths of it\n",
        ),
    ),
    *in_file(
        "kernels/device/kept_row.cuh",
        (
            "short-list-without-its-last",
            "candidates in the last bin",
            "KeyOf(entry))) > last) continue;",
            "KeyOf(entry))) >= last) continue;",
        ),
        (
            "short-list-one-token-short",
            "the k-th token of a shortened list",
            "static_cast<uint32_t>(settings().phase.top_k)).bin",
            "static_cast<uint32_t>(settings().phase.top_k - 1)).bin",
        ),
        (
            "short-list-of-any-mass",
            "the end of a nucleus in a shortened list",
            "definition::TopPTarget(settings().phase.top_p, row_mass)).bin;",
            "definition::TopPTarget(settings().phase.top_p, row_mass) / 2).bin;",
        ),
        (
            "short-list-always-trusted",
            "tokens that min-p may yet let into top-k, shortened away",
            "!HoldsAllThatPass(bins.LowerEdge(last), bins.UpperEdgeOfNext(last), maximum(), settings()))",
            "false)",
        ),
        tests=SUPPORTS,
    ),
    *without(
        "kernels/device/kept_row.cuh",
        (
            "short-list-counted-too-soon",
            "entries are appended before the last bin is known and the counter cleared",
            "    __syncthreads();  // the last bin is written, the short list empty; else entries are lost\n",
        ),
        (
            "short-list-binned-too-late",
            "the last bin is sought while candidates are still put into bins",
            "    __syncthreads();  // every candidate is in its bin; else the list is cut short\n",
        ),
        tests=SUPPORTS,
    ),
]
