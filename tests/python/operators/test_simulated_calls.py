"""What a call of an operator makes the device do; only the simulated device counts it."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from backends import Counts, simulated
from conftest import RunPython
from operator_inputs import DTYPES, OPERATORS, arguments_of, assert_same_bits, make_inputs, results_of
from torch import Tensor

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


@pytest.mark.parametrize("name", OPERATORS)
def test_a_call_runs_on_its_logits_device_though_only_torchs_runtime_was_told_of_it(name: str) -> None:
    assert simulated is not None
    arguments = arguments_of(name, make_inputs())

    def results() -> tuple[Tensor, ...]:
        return results_of(name, tuple(argument.clone() for argument in arguments))

    expected = results()
    for device in (1, 0, 1):
        with simulated.placed_on(device):
            assert_same_bits(results(), expected)
            with ThreadPoolExecutor(1) as new_thread:
                assert_same_bits(new_thread.submit(results).result(), expected)
    assert_same_bits(results(), expected)


def test_a_call_on_a_device_that_is_not_there_is_an_error_and_the_next_one_works() -> None:
    assert simulated is not None
    inputs = make_inputs()
    expected = torch.ops.fire.sample(*inputs)
    with simulated.placed_on(99), pytest.raises(RuntimeError, match="device: invalid device ordinal"):
        torch.ops.fire.sample(*inputs)
    assert torch.equal(torch.ops.fire.sample(*inputs), expected)


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
