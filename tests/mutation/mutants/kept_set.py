"""Mutations of kernels/device/kept_set.cuh."""

from mutations import Mutation, in_file, without

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/kept_set.cuh",
        (
            "draw-before-min-p",
            "tokens that fail min-p can be drawn",
            "      if (threadIdx.x == 0) storage.outcome.rule.min_weight = settings.min_weight;\n",
            "",
        ),
        (
            "place-ends-at-its-key",
            "a place among equals",
            "if (!takes_place && (keeps_equals || target",
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
            "const bool is_known = !takes_place && (is_unfiltered",
            "const bool is_known = (is_unfiltered",
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
            "if (threadIdx.x == 0 && last > storage.outcome.rule.last)",
            "if (threadIdx.x == 0)",
        ),
        (
            "equals-counted-from-the-start",
            "which of the equals is the last",
            "      target -= storage.in.before;\n",
            "",
        ),
    ),
    *without(
        "kernels/device/kept_set.cuh",
        (
            "stage-before-not-awaited",
            "a stage starts before the one before has written its rule",
            "    __syncthreads();  // the stage before has written the rule; "
            "else some threads measure by an older one\n",
        ),
        (
            "rule-not-awaited",
            "a draw weighs tokens before its rule is complete",
            "      __syncthreads();  // min-p's weight is in the rule; "
            "else some threads draw among tokens that fail it\n",
        ),
    ),
]
