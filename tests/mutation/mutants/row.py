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
            "first-of-one-block",
            "the first of equals that several blocks hold",
            "return OfTeam(first, Greater(), TokensInQuestion().team(), storage_);",
            "return OfBlock(first, Greater(), storage_);",
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
            "const uint64_t target = by_count ? setup().phase.top_k :",
            "const uint64_t target = by_count ? setup().phase.top_k - 1 :",
        ),
        (
            "short-list-of-any-mass",
            "the end of a nucleus in a shortened list",
            "return (by_count ? reaching : OfWarp(mass, Add())) >= target ? reaching : 0;",
            "return !by_count || reaching >= target ? reaching : 0;",
        ),
        (
            "short-list-always-trusted",
            "tokens that min-p may yet let into top-k, shortened away",
            "!HoldsAllThatPass(definition::KeyToFloat(least_key), maximum(), setup())",
            "false",
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
            "short-list-counted-too-soon",
            "entries are appended before the least key is known and the counter cleared",
            "    __syncthreads();  // the least key is there, and no entry in the short list\n",
        ),
        (
            "short-list-not-awaited",
            "the short list is read before it is there",
            "    __syncthreads();  // the short list is there\n",
        ),
    ),
]
