"""Mutations of kernels/device/settings.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/settings.cuh",
        (
            "step-in-32-bits",
            "the upper word of the draw's counter",
            "definition::SeedOf(record), input.step,",
            "definition::SeedOf(record), static_cast<int32_t>(input.step),",
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
            "below = definition::Divide(distance - definition::kMinPMargin,",
            "below = definition::Divide(distance + definition::kMinPMargin,",
        ),
        (
            "min-p-margin-above-reversed",
            "a list trusted just above min-p's threshold",
            "above = definition::Divide(distance + definition::kMinPMargin,",
            "above = definition::Divide(distance - definition::kMinPMargin,",
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
            "if (lane == 1) settings->ref_temperature",
            "if (lane == 0) settings->ref_temperature",
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
]
