"""Mutations of kernels/device/kept_set.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/kept_set.cuh",
        (
            "draw-before-min-p",
            "tokens that fail min-p can be drawn",
            "      if (ptx::ThreadAnew() == 0) storage.outcome.rule.min_weight = settings.min_weight;\n",
            "",
        ),
        (
            "top-p-stage-left-out",
            "a nucleus where top-k is off",
            "if (stage == kTopK && !TopKIsOn(settings)) ++stage;",
            "if (stage == kTopK && !TopKIsOn(settings)) stage = kDraw;",
        ),
        (
            "place-ends-at-its-key",
            "a place among equals",
            "if (stage != kDraw && (keeps_equals || target",
            "if ((keeps_equals || target",
        ),
        (
            "place-by-weight",
            "a place counts tokens",
            ".counts = stage == kTopK || takes_place,",
            ".counts = stage == kTopK,",
        ),
        (
            "place-of-an-unfiltered-row-by-its-mass",
            "a place in a row without a filter",
            "const bool draws = stage == kDraw && !takes_place,",
            "const bool draws = stage == kDraw,",
        ),
        (
            "min-p-always-first",
            "the order of top-p and min-p",
            "const uint64_t first_min = phase.order == Order::kVllm ? settings.min_weight : 0;",
            "const uint64_t first_min = settings.min_weight;",
        ),
        (
            "nucleus-one-unit-too-long",
            "a nucleus whose mass is exactly the target",
            "TopPTarget(phase.top_p, mass) - 1\n",
            "TopPTarget(phase.top_p, mass)\n",
        ),
        (
            "one-tie-too-many",
            "the last of the equals at the edge",
            "target + each >= storage.in.inside",
            "target + each + each >= storage.in.inside",
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
            "if (ptx::ThreadAnew() == 0 && last > storage.outcome.rule.last)",
            "if (ptx::ThreadAnew() == 0)",
        ),
        (
            "search-by-count-taken-for-its-mass",
            "what a row weighs that only top-k has searched",
            "draws && TopPIsOn(settings) && (phase.order",
            "draws && (phase.order",
        ),
        (
            "min-p-after-top-p-weighs-nothing",
            "what min-p leaves of what top-p keeps",
            "(phase.order == Order::kVllm || settings.min_weight == 0)",
            "true",
        ),
        (
            "kept-equals-end-before-the-last",
            "the last of the equals that top-p keeps",
            "target - storage.found_rest + each;",
            "target - storage.found_rest;",
        ),
        (
            "parts-of-the-whole-row",
            "points in a filtered row that is not listed",
            "tokens.SumByParts(measure, is_searched);",
            "tokens.Sum(measure);",
        ),
        (
            "equals-counted-from-the-start",
            "which of the equals is the last",
            "target = storage.row_search.target - storage.in.before;",
            "target = storage.row_search.target;",
        ),
    ),
    *without(
        "kernels/device/kept_set.cuh",
        (
            "stage-not-awaited",
            "a stage starts before it is known which",
            "    __syncthreads();  // the stage is written, and the first outcome; "
            "else some threads measure by an older rule\n",
        ),
        (
            "stage-before-not-awaited",
            "a stage starts before the one before has written its rule",
            "    // All have read which stage was the last, and it has written the outcome; "
            "else some leave one out, or read what was\n    // there before.\n    __syncthreads();\n",
        ),
        (
            "rule-not-awaited",
            "a draw weighs tokens before its rule is complete",
            "      __syncthreads();  // min-p's weight is in the rule; "
            "else some threads draw among tokens that fail it\n",
        ),
    ),
]
