"""What a call of an operator makes the device do; only the simulated device counts it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import torch
from backends import Counts, simulated
from conftest import RunPython
from operator_inputs import DTYPES, OPERATORS, arguments_of, make_inputs, results_of

pytestmark = pytest.mark.every_backend


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_a_call_is_one_launch_without_waiting_or_allocating(
    name: str, dtype: torch.dtype, reference: bool
) -> None:
    assert simulated is not None
    arguments = arguments_of(name, make_inputs(dtype=dtype))
    keywords = {"reference": reference} if "_with_" in name else {}
    simulated.counts()
    results_of(name, arguments, **keywords)
    assert simulated.counts() == Counts(launches=1, waits=0, allocations=0)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_call_without_rows_launches_nothing(name: str) -> None:
    assert simulated is not None
    arguments = arguments_of(name, make_inputs(rows=1))
    simulated.counts()
    results_of(name, tuple(argument[:0] for argument in arguments))
    assert simulated.counts() == Counts(launches=0, waits=0, allocations=0)


def test_a_refused_call_launches_nothing() -> None:
    assert simulated is not None
    logits, step, cfg = make_inputs()
    simulated.counts()
    with pytest.raises(RuntimeError, match="cfg has S = 8"):
        torch.ops.fire.sample(logits, step, cfg[:8])
    assert simulated.counts() == Counts(launches=0, waits=0, allocations=0)


# In a process of its own: after a fault the device answers nothing more.
ONE_BYTE_LESS_PROGRAM = """
import torch
from backends import simulated
from operator_inputs import arguments_of, make_inputs, results_of
arguments = arguments_of("{name}", make_inputs())
results_of("{name}", arguments)
assert simulated.reports() == ""
simulated.withhold(1)
try:
    results_of("{name}", arguments)
except RuntimeError as error:
    print("refused:", error)
print("reported:", simulated.reports())
"""


@pytest.mark.parametrize("name", OPERATORS)
def test_a_kernel_that_touches_a_byte_beyond_its_tensors_is_caught(name: str, run_python: RunPython) -> None:
    child = run_python("-c", ONE_BYTE_LESS_PROGRAM.format(name=name), PYTHONPATH=os.pathsep.join(sys.path))
    assert child.returncode == 0, child.stderr
    assert "refused: " in child.stdout
    assert re.search("reported: .*(kernels|csrc/definition)/.*[0-9]", child.stdout), child.stdout


PROFILED_PROGRAM = """
import backends
import torch
from fire_sampling import SamplingConfig, pack
for rows, vocabulary in ((1, 128256), (400, 40000)):
    logits = torch.zeros(rows, vocabulary, dtype=torch.bfloat16)
    torch.ops.fire.sample(logits, torch.zeros(rows, dtype=torch.int64), pack(SamplingConfig(), rows=rows))
"""


def test_a_profiler_shows_each_call_and_in_it_the_launch_that_its_shape_gets(run_python: RunPython) -> None:
    library = Path(os.environ["FIRE_SIMULATED_LIBRARY"]).with_name("libfire_sampling_test_profiler.so")
    child = run_python(
        "-c",
        PROFILED_PROGRAM,
        PYTHONPATH=os.pathsep.join(sys.path),
        NVTX_INJECTION64_PATH=str(library),
        FIRE_SIMULATOR="",
    )
    assert child.returncode == 0, child.stderr
    assert re.findall(r"^range \d: .*", child.stderr, re.MULTILINE) == [
        "range 0: fire::sample",
        "range 1: 16 blocks a row, resident",
        "range 0: fire::sample",
        "range 1: 1 block a row, streaming",
    ]
