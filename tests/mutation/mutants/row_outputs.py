"""Mutations of kernels/device/row_outputs.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/row_outputs.cuh",
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
            "row_.HasOneToken() ||"
            " (heats && !definition::HandsOver(settings.record, row_.Part().vocabulary()));",
            "row_.HasOneToken();",
        ),
        (
            "place-is-no-one-hot",
            "processed logits of a row whose token is taken by its place",
            "const bool is_one_hot =\n        row_.HasOneToken()",
            "const bool is_one_hot =\n        row_.IsDecided()",
        ),
        (
            "place-has-a-gradient",
            "the gradient of a row whose token is taken by its place",
            "const bool has_gradient = is_kept && !row_.HasOneToken();",
            "const bool has_gradient = is_kept && !row_.IsDecided();",
        ),
        (
            "regular-rows-heated",
            "rows that are not hot are rewritten",
            "    if (work_.task == Task::kHeatLogits && !settings.phase.hot) return;\n",
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
