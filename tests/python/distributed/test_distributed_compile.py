"""The functions within torch.compile: they are called between its graphs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rank_pool import Failed, Place, RankPool
from shard_cases import cut, shard
from test_distributed_equality import same
from torch import Tensor

import fire_sampling as fire
import fire_sampling.distributed as sharded

ROWS, VOCABULARY = 4, 40
CONFIG = fire.SamplingConfig(temperature=0.8, top_p=0.9, seed=1)


def logits() -> Tensor:
    return torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(2))


def steps(mine: Tensor, records: Any, keywords: dict[str, Any]) -> tuple[Tensor, ...]:
    """A decoding step around every function."""
    halved = mine / 2
    token = sharded.sample(halved, 0, records, **keywords)
    drawn = sharded.sample_with_logprobs(halved, 1, records, **keywords)
    value = sharded.log_prob(halved, token, 0, records, **keywords)
    processed = sharded.process_logits(halved, 0, records, **keywords)
    with torch.no_grad():
        heated = sharded.heat_logits_(halved.detach().clone(), 0, records, **keywords)
    return token + 1, drawn.token, value * 3, processed, heated


def run(place: Place, packed: bool) -> list[tuple[Tensor, Tensor]]:
    """Results and gradient, compiled and eager."""
    mine = shard(logits(), cut(0, VOCABULARY, place.size), place.rank).contiguous()
    records = fire.pack(CONFIG, ROWS) if packed else CONFIG
    pairs = []
    for call in (torch.compile(steps, backend="eager"), steps):
        leaf = mine.clone().requires_grad_()
        results = call(leaf, records, {"group": place.group})
        torch.autograd.backward(results[2].nan_to_num(neginf=0).sum())
        assert leaf.grad is not None
        pairs.append([*(result.detach() for result in results), leaf.grad])
    torch.compiler.reset()
    return list(zip(*pairs, strict=True))


@pytest.mark.parametrize("packed", [True, False])
def test_a_compiled_step_gives_what_an_eager_one_does(ranks: RankPool, packed: bool) -> None:
    for pairs in ranks.run(run, packed, size=2):
        assert isinstance(pairs, list), pairs
        assert len(pairs) == 6
        assert all(same(*pair) for pair in pairs)


def run_whole(place: Place) -> None:
    call = torch.compile(steps, backend="eager", fullgraph=True)
    call(shard(logits(), [20, 20], place.rank), CONFIG, {"group": place.group})


def test_one_graph_for_all_is_refused_with_the_reason(ranks: RankPool) -> None:
    for failure in ranks.run(run_whole, size=2):
        assert isinstance(failure, Failed)
        assert "the exchanges of fire_sampling.distributed depend on values" in failure.text, failure
