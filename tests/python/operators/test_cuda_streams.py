"""Work goes to torch's current stream of the logits' device, and nothing waits for it."""

from __future__ import annotations

import pytest
import torch
from operator_inputs import OPERATORS, arguments_of, assert_same_bits, make_inputs, results_of

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
