"""Work goes to torch's current stream of the logits' device, and nothing waits for it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from operator_inputs import OPERATORS, arguments_of, assert_same_bits, make_inputs, results_of
from torch import Tensor

pytestmark = pytest.mark.every_backend

HALF_A_SECOND = 1_000_000_000  # cycles of any GPU's clock, roughly


@pytest.mark.parametrize("name", OPERATORS)
def test_a_call_on_a_stream_follows_the_work_before_it_there(name: str) -> None:
    arguments = arguments_of(name, make_inputs(seed=3))
    filled_late = tuple(torch.zeros_like(argument) for argument in arguments)
    results_of(name, tuple(argument.clone() for argument in filled_late))
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(HALF_A_SECOND)
        for late, argument in zip(filled_late, arguments, strict=True):
            late.copy_(argument)
        results = results_of(name, filled_late)
        assert not stream.query()  # the host is here while the stream still sleeps
    stream.synchronize()
    assert_same_bits(results, results_of(name, arguments))


@pytest.mark.parametrize("name", OPERATORS)
def test_a_call_never_waits_for_the_device(name: str) -> None:
    arguments = arguments_of(name, make_inputs())
    torch.cuda.set_sync_debug_mode("error")
    try:
        results_of(name, arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", OPERATORS)
def test_logits_choose_the_device_whichever_is_current(name: str) -> None:
    arguments = arguments_of(name, make_inputs())
    expected = results_of(name, tuple(argument.clone() for argument in arguments))
    for index in range(torch.cuda.device_count()):
        there = tuple(argument.to(f"cuda:{index}", copy=True) for argument in arguments)
        for current in range(torch.cuda.device_count()):
            with torch.cuda.device(current):
                results = results_of(name, tuple(argument.clone() for argument in there))
                assert torch.cuda.current_device() == current
            assert {result.device.index for result in results} == {index}
            assert_same_bits(tuple(result.to(expected[0].device) for result in results), expected)


# Two rows of a large vocabulary share the largest clusters that there are.
@pytest.mark.parametrize(("rows", "vocabulary"), [(9, 5000), (2, 50_000)])
def test_a_thread_that_has_touched_no_gpu_draws_and_differentiates_on_its_logits_device(
    rows: int, vocabulary: int
) -> None:
    inputs = make_inputs(rows=rows, vocabulary=vocabulary)

    def draw(index: int) -> tuple[Tensor, Tensor]:
        logits, step, records = (argument.to(f"cuda:{index}") for argument in inputs)
        logits.requires_grad_()
        token = torch.ops.fire.sample(logits, step, records)
        torch.ops.fire.log_prob(logits, token, step, records).sum().backward()
        assert logits.grad is not None
        assert (token.device.index, logits.grad.device.index) == (index, index)
        return token.cpu(), logits.grad.cpu()

    expected = draw(0)
    for index in range(torch.cuda.device_count()):
        with ThreadPoolExecutor(1) as new_thread:
            assert_same_bits(new_thread.submit(draw, index).result(), expected)


# What torch itself makes, of its own threads' devices too, is there before the first draw.
ONE_DEVICE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import torch
import fire_sampling as fire

device = torch.device("cuda", int(sys.argv[1]))
logits = torch.zeros(2, 50_000, device=device, requires_grad=True)
step = torch.zeros(2, dtype=torch.int64, device=device)
records = fire.pack(fire.SamplingConfig(seed=3), rows=2).to(device)

def contexts():
    return [torch._C._cuda_hasPrimaryContext(index) for index in range(torch.cuda.device_count())]

def draw():
    token = torch.ops.fire.sample(logits, step, records)
    torch.ops.fire.log_prob(logits, token, step, records).sum().backward()

logits.sum().backward()
before = contexts()
draw()
with ThreadPoolExecutor(1) as new_thread:
    new_thread.submit(draw).result()
torch.cuda.synchronize(device)
assert contexts() == before, (before, contexts())
"""


def test_a_draw_takes_no_memory_of_another_device_for_a_context() -> None:
    last = torch.cuda.device_count() - 1
    done = subprocess.run([sys.executable, "-c", ONE_DEVICE, str(last)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
