"""Mutations from the plan to the list of candidates: geometry, reading, pivot, setup."""

from mutations import Mutation, in_file, without

SHARE = (
    "  ShareMaxima<Logit>(maxima, has_nan, DelegateCount(storage.setup.pivot_count, team), team, storage);\n"
)

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/plan.cpp",
        (
            "plan-forgets-inbox",
            "a cluster gets no shared memory for what follows Storage",
            "plan.shared_bytes = StorageBytes(plan.cluster) +",
            "plan.shared_bytes = StorageBytes(1) +",
        ),
        (
            "plan-ignores-misalignment",
            "an unaligned row is one vector longer than its resident memory",
            "(vocabulary + 2 * elements - 2) / elements",
            "(vocabulary + elements - 1) / elements",
        ),
    ),
    *in_file(
        "kernels/storage.h",
        (
            "inbox-one-block-short",
            "the last block's inbox overlaps the resident part",
            "sizeof(ClusterStorage) + cluster * kInboxCapacity",
            "sizeof(ClusterStorage) + (cluster - 1) * kInboxCapacity",
        ),
    ),
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "later-launches-start-at-row-0",
            "rows beyond one grid are never done",
            "kernel, work, first, static_cast",
            "kernel, work, int64_t{0}, static_cast",
        ),
        (
            "cluster-of-two-not-asked-for",
            "two blocks a row run as two rows",
            "if (plan.cluster > 1) {",
            "if (plan.cluster > 2) {",
        ),
    ),
    # ---- a row's place in memory ----
    *in_file(
        "kernels/device/row_part.cuh",
        (
            "row-offset-in-32-bits",
            "rows more than 2^32 elements apart",
            "(batch.logits) + row * batch.row_stride",
            "(batch.logits) + static_cast<int32_t>(row * batch.row_stride)",
        ),
        logits="bfloat16",
        tests="CudaLayout.RowsMoreThanTwoToThe32ElementsApartAreFound",
    ),
    *in_file(
        "kernels/device/row_part.cuh",
        (
            "head-read-as-whole-vector",
            "memory before an unaligned row is read",
            "shape.full_begin = shape.before != 0;",
            "shape.full_begin = 0;",
        ),
        (
            "tail-read-as-whole-vector",
            "memory after the row is read",
            "shape.full_end = (shape.before + vocabulary) / Logit::kPerVector;",
            "shape.full_end = vectors;",
        ),
        (
            "tail-one-element-too-long",
            "the element after the row is read",
            "at - shape_.before >= shape_.vocabulary) continue;",
            "at - shape_.before > shape_.vocabulary) continue;",
        ),
        (
            "parts-rounded-down",
            "the last vectors of a row belong to no block",
            "((vectors + blocks - 1) / blocks + 31) / 32 * 32",
            "(vectors / blocks + 31) / 32 * 32",
        ),
        (
            "runs-rounded-down",
            "the last vectors of a part belong to no warp",
            "uint32_t length = (shape_.end - shape_.begin + warps - 1) / warps;",
            "uint32_t length = (shape_.end - shape_.begin) / warps;",
        ),
        (
            "first-ids-wrap",
            "ids of an unaligned row's first vector wrap below 0",
            "return {max(first, shape_.before) - shape_.before,",
            "return {first - shape_.before,",
        ),
        (
            "loop-leaves-out-the-tail",
            "the last vector of an unaligned row is not visited",
            "const uint32_t count = head + end - rest;",
            "const uint32_t count = head + stop - rest;",
        ),
        (
            "head-one-too-long",
            "the first vector after an unaligned row's head is visited twice",
            "const uint32_t at = i < head ? begin + i",
            "const uint32_t at = i <= head ? begin + i",
        ),
        (
            "resident-part-misplaced",
            "a later block's elements are looked for beyond its part",
            "(resident_) + shape_.before - shape_.begin * Logit::kPerVector",
            "(resident_) + shape_.before",
        ),
        (
            "one-id-too-many",
            "the filler after the row counts as a token",
            "if (id < shape_.vocabulary) visit(",
            "if (id <= shape_.vocabulary) visit(",
        ),
    ),
    # ---- the loops over the row ----
    *in_file(
        "kernels/device/passes.cuh",
        (
            "maximum-passes-over-nan",
            "a NaN goes unseen",
            "m.word[i] = kKeepNan ? Logit::Max(",
            "m.word[i] = kKeepNan ? Logit::MaxNumber(",
        ),
        (
            "resident-copy-beyond-the-run",
            "a warp's filler overwrites the next warp's part",
            "if (kResident && (kCount > 1 || index < run.end)) copy",
            "if (kResident) copy",
        ),
        (
            "vector-list-one-too-long",
            "a vector is written where its index list begins",
            "if (at >= kVectorCapacity) return;",
            "if (at > kVectorCapacity) return;",
        ),
        (
            "vectors-of-a-group-misnumbered",
            "candidates get their neighbours' ids",
            "AppendVector(v[u], index + 32 * u, storage)",
            "AppendVector(v[u], index + u, storage)",
        ),
        (
            "nan-weighs-as-the-maximum",
            "the mass of rows with NaN",
            "kNan ? Logit::MaxNumber(v[u].word[i], Logit::kMaskedWord) : v[u].word[i];",
            "v[u].word[i];",
        ),
    ),
    *in_file(
        "kernels/device/logits.cuh",
        (
            "comparison-drops-nan",
            "a candidate beside a NaN is lost",
            "return !(__uint_as_float(a) < __uint_as_float(b));",
            "return __uint_as_float(a) >= __uint_as_float(b);",
        ),
    ),
    *in_file(
        "kernels/device/logits.cuh",
        (
            "upper-half-not-compared",
            "without the packed comparison, candidates in odd places are lost",
            "return !(Value(a, 0) < Value(b, 0)) || !(Value(a, 1) < Value(b, 1));",
            "return !(Value(a, 0) < Value(b, 0));",
        ),
        logits="bfloat16",
        architecture=80,
    ),
    *in_file(
        "kernels/device/ptx.cuh",
        (
            "lone-block-is-not-the-leader",
            "where there are no clusters nobody writes a row's result",
            "#else\n  return 0;\n",
            "#else\n  return 1;\n",
        ),
        architecture=80,
    ),
    # ---- maxima and delegates ----
    *in_file(
        "kernels/device/maxima.cuh",
        (
            "maximum-of-half-a-warp",
            "maxima of half of the lanes",
            "for (int distance = 1; distance < 8; distance *= 2)",
            "for (int distance = 1; distance < 4; distance *= 2)",
        ),
        (
            "delegates-overlap",
            "the four delegates of a thread overwrite its neighbours'",
            "&storage.delegate[first_thread * 4 + i]",
            "&storage.delegate[first_thread + i]",
        ),
        (
            "nan-of-block-0-only",
            "a NaN in another block's part",
            "threadIdx.x % 32 < team.blocks && storage.block_has_nan[threadIdx.x % 32] != 0",
            "storage.block_has_nan[0] != 0",
        ),
    ),
    *in_file(
        "kernels/device/candidates.cuh",
        (
            "peers-not-awaited",
            "a block pushes into a peer that may not have started",
            f"  team.AwaitPeers();\n{SHARE}",
            f"{SHARE}  team.AwaitPeers();\n",
        ),
        (
            "setup-not-awaited",
            "setup and shape are read while a warp still writes them",
            "bool has_nan = __syncthreads_or(HoldsNan<Logit>(maxima));  // also",
            "bool has_nan = __any_sync(~0u, HoldsNan<Logit>(maxima));  // also",
        ),
        (
            "whole-row-taken-for-its-prefix",
            "the maximum beside a NaN in the rest",
            "    prefix_shift = 0;\n",
            "",
        ),
        (
            "prefix-split-off-by-one",
            "a vector after the prefix is not filtered",
            "{middle, own.end}};",
            "{middle + 1, own.end}};",
        ),
        (
            "pivot-count-off-by-one",
            "the pivot is one that a token too few reaches",
            "count - 1, count + count / 8 + 8,",
            "count - 2, count - 1,",
        ),
        (
            "pivot-excludes-its-equals",
            "tokens equal to the pivot are lost",
            "if (!(x >= least)) return;",
            "if (!(x > least)) return;",
        ),
        (
            "min-p-pivot-rounded-up",
            "the direction in which min-p's bound is rounded",
            "fmaxf(pivot, __fadd_rd(maximum, setup.min_p_below))",
            "fmaxf(pivot, __fadd_ru(maximum, setup.min_p_below))",
        ),
        (
            "list-always-trusted",
            "tokens below the pivot that min-p may yet let into top-k",
            "  return least >= __fadd_ru(maximum, setup.min_p_above) ||"
            " least <= __fadd_rd(maximum, setup.min_p_below);",
            "  return true;",
        ),
        (
            "inbox-one-too-long",
            "one candidate too many lands in another block's inbox",
            "} else if (at < kInboxCapacity) {",
            "} else if (at <= kInboxCapacity) {",
        ),
        (
            "inbox-overflow-unseen",
            "a block with more candidates than its inbox holds",
            "team.blocks == 1 ? kListCapacity : kInboxCapacity;",
            "kListCapacity;",
        ),
        (
            "vector-overflow-unseen",
            "a block with more vectors than its list holds",
            "fits = storage.vector_count <= kVectorCapacity;",
            "fits = storage.vector_count <= kListCapacity;",
        ),
        (
            "list-overflow-unseen",
            "inboxes that together hold more than the list",
            "of_block == ~0u || count + of_block > kListCapacity",
            "of_block == ~0u",
        ),
        (
            "nan-in-the-rest-unseen",
            "a NaN after the prefix of a streamed row",
            "if (!fits || rest_has_nan) {",
            "if (!fits) {",
        ),
    ),
    *without(
        "kernels/device/candidates.cuh",
        (
            "maxima-not-awaited",
            "parts' maxima are read before they arrive",
            "  team.Sync();  // every part's maximum and all delegates are there, and resident parts too\n",
        ),
        (
            "vectors-not-awaited",
            "vectors are expanded while others still append",
            "    __syncthreads();  // every vector is there\n",
        ),
        (
            "state-replaced-too-soon",
            "the streamed row's state changes under its readers",
            "    __syncthreads();  // every thread has read the state\n",
        ),
        (
            "list-not-awaited",
            "the list's length is read before it is there",
            "  __syncthreads();  // the list and its length are there\n",
        ),
    ),
    # ---- records, steps, slots ----
    *in_file(
        "kernels/device/setup.cuh",
        (
            "step-in-32-bits",
            "the upper word of the draw's counter",
            "definition::SeedOf(input.record), input.step,",
            "definition::SeedOf(input.record), static_cast<int32_t>(input.step),",
        ),
        (
            "step-stride-ignored",
            "spaced steps, or one for all rows",
            "const int64_t at = row * batch.step_stride;",
            "const int64_t at = row;",
        ),
        (
            "slot-stride-ignored",
            "spaced slots",
            "batch.slot[row * batch.slot_stride]",
            "batch.slot[row]",
        ),
        (
            "slot-not-clamped",
            "a slot outside the records",
            "slot = definition::ClampSlot(batch.slot[row * batch.slot_stride], batch.record_count);",
            "slot = {batch.slot[row * batch.slot_stride], false};",
        ),
        (
            "min-p-of-one-decides",
            "tokens equal to the maximum when min-p is 1",
            "min_weight > weight_of_maximum) {",
            "min_weight >= weight_of_maximum) {",
        ),
        (
            "min-p-bounds-hf-list",
            "tokens that fail min-p but count for top-p",
            "min_weight != 0 && (phase.order == Order::kVllm || !top_p_on);",
            "min_weight != 0;",
        ),
        (
            "min-p-margin-below-reversed",
            "tokens just above min-p's threshold",
            "definition::Divide(distance - kMinPMargin,",
            "definition::Divide(distance + kMinPMargin,",
        ),
        (
            "min-p-margin-above-reversed",
            "a list trusted just above min-p's threshold",
            "min_p_above = definition::Divide(distance + kMinPMargin,",
            "min_p_above = definition::Divide(distance - kMinPMargin,",
        ),
        (
            "heated-rows-keep-min-p",
            "min-p of rows that the engine filters itself",
            "phase.top_p = 1.0f, phase.min_p = 0;",
            "phase.top_p = 1.0f;",
        ),
        (
            "reference-temperature-of-the-row",
            "the temperature of ref_logprob",
            "if (lane == 1) setup->ref_temperature",
            "if (lane == 0) setup->ref_temperature",
        ),
    ),
    *in_file(
        "csrc/definition/philox.h",
        (
            "draw-takes-the-last-words",
            "which words of Philox a draw takes",
            "(static_cast<uint64_t>(block.word[1]) << 32) | block.word[0]",
            "(static_cast<uint64_t>(block.word[3]) << 32) | block.word[2]",
        ),
        (
            "counter-words-swapped",
            "the order of the step's words in the counter",
            "static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream",
            "static_cast<uint32_t>(counter >> 32), static_cast<uint32_t>(counter), stream",
        ),
    ),
    *in_file(
        "csrc/definition/phase.h",
        (
            "one-hot-step-too-many",
            "the step after the last hot one",
            "step < begin + record.hot_steps",
            "step <= begin + record.hot_steps",
        ),
    ),
]
