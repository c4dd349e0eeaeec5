"""Mutations of kernels/device/settings.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/settings.cuh",
        (
            "step-in-32-bits",
            "the upper word of the draw's counter",
            "definition::DrawBits(record, input.step)",
            "definition::DrawBits(record, static_cast<int32_t>(input.step))",
        ),
        (
            "record-of-one-word",
            "the words of the record that other lanes hold",
            "__shfl_sync(~0u, input.word, i)",
            "input.word",
        ),
        (
            "top-p-of-the-kept-mass",
            "joint top-p of a list takes the whole row's mass",
            " | ((order == Order::kJoint) & (regime != Regime::kDecided)));",
            ");",
        ),
        (
            "row-mass-not-asked-for",
            "the whole row's mass, where top-p counts it",
            "counts_row ? kAsksTopPOfRow | kAsksRowMass : 0;",
            "counts_row ? kAsksTopPOfRow : 0;",
        ),
        (
            "min-p-not-asked-for",
            "a list that lacks tokens which pass min-p is taken for complete",
            "tests_min_p ? kAsksMinP : 0;",
            "0;",
        ),
        (
            "top-k-not-asked-for",
            "a list that lacks tokens which top-k keeps is taken for complete",
            "filters.top_k_on ? kAsksTopK : 0;",
            "false ? kAsksTopK : 0;",
        ),
        (
            "listed-mass-not-asked-for",
            "a list that does not reach top-p's target is taken for complete",
            "Regime::kNucleus ? kAsksListedMass : 0;",
            "Regime::kDecided ? kAsksListedMass : 0;",
        ),
        (
            "kept-of-a-token-alone",
            "how many an unfiltered row keeps, where that is asked for",
            "(work.outputs.kept == nullptr) & !is_enumerated;",
            "!is_enumerated;",
        ),
        (
            "places-of-other-tasks-unsought",
            "the only token that a record which names a place leaves",
            "return draws | (is_enumerated & (task != Task::kSampleGroup));",
            "return draws;",
        ),
        (
            "pivot-of-a-nucleus-for-min-p",
            "a list that min-p alone bounds",
            "(filters.regime == Regime::kList) & filters.top_k_on ? phase.top_k : of_nucleus;",
            "filters.regime == Regime::kList ? phase.top_k : of_nucleus;",
        ),
        (
            "slot-out-of-range-untold",
            "the status of a row whose slot is out of range",
            "settings->status |= definition::StatusOfPhase(phase);",
            "settings->status = definition::StatusOfPhase(phase);",
        ),
        (
            "min-p-of-one-decides",
            "tokens equal to the maximum when min-p is 1",
            "(min_p.min_weight > min_p.weight_of_maximum);",
            "(min_p.min_weight >= min_p.weight_of_maximum);",
        ),
        (
            "min-p-bounds-hf-list",
            "tokens that fail min-p but count for top-p",
            "has_min_p & ((phase.order == Order::kVllm) | !filters.top_p_on);",
            "has_min_p;",
        ),
        (
            "reference-temperature-of-the-row",
            "the temperature of ref_logprob",
            "settings->ref_floor = scale.floor, settings->ref_temperature = temperature",
            "settings->ref_floor = scale.floor, settings->ref_temperature = phase.temperature",
        ),
        (
            "delegates-of-several-warps",
            "warps overwrite the delegate of the lanes that they share",
            "max(min(256u, lanes), lanes / 32)",
            "min(64u, lanes)",
        ),
        (
            "delegates-beyond-their-room",
            "four delegates a lane of a team that is too large for them",
            "if (count < enough && lanes * 4 <= kMostDelegates)",
            "if (count < enough)",
        ),
    ),
    *in_file(
        "kernels/device/settings.cuh",
        (
            "code-stride-ignored",
            "spaced codes",
            "work_.code[row_ * work_.code_stride]",
            "work_.code[row_]",
        ),
        tests="*Codes*/float32*",
    ),
    *in_file(
        "kernels/device/settings.cuh",
        (
            "places-for-the-owner-alone",
            "an unfiltered row whose token is taken by its place",
            "(work.outputs.kept == nullptr) & !is_enumerated;",
            "(work.outputs.kept == nullptr);",
        ),
        logits="bfloat16",
        tests="CudaOutputs.Every*",
    ),
    *in_file(
        "kernels/device/settings.cuh",
        (
            "supports-draw-nothing",
            "the token of a row that is not listed",
            "                     (task == Task::kSampleWithSupport) | (task == Task::kHeatLogits);",
            "                     (task == Task::kHeatLogits);",
        ),
        tests="*/Supports.*/float32Times33",
    ),
]
