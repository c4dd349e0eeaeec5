"""Mutations of kernels/device/short_list.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rank-counts-itself",
            "every rank is one too high",
            "if (entries[i] > entry && other",
            "if (entries[i] >= entry && other",
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
            "KeyOf(entry) >= KeyOf(storage.boundary_entry);",
            "entry >= storage.boundary_entry;",
        ),
        (
            "nucleus-one-token-too-long",
            "a nucleus whose mass is exactly the target",
            "in_prefix = in_prefix && before < definition",
            "in_prefix = in_prefix && before <= definition",
        ),
        (
            "nucleus-ties-dropped",
            "equals of the nucleus's last token",
            "LastOfKey(KeyOf(storage.boundary_entry)) : storage.boundary_entry;",
            "storage.boundary_entry : storage.boundary_entry;",
        ),
        (
            "min-p-excludes-its-equal",
            "a token of exactly the least weight",
            "entry >= last && weight >= settings.min_weight;",
            "entry >= last && weight > settings.min_weight;",
        ),
        (
            "place-among-all-candidates",
            "a place goes round among the kept tokens alone",
            "place == definition::PlaceOf(settings.record, kept))",
            "place == definition::PlaceOf(settings.record, count))",
        ),
        (
            "place-among-what-min-p-refuses",
            "a place counts the kept tokens alone",
            "place += entries[i] > entry && storage.short_weight[i] != 0;",
            "place += entries[i] > entry;",
        ),
        (
            "rest-of-the-whole-point",
            "the next code of a row with few candidates",
            "storage.found_rest = point - before_in_id_order;",
            "storage.found_rest = point;",
        ),
        (
            "draw-counts-itself",
            "the mass before a token in id order",
            "< IdOf(entry)) before_in_id_order",
            "<= IdOf(entry)) before_in_id_order",
        ),
        (
            "draw-at-a-boundary-lost",
            "a draw exactly where a token's share begins",
            "before_in_id_order <= point",
            "before_in_id_order < point",
        ),
        (
            "rank-without-equals",
            "the rank of a token with equals",
            "KeyOf(entry) >= KeyOf(drawn));",
            "KeyOf(entry) > KeyOf(drawn));",
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
            "count > 1 ? 32 - __clz(count - 1) : 0;",
            "count > 1 ? 31 - __clz(count - 1) : 0;",
        ),
        (
            "sharers-of-several-warps",
            "few candidates, each shared by more than a warp",
            "min(5, 31 - __clz(blockDim.x) - place_bits), sharers",
            "31 - __clz(blockDim.x) - place_bits, sharers",
        ),
        (
            "every-sharer-counts",
            "the number of tokens kept",
            "const bool is_first_sharer = sharer == 0 && candidate < count;",
            "const bool is_first_sharer = candidate < count;",
        ),
    ),
    # What only a group asks for.
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "sorted-without-weightless",
            "a kept token that weighs nothing, in a sorted kept set",
            "storage.short_weight[candidate] = is_kept ? counted : 0;",
            "storage.short_weight[candidate] = is_kept && weight != 0 ? counted : 0;",
        ),
        (
            "sorted-places-by-order",
            "the order in which a sorted kept set is drawn from",
            "place = static_cast<uint32_t>(before_in_id_order) & ((1u << kPlaceBits) - 1);",
            "place = rank;",
        ),
        (
            "sorted-mass-before-each",
            "the mass up to a token of a sorted kept set, with its own",
            "running = (before_in_id_order >> kPlaceBits) + weight;",
            "running = before_in_id_order >> kPlaceBits;",
        ),
        (
            "sorted-ranks-without-equals",
            "the rank of a token of a sorted kept set that has equals",
            "reaching += KeyOf(entries[i]) >= KeyOf(entry);",
            "reaching += KeyOf(entries[i]) > KeyOf(entry);",
        ),
        (
            "sorted-mass-with-places",
            "the mass of a sorted kept set",
            "mass = SumOfSharers(mass, sharers) >> kPlaceBits;",
            "mass = SumOfSharers(mass, sharers);",
        ),
        tests="CudaGroups.*:*Groups*/float32Times*700",
    ),
    *without(
        "kernels/device/short_list.cuh",
        (
            "short-weights-not-awaited",
            "weights are added before all are there",
            "  __syncthreads();  // every weight is written; "
            "else masses miss some, or the reset above erases the k-th entry\n",
        ),
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
        (
            "drawn-token-not-awaited",
            "the drawn token is read before it is there",
            "    __syncthreads();  // the drawn token is written; else an older one is returned\n",
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
]
