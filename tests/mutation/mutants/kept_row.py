"""Mutations of kernels/device/kept_row.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/kept_row.cuh",
        (
            "reference-scale-taken-for-known",
            "the mass at another temperature",
            "wants_mass && scale.slope == settings().slope && scale.floor == settings().floor;",
            "wants_mass;",
        ),
        (
            "first-of-one-block",
            "the first of equals that several blocks hold",
            "return ReduceTeam(first, Greater(), TokensInQuestion().team(), storage_);",
            "return ReduceBlock(first, Greater(), storage_);",
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
        (
            "row-not-read-again",
            "a streamed row whose pivot does not serve",
            "if (ListCandidates<kResident, Logit>(shift, team(), storage_)) break;",
            "ListCandidates<kResident, Logit>(shift, team(), storage_);\n      break;",
        ),
        (
            "short-list-of-any-length",
            "more equals than the short list has room for",
            "return storage_.entry_count <= kShortList ? storage_.entry_count : 0;",
            "return storage_.entry_count;",
        ),
        (
            "short-list-one-token-short",
            "the k-th token of a shortened list",
            "by_count ? settings().phase.top_k :",
            "by_count ? settings().phase.top_k - 1 :",
        ),
        (
            "short-list-of-any-mass",
            "the end of a nucleus in a shortened list",
            "return (by_count ? reaching : ReduceWarp(mass, Add())) >= target ? reaching : 0;",
            "return !by_count || reaching >= target ? reaching : 0;",
        ),
        (
            "short-list-always-trusted",
            "tokens that min-p may yet let into top-k, shortened away",
            "!HoldsAllThatPass(definition::KeyToFloat(least_key), maximum(), settings())",
            "false",
        ),
    ),
    *without(
        "kernels/device/kept_row.cuh",
        (
            "candidates-not-awaited",
            "the inbox is read before it is there",
            "    team().Sync();  // every block's counts, candidates and masses are pushed; "
            "else the leader's list lacks some\n",
        ),
        (
            "short-list-counted-too-soon",
            "entries are appended before the least key is known and the counter cleared",
            "    __syncthreads();  // the least key is written, the short list empty; "
            "else entries are lost\n",
        ),
        (
            "short-list-not-awaited",
            "the short list is read before it is there",
            "    __syncthreads();  // every entry is in the short list; "
            "else threads see different lengths of it\n",
        ),
    ),
]
