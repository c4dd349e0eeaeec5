"""Mutations of kernels/device/short_list.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rank-counts-itself",
            "every rank is one too high",
            "ptx::AddWhereGreater(other, entry, value, &sum);",
            "if (other >= entry) sum += value;",
        ),
        (
            "k-plus-one-tokens",
            "the token after the k-th",
            "bool in_prefix = passes_min_p && rank < top_k;",
            "bool in_prefix = passes_min_p && rank <= top_k;",
        ),
        (
            "ties-at-k-dropped",
            "equals of the k-th token",
            "in_prefix = passes_min_p && KeyOf(entry) >= KeyOf(storage.boundary_entry);",
            "in_prefix = passes_min_p && entry >= storage.boundary_entry;",
        ),
        (
            "nucleus-one-token-too-long",
            "a nucleus whose mass is exactly the target",
            "in_prefix = in_prefix && before < target;",
            "in_prefix = in_prefix && before <= target;",
        ),
        (
            "nucleus-ties-dropped",
            "equals of the nucleus's last token",
            "weight >= min_weight && KeyOf(entry) >= KeyOf(storage.boundary_entry);",
            "weight >= min_weight && entry >= storage.boundary_entry;",
        ),
        (
            "min-p-excludes-its-equal",
            "a token of exactly the least weight",
            "bool is_kept = in_prefix && weight >= min_weight;",
            "bool is_kept = in_prefix && weight > min_weight;",
        ),
        (
            "place-among-all-candidates",
            "a place goes round among the kept tokens alone",
            "definition::PlaceOf(storage.settings.record, kept)",
            "definition::PlaceOf(storage.settings.record, storage.state.count)",
        ),
        (
            "place-by-rank",
            "a place goes by the order, whatever min-p has refused first",
            "if (has_candidate) place = larger;",
            "if (has_candidate) place = rank;",
        ),
        (
            "place-weighed",
            "a place counts the kept tokens, whatever they weigh",
            "worth = 1;",
            "worth = weight;",
        ),
        (
            "draw-counts-itself",
            "the mass before a token in id order",
            "ptx::CountWhereLess(IdOf(other), IdOf(entry), &counts);",
            "counts += IdOf(other) <= IdOf(entry);",
        ),
        (
            "draw-at-a-boundary-lost",
            "a draw exactly where a token's share begins",
            "if (running + of_place[i] >= beyond) break;",
            "if (running + of_place[i] > beyond) break;",
        ),
        (
            "rank-without-equals",
            "the rank of a token with equals",
            "if (KeyOf(other) >= KeyOf(entry)) counts += kReaches;",
            "if (KeyOf(other) > KeyOf(entry)) counts += kReaches;",
        ),
        (
            "half-the-sharers-summed",
            "masses that several threads add up",
            "uint32_t distance = sharers / 2; distance > 0",
            "uint32_t distance = sharers / 4; distance > 0",
        ),
        (
            "half-the-places",
            "the later half of the candidates are nobody's",
            "32 - __clz((count - 1) | 3);",
            "31 - __clz((count - 1) | 7);",
        ),
        (
            "sharers-of-several-warps",
            "few candidates, each shared by more than a warp",
            "min(place_bits - 2, 31 - __clz(threads) - place_bits);",
            "31 - __clz(threads) - place_bits;",
        ),
        (
            "short-weights-not-awaited",
            "weights are added before all are there",
            "__syncthreads_count(passes_min_p && share.sharer == 0);",
            "count;",
        ),
        (
            "target-of-the-last-alone",
            "a nucleus's last token, where top-k goes further",
            "(is_last || before + weight >= target)",
            "(is_last || before + weight > target)",
        ),
        (
            "old-entries-behind-the-last",
            "places without a candidate are compared with too",
            "    if (!has_candidate) entries[share.candidate] = 0;\n",
            "",
        ),
        (
            "places-not-awaited",
            "a draw from places that are not all filled",
            "  __syncthreads();  // what is kept is at its place; else the draw misses some\n",
            "",
        ),
        (
            "places-behind-the-last-left",
            "what earlier use left behind the last place is drawn from",
            "by_place.running[share.places + threadIdx.x] = 0;",
            ";",
        ),
        (
            "places-of-no-candidate",
            "what is behind the last candidate is worth nothing",
            "is_kept ? worth << kCountBits | 1 : 0;",
            "is_kept || !has_candidate ? worth << kCountBits | 1 : 0;",
        ),
        (
            "draw-in-no-lane",
            "a draw where a lane's share begins",
            "beyond <= up_to",
            "beyond < up_to",
        ),
        (
            "drawn-token-not-awaited",
            "the token is written by another lane than the outputs",
            "    __syncwarp();  // the token is written; "
            "else the thread that writes the outputs reads an older one\n",
            "",
        ),
    ),
    # What only a group asks for.
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "sorted-without-weightless",
            "a kept token that weighs nothing, in a sorted kept set",
            "is_kept ? worth <<",
            "is_kept && weight != 0 ? worth <<",
        ),
        (
            "sorted-places-by-order",
            "the order in which a sorted kept set is drawn from",
            "has_candidate ? counts % kReaches :",
            "has_candidate ? rank :",
        ),
        (
            "sorted-mass-before-each",
            "the mass up to a token of a sorted kept set, with its own",
            "sorted->running[to] = running >> kCountBits",
            "sorted->running[to] = before >> kCountBits",
        ),
        (
            "sorted-ranks-without-equals",
            "the rank of a token of a sorted kept set that has equals",
            "by_place.rank[place] = counts / kReaches;",
            "by_place.rank[place] = rank + 1;",
        ),
        (
            "sorted-before-all-have-read",
            "a place is overwritten before its lane has read it",
            "    __syncwarp();  // all lanes have read their places; else others' go there\n",
            "",
        ),
        (
            "sorted-mass-with-places",
            "the mass of a sorted kept set",
            "(asks & kAsksPlace) != 0 ? 0 : kept.all >> kCountBits;",
            "(asks & kAsksPlace) != 0 ? 0 : kept.all;",
        ),
        tests="CudaGroups.*:*Groups*/float32Times*700",
    ),
    *without(
        "kernels/device/short_list.cuh",
        (
            "kth-entry-not-awaited",
            "the k-th token is compared with before it is there",
            "    __syncthreads();  // the k-th entry is written, or 0 where there are fewer; "
            "else an older one cuts\n",
        ),
        (
            "nucleus-end-not-awaited",
            "the nucleus's last token is read before it is there",
            "    __syncthreads();  // the nucleus's last token is written; else top-k's k-th ends it\n",
        ),
        (
            "top-k-end-not-awaited",
            "top-k's last token is read before it is there",
            "  __syncthreads();  // the last token of top-k is written; "
            "else an older one ends the kept set\n",
        ),
    ),
    *without(
        "kernels/device/short_list.cuh",
        (
            "sorted-kept-set-not-awaited",
            "a sorted kept set is searched before it is there",
            "  if (kForAll) __syncthreads();  // outcome and sorted kept set are written; "
            "else others read what an earlier stage left\n",
        ),
        tests="CudaGroups.*:*Groups*/float32Times*700",
    ),
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rest-of-the-whole-point",
            "the next code of a row with few candidates",
            "storage.found_rest = target - (running >> kCountBits);",
            "storage.found_rest = target;",
        ),
        tests="*Codes*/float32*:CudaCodes.*",
    ),
]
