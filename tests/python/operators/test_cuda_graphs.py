"""CUDA graphs: a captured call replays with whatever steps, slots, records and logits then lie in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from backends import pack
from operator_inputs import CONFIGS, OPERATORS, arguments_of, assert_same_bits, make_inputs, results_of
from torch import Tensor

import fire_sampling as fire

pytestmark = pytest.mark.every_backend


def captured(function: Callable[[], tuple[Tensor, ...]]) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
    """A graph of what `function` does, and the tensors that a replay fills."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = function()
    return graph, results


def test_three_replays_give_the_tokens_of_three_steps() -> None:
    rows = 64
    logits, _, _ = make_inputs(rows=rows, vocabulary=1000)
    records = pack(fire.SamplingConfig(seed=9), rows=rows)
    expected = [torch.ops.fire.sample(logits, torch.tensor(step), records) for step in range(3)]
    step = torch.tensor(0)

    def draw() -> tuple[Tensor, ...]:
        token = torch.ops.fire.sample(logits, step, records)
        step.add_(1)
        return (token,)

    graph, (token,) = captured(draw)
    step.zero_()
    for wanted in expected:
        graph.replay()
        assert torch.equal(token, wanted)
    assert not torch.equal(expected[0], expected[1])
    assert not torch.equal(expected[1], expected[2])


@pytest.mark.parametrize("name", OPERATORS)
def test_a_replay_reads_what_lies_in_memory_then(name: str) -> None:
    arguments = arguments_of(name, make_inputs(rows=20, vocabulary=5000, seed=1))
    others = arguments_of(name, make_inputs(rows=20, vocabulary=5000, seed=2))
    expected = tuple(result.clone() for result in results_of(name, tuple(a.clone() for a in others)))
    graph, results = captured(lambda: results_of(name, arguments))
    for argument, other in zip(arguments, others, strict=True):
        argument.copy_(other)
    graph.replay()
    assert_same_bits(results, expected)


def test_a_replay_reads_slots_and_records_that_changed() -> None:
    logits, step, _ = make_inputs(rows=7, vocabulary=500)
    records = pack(list(CONFIGS))
    slot = torch.zeros(7, dtype=torch.int32)
    graph, results = captured(lambda: tuple(torch.ops.fire.sample_with_logprobs(logits, step, records, slot)))
    slot.copy_(torch.arange(7).flip(0))
    records.copy_(pack([config.replace(seed=77) for config in CONFIGS]))
    graph.replay()
    assert_same_bits(results, torch.ops.fire.sample_with_logprobs(logits, step, records, slot))


def test_a_replay_scores_the_supports_that_it_draws() -> None:
    logits, step, records = make_inputs(rows=20, vocabulary=5000, seed=1)
    others = make_inputs(rows=20, vocabulary=5000, seed=2)
    temperature, grad = torch.ones(20), torch.full((20,), 0.5)

    def draw_and_score() -> tuple[Tensor, ...]:
        sampled = torch.ops.fire.sample_with_support(logits, step, records, width=300)
        token, support = sampled[0], sampled[6]
        scored = torch.ops.fire.support_log_prob(logits, token, support, temperature)
        grad_logits = torch.ops.fire.support_log_prob_backward(
            grad, grad, logits, token, support, temperature, scored[3]
        )
        return (*sampled, *scored, grad_logits)

    graph, results = captured(draw_and_score)
    for argument, other in zip((logits, step, records), others, strict=True):
        argument.copy_(other)
    graph.replay()
    replayed = tuple(result.clone() for result in results)
    assert_same_bits(replayed, draw_and_score())


# No kernel is loaded, no shared memory granted and no device asked before the capture begins.
FIRST_USE = """
import torch
import fire_sampling as fire
logits = torch.randn(2, 50_000, device="cuda", dtype=torch.bfloat16)
step = torch.zeros(2, dtype=torch.int64, device="cuda")
records = fire.pack(fire.SamplingConfig(top_k=50, top_p=0.9, seed=3), rows=2).cuda()
torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    token = torch.ops.fire.sample(logits, step, records)
graph.replay()
assert torch.equal(token, torch.ops.fire.sample(logits, step, records))
assert torch.equal(token.cpu(), torch.ops.fire.sample(logits.cpu(), step.cpu(), records.cpu()))
"""


def test_a_process_may_capture_the_first_call_that_it_makes() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
