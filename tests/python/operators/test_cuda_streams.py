"""Work goes to torch's current stream of the logits' device, and nothing waits for it."""

from __future__ import annotations

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


def test_a_thread_that_has_touched_no_gpu_draws_and_differentiates_on_its_logits_device() -> None:
    inputs = make_inputs(rows=9, vocabulary=5000)

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
