"""What a mutated kernel has to pass: tests of tests/cuda on the simulated device, quickest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mutations import Mutation


@dataclass(frozen=True)
class Check:
    name: str
    device: str  # FIRE_SIMULATOR
    seed: int
    tests: str  # a GoogleTest filter; {logits} is the type whose kernels are mutated
    seconds: int = 150


CHECKED = "races,uninitialised,bounds,threads=1"
CHECKS = [
    Check("random rows", f"seed=1,{CHECKED}", 1, "*SampleEquality*/{logits}Times1000"),
    Check("named rows", f"seed=2,{CHECKED}", 2, "*NamedRows*/{logits}Times700"),
    Check("rewriting", f"seed=3,{CHECKED}", 3, "*RowOutputs*/{logits}Times*-*Times700"),
    Check(
        "short rows",
        f"seed=2,{CHECKED}",
        2,
        "*SampleEquality*/{logits}Times32:*SampleEquality*/{logits}Times33",
    ),
    Check("layout", f"seed=1,{CHECKED}", 1, "CudaLayout.*:CudaApi.*"),
    Check("far tail", f"seed=1,{CHECKED}", 1, "FarTail.*"),
    Check("dipping weights", f"seed=1,{CHECKED}", 1, "DippingWeights.*"),
    Check("streamed rows", f"seed=1,{CHECKED}", 1, "*StreamedRows*/{logits}"),
    Check("longer rows", f"seed=3,{CHECKED}", 3, "*SampleEquality*/{logits}Times4096"),
    Check("more named rows", f"seed=1,{CHECKED}", 1, "*NamedRows*/{logits}Times5000"),
    Check("outputs", f"seed=2,{CHECKED}", 2, "CudaOutputs.*"),
    Check("weak memory", "seed=1,weak,deferred,bounds,threads=1", 4, "*SampleEquality*/{logits}Times1000"),
    Check("weak memory", "seed=2,weak,deferred,bounds,threads=1", 5, "*NamedRows*/{logits}Times700"),
    Check(
        "groups",
        f"seed=1,{CHECKED}",
        1,
        "*Groups*/{logits}Times*700:*Codes*/{logits}*:CudaGroups.*:CudaCodes.*",
    ),
    Check("long rows", f"seed=1,{CHECKED}", 1, "*LargeVocabulary*/{logits}Times32000"),
    Check(
        "supports",
        f"seed=1,{CHECKED}",
        1,
        "*/Supports.*/{logits}Times33:*/Supports.*/{logits}Times700:CudaSupport.*:*/Supports.*/{logits}Times5000",
    ),
    Check("given supports", f"seed=1,{CHECKED}", 1, "*GivenSupport*"),
    Check("flat rows", f"seed=1,{CHECKED}", 1, "*FlatRows*/{logits}"),
]
HOST_CHECK = Check("on the host", "", 1, "*")
# The check that runs what is built anew where a mutation names its source: no other does.
OF_SOURCE = {
    "support_log_prob": CHECKS[16],
    "shard_rows": Check("shards", f"seed=1,{CHECKED}", 1, "*Shards*", seconds=400),
}

# Which checks come first for the mutations of a file, by their number.
FIRST = {
    "csrc/definition/batch.h": 4,
    "csrc/definition/bits.h": 13,
    "csrc/definition/code.h": 13,
    "csrc/definition/design.h": 13,
    "csrc/definition/filter.h": 4,
    "csrc/definition/heat.h": 2,
    "kernels/device/group.cuh": 13,
    "kernels/device/row_outputs.cuh": 2,
    "kernels/device/row_search.cuh": 17,
    "kernels/device/row_tokens.cuh": 17,
    "kernels/device/searched_row.cuh": 17,
    "kernels/device/settings.cuh": 4,
    "kernels/device/sort.cuh": 13,
    "kernels/device/weights.cuh": 5,
    "kernels/device/support.cuh": 15,
    "kernels/first_code.cu": 13,
    "kernels/launch_typed.cuh": 4,
    "kernels/plan.cpp": 4,
}


def checks_for(mutation: Mutation | None) -> Iterator[tuple[Check, str]]:
    """The checks, and the filter of each."""
    logits = mutation.logits if mutation else "float32"
    capability = "9.0" if mutation is None or mutation.architecture == 90 else "8.6"
    checks = list(CHECKS)
    if mutation and mutation.is_of_the_host:
        checks = [HOST_CHECK]
    elif mutation and mutation.source:
        checks = [OF_SOURCE[mutation.source]]
    elif mutation and mutation.file in FIRST:
        checks.insert(0, checks.pop(FIRST[mutation.file]))
    if mutation and mutation.tests:
        checks.insert(0, Check("its own", f"seed=1,{CHECKED}", 1, mutation.tests))
    for check in checks:
        device = f"capability={capability},budget=20000000,{check.device}"
        yield (
            Check(check.name, device, check.seed, check.tests, check.seconds),
            check.tests.format(logits=logits),
        )
