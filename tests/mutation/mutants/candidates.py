"""Mutations of kernels/device/candidates.cuh."""

from mutations import Mutation, in_file, without

AWAIT = "  if (!again) team.AwaitPeers();\n"
SHARE = (
    "  ShareMaxima<Logit>(maxima, largest, has_nan, again ? 4 * blockDim.x : storage.settings.delegates,\n"
    "                     again ? 0 : storage.settings.lane_bits, again, team, storage);\n"
)

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/candidates.cuh",
        (
            "peers-not-awaited",
            "a block pushes into a peer that may not have started",
            AWAIT + SHARE,
            SHARE + AWAIT,
        ),
        (
            "setup-not-awaited",
            "settings and shape are read while a warp still writes them",
            "  bool has_nan = __syncthreads_or(",
            "  bool has_nan = __any_sync(~0u, ",
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
            "vector-overflow-unseen",
            "a block with more vectors than its list holds",
            "fits = storage.vector_count <= kVectorCapacity;",
            "fits = true;",
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
            "listed < FewestForTopK<Logit>(least, maximum, storage.settings)",
            "false",
        ),
        (
            "maximum-of-the-pivots-part",
            "a streamed row whose largest logit comes after the pivot",
            "      storage.state.maximum = maximum;\n",
            "",
        ),
        (
            "scale-of-the-pivots-part",
            "weights of a streamed row whose largest logit comes after the pivot",
            "      storage.fast_scale = MakeFastScale(ScaleOf(storage));\n",
            "",
        ),
        (
            "nan-weighs-while-listed",
            "a nucleus of a row with NaN that is read again from memory",
            "         storage.state.has_nan == 0 && storage.fast_scale",
            "         storage.fast_scale",
        ),
        (
            "any-scale-weighs-while-listed",
            "a nucleus at a temperature that fast weights do not hold for",
            "&& storage.fast_scale.is_exact;",
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
            "listed-mass-for-the-leader-only",
            "a peer never learns what the leader's candidates weigh",
            "if (threadIdx.x < team.blocks) ptx::Push(&storage.block_mass",
            "if (threadIdx.x < 1) ptx::Push(&storage.block_mass",
        ),
    ),
    *without(
        "kernels/device/candidates.cuh",
        (
            "vectors-not-awaited",
            "vectors are expanded while others still append",
            "    __syncthreads();  // every listed vector is counted; "
            "else threads disagree on how many there are\n",
        ),
        (
            "state-not-awaited",
            "the streamed row's maximum is read before it is there",
            "    __syncthreads();  // the maximum is the whole row's; "
            "else the list is judged by the pilot's\n",
        ),
    ),
]
