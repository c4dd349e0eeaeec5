"""Mutations of csrc/definition/batch.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "csrc/definition/batch.h",
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
            "return ClampSlot(batch.slot[row * batch.slot_stride], batch.record_count);",
            "return {batch.slot[row * batch.slot_stride], false};",
        ),
    ),
]
