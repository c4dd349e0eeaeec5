"""Mutations of kernels/device/sample.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/device/sample.cuh",
        (
            "outputs-beside-a-log-probability-left",
            "outputs are written where no log-probability is",
            "if (IsTokenAlone()) return;",
            "if (outputs_.logprob == nullptr) return;",
        ),
        (
            "blocks-leave-early",
            "a block leaves while its peers still need it",
            "Look();\n    if (row_.IsListed() & !row_.team().IsLeader()) return;",
            "Look();\n    if (!row_.team().IsLeader()) return;",
        ),
        (
            "rank-counts-to-the-token",
            "the rank of a token with equals",
            "at_least_drawn = {.last = LastOfKey(KeyOf(found.drawn)),",
            "at_least_drawn = {.last = found.drawn,",
        ),
        (
            "code-of-a-row-without-a-draw",
            "a row that draws nothing keeps its code",
            "    if (row_.HasOneToken()) return code;\n",
            "",
        ),
        (
            "code-of-the-row-mass",
            "the weight that a code is divided by",
            "WeightOfKey(KeyOf(found.drawn), ScaleOf(SharedStorage())),\n",
            "found.mass,\n",
        ),
        (
            "reference-of-the-row-mass",
            "the mass of ref_logprob",
            "RowMass(1, SharedStorage())",
            "RowMass(0, SharedStorage())",
        ),
        (
            "prior-kernels-not-awaited",
            "logits are read while the kernel before still writes them",
            "  ptx::WaitForPriorGrids();\n",
            "",
        ),
        (
            "rule-of-the-rank-not-awaited",
            "tokens are counted before it is known which",
            "      __syncthreads();  // the rule is written; else some threads count by an older one\n",
            "",
        ),
    ),
]
