"""Mutations from the candidates to the results: weights, searches, filters, draw, outputs."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    # ---- barriers, and what is found by many ----
    *in_file(
        "kernels/device/team.cuh",
        (
            "team-barrier-without-release",
            "writes to a peer before the barrier are not seen after it",
            "      ptx::ClusterArrive();\n",
            "      ptx::ClusterArriveRelaxed();\n",
        ),
        (
            "passing-reaches-its-target",
            "the bin before the one that passes the target",
            "if (running > target && running - value <= target) {",
            "if (running >= target && running - value <= target) {",
        ),
        (
            "scan-misses-a-lane",
            "running sums over a warp",
            "if (lane >= distance) running += below;",
            "if (lane > distance) running += below;",
        ),
        (
            "bin-carry-lost",
            "the carry between a bin's two words",
            "(old + low < old ? 1u : 0u)",
            "0u",
        ),
        (
            "last-bin-not-cleared",
            "the last bin keeps what it held",
            "bin < kBins; bin += blockDim.x) storage.bins",
            "bin < kBins - 1; bin += blockDim.x) storage.bins",
        ),
    ),
    *without(
        "kernels/device/team.cuh",
        (
            "sum-overwrites-the-last",
            "warp totals change under who still reads the sum before",
            "  __syncthreads();  // warp_total may still be read by who asked for the sum before\n",
        ),
        (
            "warp-totals-not-awaited",
            "warp totals are added before all are there",
            "  __syncthreads();  // every warp's total is there\n  return",
        ),
        (
            "passing-overwrites-the-last",
            "what was found changes under who still reads it",
            "  __syncthreads();  // warp_total and found may still be read by who asked before\n",
        ),
        (
            "found-not-awaited",
            "what one thread found is read before it is there",
            "  __syncthreads();  // what one thread found is there for all\n",
        ),
        (
            "team-sum-overwrites-the-last",
            "a peer's sum changes under who still reads the one before",
            "  team.Sync();  // block_sum may still be read by who asked for the sum before\n",
        ),
        (
            "team-sum-not-awaited",
            "blocks' sums are added before all are there",
            "  team.Sync();  // every block's sum is there\n",
        ),
    ),
    # ---- the search by histogram ----
    *in_file(
        "kernels/device/descend.cuh",
        (
            "histogram-twice-too-fine",
            "ordinals beyond the last bin",
            "const uint32_t width = 32 - __clz(in.high - in.low);",
            "const uint32_t width = 31 - __clz(in.high - in.low);",
        ),
        (
            "bin-reaches-the-target",
            "the bin that the target falls on",
            "while (before + bins[bin] <= target)",
            "while (before + bins[bin] < target)",
        ),
        (
            "target-counts-from-the-start",
            "what was measured before the interval",
            "BlockPassing(sum, target - in.before, storage)",
            "BlockPassing(sum, target, storage)",
        ),
        (
            "interval-one-too-wide",
            "a search that never ends at one ordinal",
            "in.low + ((1u << shift) - 1));",
            "in.low + (1u << shift));",
        ),
    ),
    *without(
        "kernels/device/descend.cuh",
        (
            "bins-cleared-too-soon",
            "bins are cleared while a thread still reads them",
            "    __syncthreads();  // the last round's bins have been read\n",
        ),
        (
            "bins-filled-too-soon",
            "bins are added to before they are empty",
            "    __syncthreads();  // the bins are empty\n",
        ),
        (
            "histograms-not-awaited",
            "histograms are summed before they are complete",
            "  team.Sync();  // every block's histogram is complete\n",
        ),
        (
            "totals-not-awaited",
            "totals are read before they are there",
            "  team.Sync();  // every block has the totals, and none reads a peer's histogram any more\n",
        ),
    ),
    # ---- weights ----
    *in_file(
        "kernels/device/weights.cuh",
        (
            "fast-weights-of-huge-logits",
            "logits that the fast weights are not made for",
            "size <= 0x1p60f;",
            "true;",
        ),
        (
            "fast-weights-of-infinite-temperature",
            "slopes that the fast weights are not made for",
            "scale.slope >= 0x1p-120f && ",
            "",
        ),
        (
            "fast-clamp-at-half-the-range",
            "tokens far below the maximum weigh something",
            "const int k = 6 + 127 -",
            "const int k = 5 + 127 -",
        ),
        (
            "weights-rounded-to-nearest",
            "the last bit of a weight",
            "__float2ull_rz(",
            "__float2ull_rn(",
        ),
    ),
    *in_file(
        "kernels/device/weights.cuh",
        (
            "fast-weights-of-long-rows",
            "vocabularies whose weights have fewer bits",
            "scale.bits == 44 && ",
            "",
        ),
        logits="bfloat16",
        tests="LargestVocabulary.*",
    ),
    # ---- the tokens in question ----
    *in_file(
        "kernels/device/source.cuh",
        (
            "last-kept-token-excluded",
            "the rule's last token",
            "if (Entry(key, id) < rule.last) return false;",
            "if (Entry(key, id) <= rule.last) return false;",
        ),
        (
            "counted-token-excluded",
            "the rule's last token where tokens are counted",
            "return Entry(key, id) >= rule.last;",
            "return Entry(key, id) > rule.last;",
        ),
        (
            "owner-in-the-wrong-block",
            "which block holds the part that a draw falls on",
            "owner.index / warps != team_.rank",
            "owner.index % team_.blocks != team_.rank",
        ),
        (
            "draw-on-the-edge",
            "the token before the one that the draw falls on",
            "entry == 0 && own > left",
            "entry == 0 && own >= left",
        ),
        (
            "part-masses-misplaced",
            "parts' masses where nobody looks for them",
            "team_.rank * (blockDim.x / 32) + threadIdx.x / 32;",
            "team_.rank * kMostWarps + threadIdx.x / 32;",
        ),
    ),
    *without(
        "kernels/device/source.cuh",
        (
            "part-sums-not-awaited",
            "parts' sums are searched before they are there",
            "        team_.Sync();  // every part's sum is there\n",
        ),
        (
            "entry-not-awaited-by-its-block",
            "the drawn token is read before it is there",
            "      __syncthreads();  // the entry is there for the block\n",
        ),
        (
            "entry-not-awaited",
            "the found token is read before it is there",
            "      team_.Sync();  // the entry is there for all\n",
        ),
    ),
    # ---- the kept set, of any row ----
    *in_file(
        "kernels/device/kept_set.cuh",
        (
            "joint-top-p-within-top-k",
            "joint top-p counts the whole row",
            "    if (stage == kTopP && phase.order == Order::kJoint) measure.rule.last = KeepAll().last;\n",
            "",
        ),
        (
            "draw-before-min-p",
            "tokens that fail min-p can be drawn",
            "    if (stage == kDraw) measure.rule.min_weight = setup.min_weight;\n",
            "",
        ),
        (
            "min-p-always-first",
            "the order of top-p and min-p",
            "const uint64_t first_min = phase.order == Order::kVllm ? setup.min_weight : 0;",
            "const uint64_t first_min = setup.min_weight;",
        ),
        (
            "nucleus-one-unit-too-long",
            "a nucleus whose mass is exactly the target",
            "TopPTarget(phase.top_p, mass) - 1 :",
            "TopPTarget(phase.top_p, mass) :",
        ),
        (
            "one-tie-too-many",
            "the last of the equals at the edge",
            "target + each >= at.inside",
            "target + each + each >= at.inside",
        ),
        (
            "kth-ties-keep-top-p-ties",
            "which tie rule top-p follows",
            ": phase.ties == Ties::kKeep;",
            ": phase.ties != Ties::kExact;",
        ),
        (
            "top-p-loosens-top-k",
            "the stricter of two filters",
            "if (threadIdx.x == 0 && last > storage.outcome.rule.last)",
            "if (threadIdx.x == 0)",
        ),
        (
            "top-p-of-the-kept-mass",
            "joint top-p of a list takes the whole row's mass",
            "(setup.way == Way::kNucleus || setup.phase.order == Order::kJoint);",
            "setup.way == Way::kNucleus;",
        ),
        (
            "equals-counted-from-the-start",
            "which of the equals is the last",
            "      target -= at.before;\n",
            "",
        ),
    ),
    *without(
        "kernels/device/kept_set.cuh",
        (
            "stage-before-not-awaited",
            "a stage starts before the one before has written its rule",
            "    __syncthreads();  // the outcome of the stage before is there\n",
        ),
        (
            "rule-replaced-too-soon",
            "the rule changes under its readers",
            "        __syncthreads();  // every thread has read the rule\n",
        ),
    ),
    # ---- the kept set, of a few candidates ----
    *in_file(
        "kernels/device/short_list.cuh",
        (
            "rank-counts-itself",
            "every rank is one too high",
            "if (storage.short_entry[i] > entry && other",
            "if (storage.short_entry[i] >= entry && other",
        ),
        (
            "k-plus-one-tokens",
            "the token after the k-th",
            "bool in = alive && rank < phase.top_k;",
            "bool in = alive && rank <= phase.top_k;",
        ),
        (
            "ties-at-k-dropped",
            "equals of the k-th token",
            "KeyOf(entry) >= KeyOf(storage.found[2]);",
            "entry >= storage.found[2];",
        ),
        (
            "nucleus-one-token-too-long",
            "a nucleus whose mass is exactly the target",
            "in = in && before < definition",
            "in = in && before <= definition",
        ),
        (
            "nucleus-ties-beyond-top-k",
            "the stricter of two filters",
            ": (equal > last ? equal : last);",
            ": equal;",
        ),
        (
            "min-p-excludes-its-equal",
            "a token of exactly the least weight",
            "entry >= last && weight >= setup.min_weight;",
            "entry >= last && weight > setup.min_weight;",
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
    ),
    *without(
        "kernels/device/short_list.cuh",
        (
            "short-weights-not-awaited",
            "weights are added before all are there",
            "  __syncthreads();  // every weight is there\n",
        ),
        (
            "kth-entry-not-awaited",
            "the k-th token is compared with before it is there",
            "    __syncthreads();  // the k-th entry is there, or 0 where there are fewer\n",
        ),
        (
            "nucleus-end-not-awaited",
            "the nucleus's last token is read before it is there",
            "    __syncthreads();  // the nucleus's last token is there\n",
        ),
        (
            "kth-entry-left-over",
            "fewer than k tokens are alive, and an old k-th entry is there",
            "  if (threadIdx.x == 0) storage.found[2] = 0;\n",
        ),
    ),
    # ---- one row ----
    *in_file(
        "kernels/device/row.cuh",
        (
            "reference-scale-taken-for-known",
            "the mass at another temperature",
            "wants_mass && scale.slope == setup().slope && scale.floor == setup().floor;",
            "wants_mass;",
        ),
        (
            "verdict-for-the-leader-only",
            "a peer never learns that the list suffices",
            "if (threadIdx.x < team().blocks) ptx::Push(&storage_.nucleus_is_listed,",
            "if (threadIdx.x < 1) ptx::Push(&storage_.nucleus_is_listed,",
        ),
        (
            "first-of-one-block",
            "the first of equals that several blocks hold",
            "return IsListed() ? first : TeamMax(first);",
            "return first;",
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
    ),
    *without(
        "kernels/device/row.cuh",
        (
            "candidates-not-awaited",
            "the inbox is read before it is there",
            "    team().Sync();  // counts, candidates and masses are there\n",
        ),
        (
            "verdict-not-awaited",
            "the verdict is read before it is there",
            "    team().Sync();  // the verdict is there\n",
        ),
        (
            "team-maximum-not-awaited",
            "blocks' firsts are compared before all are there",
            "    team().Sync();  // every block's maximum is there\n",
        ),
        (
            "short-list-counted-too-soon",
            "entries are appended before the counter is cleared",
            "    __syncthreads();  // no entry is in the short list\n",
        ),
    ),
    # ---- results ----
    *in_file(
        "kernels/device/sample.cuh",
        (
            "blocks-leave-early",
            "a block leaves while its peers still need it",
            "if (row_.IsListed() && !row_.team().IsLeader()) return;",
            "if (!row_.team().IsLeader()) return;",
        ),
        (
            "rank-counts-to-the-token",
            "the rank of a token with equals",
            "KeptRule{LastOfKey(KeyOf(found.drawn)), 0};",
            "KeptRule{found.drawn, 0};",
        ),
        (
            "reference-of-the-row-mass",
            "the mass of ref_logprob",
            "RowMass(1, SharedStorage())",
            "RowMass(0, SharedStorage())",
        ),
        (
            "count-not-awaited",
            "a count is read before it is there",
            "      __syncthreads();  // the count is there\n",
            "",
        ),
        (
            "prior-kernels-not-awaited",
            "logits are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n",
            "",
        ),
    ),
    *in_file(
        "kernels/device/rewrite.cuh",
        (
            "token-below-zero",
            "a log-probability asked of a negative token",
            "token >= 0 && token < row_",
            "token < row_",
        ),
        (
            "token-one-too-high",
            "a log-probability asked of the token after the last",
            "token < row_.Part().vocabulary();",
            "token <= row_.Part().vocabulary();",
        ),
        (
            "masked-row-one-hot",
            "a heated row of which nothing is finite",
            "const bool is_masked = heats && row_.maximum() == -INFINITY;",
            "const bool is_masked = false;",
        ),
        (
            "hand-over-always",
            "heated rows whose filters the engine would apply otherwise",
            "row_.IsDecided() || (heats && !definition::HandsOver(setup.record, row_.Part().vocabulary()));",
            "row_.IsDecided();",
        ),
        (
            "regular-rows-heated",
            "rows that are not hot are rewritten",
            "    if (work_.task == Task::kHeatLogits && !setup.phase.hot) return;\n",
            "",
        ),
        (
            "gradient-of-decided-rows",
            "rows without a gradient",
            "if (has_gradient && kept.Keeps(",
            "if (kept.Keeps(",
        ),
        (
            "gradient-stride-ignored",
            "spaced gradients",
            "work_.grad[row_.row() * work_.grad_stride]",
            "work_.grad[row_.row()]",
        ),
        (
            "output-at-the-logits-stride",
            "the output's own row stride",
            "float* out = work_.out + row_.row() * work_.out_stride;",
            "float* out = work_.out + row_.row() * work_.batch.row_stride;",
        ),
    ),
]
