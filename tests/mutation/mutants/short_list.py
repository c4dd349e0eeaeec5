"""Mutations of kernels/device/short_list.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rank-counts-itself",
            "every rank is one too high",
            "if (other > entry) sum += value;",
            "if (other >= entry) sum += value;",
        ),
        (
            "k-plus-one-tokens",
            "the token after the k-th",
            "bool in_prefix = passes_min_p && rank < phase.top_k;",
            "bool in_prefix = passes_min_p && rank <= phase.top_k;",
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
            "place == definition::PlaceOf(settings.record, kept);",
            "place == definition::PlaceOf(settings.record, count);",
        ),
        (
            "place-among-what-min-p-refuses",
            "a place counts the kept tokens alone",
            "place += other > entry && value != 0;",
            "place += other > entry;",
        ),
        (
            "draw-counts-itself",
            "the mass before a token in id order",
            "IdOf(other) < IdOf(entry)) before",
            "IdOf(other) <= IdOf(entry)) before",
        ),
        (
            "draw-at-a-boundary-lost",
            "a draw exactly where a token's share begins",
            "is_drawn = rest < weight;",
            "is_drawn = rest - 1 < weight;",
        ),
        (
            "rank-without-equals",
            "the rank of a token with equals",
            "reaching += KeyOf(other) >= KeyOf(entry);",
            "reaching += KeyOf(other) > KeyOf(entry);",
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
            "max(32 - __clz(count - 1), 2);",
            "max(31 - __clz(count - 1), 2);",
        ),
        (
            "sharers-of-several-warps",
            "few candidates, each shared by more than a warp",
            "min(place_bits - 2, 31 - __clz(blockDim.x) - place_bits);",
            "31 - __clz(blockDim.x) - place_bits;",
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
            "every-sharer-counts",
            "the number of tokens kept",
            "__syncthreads_count(is_kept && share.sharer == 0);",
            "__syncthreads_count(is_kept);",
        ),
    ),
    # What only a group asks for.
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "sorted-without-weightless",
            "a kept token that weighs nothing, in a sorted kept set",
            "is_kept ? counted : 0;",
            "is_kept && weight != 0 ? counted : 0;",
        ),
        (
            "sorted-places-by-order",
            "the order in which a sorted kept set is drawn from",
            "if (kSorts) place = CountIn(before_in_id_order);",
            "if (kSorts) place = rank;",
        ),
        (
            "sorted-mass-before-each",
            "the mass up to a token of a sorted kept set, with its own",
            "running = before_in_id_order + weight;",
            "running = before_in_id_order;",
        ),
        (
            "sorted-ranks-without-equals",
            "the rank of a token of a sorted kept set that has equals",
            "storage.sorted.rank[place] = reaching;",
            "storage.sorted.rank[place] = rank + 1;",
        ),
        (
            "sorted-mass-with-places",
            "the mass of a sorted kept set",
            "mass = share.Sum(mass) >> kPlaceBits;",
            "mass = share.Sum(mass);",
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
            "kth-entry-left-over",
            "fewer than k tokens are alive, and an old k-th entry is there",
            "  if (threadIdx.x == 0) storage.boundary_entry = 0;\n",
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
            "  __syncthreads();  // outcome and sorted kept set are written; "
            "else others read what an earlier stage or row left\n",
        ),
        tests="CudaGroups.*:*Groups*/float32Times*700",
    ),
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rest-of-the-whole-point",
            "the next code of a row with few candidates",
            "storage.found_rest = rest;",
            "storage.found_rest = definition::DrawPoint(settings.draw_bits, mass);",
        ),
        tests="*Codes*/float32*:CudaCodes.*",
    ),
]
