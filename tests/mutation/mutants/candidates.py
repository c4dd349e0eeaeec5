"""Mutations of kernels/device/candidates.cuh."""

from mutations import Mutation, in_file, without

SHARE = (
    "  ShareMaxima<Logit>(maxima, has_nan, again ? 4 * blockDim.x : storage.settings.delegates,\n"
    "                     again ? 0 : storage.settings.lane_bits, again, team, storage);\n"
)

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/candidates.cuh",
        (
            "peers-not-awaited",
            "a block pushes into a peer that may not have started",
            f"  if (!again) team.AwaitPeers();\n{SHARE}",
            f"{SHARE}  if (!again) team.AwaitPeers();\n",
        ),
        (
            "setup-not-awaited",
            "settings and shape are read while a warp still writes them",
            "bool has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));  // also",
            "bool has_nan = __any_sync(~0u, HoldsNan<Logit>(maxima));  // also",
        ),
        (
            "whole-row-taken-for-its-pilot",
            "the maximum beside a NaN in the rest",
            "    pilot_shift = 0;\n",
            "",
        ),
        (
            "pilot-split-off-by-one",
            "a vector before the part that the pivot comes from is not filtered",
            "{own.begin, middle}};",
            "{own.begin, middle - (middle > own.begin)}};",
        ),
        (
            "part-described-twice",
            "a part is described anew while other threads still read it",
            "if (!again) storage.part = shape;",
            "storage.part = shape;",
        ),
        (
            "pivot-excludes-its-equals",
            "tokens equal to the pivot are lost",
            "if (!(x >= least)) return;",
            "if (!(x > least)) return;",
        ),
        (
            "inbox-one-too-long",
            "one candidate too many lands in another block's inbox",
            "if (at < capacity) {",
            "if (at <= capacity) {",
        ),
        (
            "inbox-overflow-not-sent",
            "the first candidate that an inbox has no room for",
            "for (uint32_t i = capacity + threadIdx.x;",
            "for (uint32_t i = capacity + 1 + threadIdx.x;",
        ),
        (
            "inbox-overflow-unseen",
            "a block with more candidates than its inbox holds",
            "!__any_sync(~0u, lane != 0 && of_lane > capacity);",
            "true;",
        ),
        (
            "vector-overflow-unseen",
            "a block with more vectors than its list holds",
            "fits = storage.vector_count <= kVectorCapacity;",
            "fits = true;",
        ),
        (
            "list-overflow-unseen",
            "inboxes that together hold more than the list",
            "is_told && count <= kListCapacity &&",
            "is_told && count <= 2 * kListCapacity &&",
        ),
        (
            "nan-in-the-rest-unseen",
            "a NaN of a streamed row where the pivot does not come from",
            "      if (has_nan) storage.state.has_nan = 1;\n",
            "",
        ),
        (
            "short-list-of-a-streamed-row-trusted",
            "fewer tokens of a streamed row reach the pivot than top-k keeps",
            " || !HoldsTopK<Logit>(listed, least, maximum, storage.settings)) return false;",
            ") return false;",
        ),
        (
            "top-k-one-token-short",
            "exactly one token less reaches the pivot than top-k keeps",
            "count >= settings.phase.top_k) return true;",
            "count + 1 >= settings.phase.top_k) return true;",
        ),
        (
            "min-p-excuses-any-short-list",
            "tokens below the pivot that min-p does not exclude",
            "return settings.min_p_bounds_list && least <= __fadd_rd(maximum, settings.min_p_bounds.below);",
            "return settings.min_p_bounds_list;",
        ),
        (
            "maximum-of-the-pivots-part",
            "a streamed row whose largest logit comes after the pivot",
            "      storage.state.maximum = maximum;\n",
            "",
        ),
        (
            "nan-weighs-while-listed",
            "a nucleus of a row with NaN that is read again from memory",
            "         storage.state.has_nan == 0 && MakeFastScale",
            "         MakeFastScale",
        ),
        (
            "any-scale-weighs-while-listed",
            "a nucleus at a temperature that fast weights do not hold for",
            "&& MakeFastScale(ScaleOf(storage)).is_exact;",
            "&& true;",
        ),
        (
            "weighed-while-listed-not-for-the-reference",
            "the reference's mass at the row's own temperature, of a nucleus that is not resident",
            "if (ReferenceHasRowsScale(storage.settings)) PushPartMass(mass, 1",
            "if (false) PushPartMass(mass, 1",
        ),
        (
            "listed-mass-counts-twice",
            "a nucleus that ends beyond the list",
            "if (weighs) seen.mass += WeightOfKey(",
            "if (weighs) seen.mass += 2 * WeightOfKey(",
        ),
        (
            "listed-mass-not-compared",
            "a flat nucleus, of which the list has a part",
            "listed >= definition::TopPTarget(settings.phase.top_p, RowMass(0, storage));",
            "listed != 0;",
        ),
        (
            "listed-mass-for-the-leader-only",
            "a peer never learns what the leader's candidates weigh",
            "if (threadIdx.x < team.blocks) ptx::Push(&storage.block_mass",
            "if (threadIdx.x < 1) ptx::Push(&storage.block_mass",
        ),
    ),
    *without(
        "kernels/device/candidates.cuh",
        (
            "maxima-not-awaited",
            "parts' maxima are read before they arrive",
            "  team.Sync();  // maxima, delegates and resident parts are written; "
            "else the pivot comes from an older row's\n",
        ),
        (
            "vectors-not-awaited",
            "vectors are expanded while others still append",
            "    __syncthreads();  // every listed vector is counted; "
            "else threads disagree on how many there are\n",
        ),
        (
            "list-not-awaited",
            "the list and its length are read before they are there",
            "  __syncthreads();  // the list, its length and the scales are written; "
            "else candidates are lost\n",
        ),
        (
            "late-candidates-not-awaited",
            "the list is read before what the inbox had no room for is there",
            "    if (!is_all_sent) team.Sync();  // every candidate is in the leader's list; "
            "else those that came late are lost\n",
        ),
        (
            "state-not-awaited",
            "the streamed row's maximum is read before it is there",
            "    __syncthreads();  // the maximum is the whole row's; "
            "else the list is judged by the pilot's\n",
        ),
    ),
    *in_file(
        "kernels/device/candidates.cuh",
        (
            "list-always-trusted",
            "tokens below the pivot that min-p may yet let into top-k",
            "(settings.asks & kAsksMinP) == 0 || least >= __fadd_ru(maximum, settings.min_p_bounds.above) ||",
            "true ||",
        ),
        tests="DippingWeights.*",
    ),
]
