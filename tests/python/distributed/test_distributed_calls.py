"""What ranks hold, and what a call does beside its result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from rank_pool import Place, RankPool
from shard_cases import batch, cut, shard
from test_distributed_equality import draw, same
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import fire_sampling as fire
import fire_sampling.distributed as sharded


def test_two_groups_at_once_do_not_mix(ranks: RankPool) -> None:
    alone = {size: ranks.run(draw, seed, size=size) for size, seed in ((2, 4), (4, 5))}
    for _ in range(3):
        together = ranks.run_each({2: (draw, (4,)), 4: (draw, (5,))})
        for size, results in together.items():
            for result, expected in zip(results, alone[size], strict=True):
                assert all(same(*pair) for pair in zip(result, expected, strict=True))


# ---- seeds ----


def draw_without_seed(place: Place, many: bool) -> tuple[Tensor, int]:
    """The tokens, and whether the rank's generator has been asked for a seed."""
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    mine = shard(logits, cut(0, 50, place.size), place.rank)
    config = fire.SamplingConfig(hot_steps=0)
    configs = [config.replace(seed=row if row % 2 else None) for row in range(6)] if many else config
    torch.manual_seed(10 + place.rank)
    before = torch.get_rng_state()
    token = sharded.sample(mine, 0, configs, group=place.group)
    return token, int(not torch.equal(before, torch.get_rng_state()))


@pytest.mark.parametrize("many", [False, True])
def test_a_missing_seed_is_the_one_that_rank_0_draws(ranks: RankPool, many: bool) -> None:
    results = ranks.run(draw_without_seed, many, size=3)
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    config = fire.SamplingConfig(hot_steps=0)
    configs = [config.replace(seed=row if row % 2 else None) for row in range(6)] if many else config
    torch.manual_seed(10)
    expected = fire.sample(logits, 0, configs)
    assert all(torch.equal(token, expected) for token, _ in results)
    assert [drew for _, drew in results] == [1, 0, 0]


# ---- memory ----

MEMORY_ROWS, MEMORY_VOCABULARY, MEMORY_RANKS = 32, 262_144, 4


class Sizes(TorchDispatchMode):
    """The largest tensor that any operator of torch makes: one that is no view of an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        given = {argument.untyped_storage().data_ptr() for argument in args if isinstance(argument, Tensor)}
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, Tensor) and result.untyped_storage().data_ptr() not in given:
                self.largest = max(self.largest, result.numel())
        return results


def peak_bytes() -> int:
    """The most memory that this process has held since `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> int:
    """What it holds now, from where on the peak counts."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measure(place: Place) -> list[tuple[int, int]]:
    """Of each config, the largest tensor's elements and the bytes beyond the shard."""
    columns = MEMORY_VOCABULARY // place.size
    mine = torch.randn(MEMORY_ROWS, columns, generator=torch.Generator().manual_seed(place.rank))
    found = []
    for config in (
        fire.SamplingConfig(top_k=50, seed=1, hot_steps=0),
        fire.SamplingConfig(seed=1, hot_steps=0),
        fire.SamplingConfig(top_p=0.9, temperature=1.5, seed=1, hot_steps=0),
        fire.SamplingConfig(top_k=5000, top_p=0.99, order="joint", seed=1, hot_steps=0),
    ):
        sharded.sample_with_logprobs(mine, 1, config, group=place.group)  # what is allocated once
        before = forget_peak()
        sharded.sample_with_logprobs(mine, 1, config, group=place.group)
        peak = peak_bytes() - before
        with Sizes() as sizes:
            sharded.sample_with_logprobs(mine, 1, config, group=place.group)
        found.append((sizes.largest, peak))
    return found


def test_no_rank_holds_more_than_its_shard_and_what_is_exchanged(ranks: RankPool) -> None:
    """The gathered rows are 32 MiB, a shard is 8 MiB: a call takes less than a quarter of a shard besides."""
    shard_bytes = MEMORY_ROWS * MEMORY_VOCABULARY * 4 // MEMORY_RANKS
    for rank, found in enumerate(ranks.run(measure, size=MEMORY_RANKS)):
        assert isinstance(found, list), found
        for largest, peak in found:
            assert largest < MEMORY_ROWS * MEMORY_VOCABULARY // MEMORY_RANKS // 4, rank
            assert peak < shard_bytes // 4, rank


# ---- few rows, large kept sets, long vocabularies ----


def draw_nothing(place: Place) -> list[Tensor]:
    """Every function on no rows."""
    logits, none = torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64)
    records = fire.pack(fire.SamplingConfig(seed=1), rows=0)
    keywords: dict[str, Any] = {"group": place.group}
    return [
        *sharded.sample_with_logprobs(logits, none, records, **keywords),
        sharded.sample(logits, 0, fire.SamplingConfig(), **keywords),
        sharded.log_prob(logits, none, 0, records, **keywords),
        sharded.process_logits(logits, 0, records, **keywords),
        sharded.heat_logits_(logits, 0, records, **keywords),
    ]


def test_no_rows_give_empty_results(ranks: RankPool) -> None:
    for results in ranks.run(draw_nothing, size=2):
        assert isinstance(results, list), results
        assert [tuple(result.shape) for result in results] == [(0,)] * 8 + [(0, 5)] * 2


def draw_large(place: Place, seed: int) -> list[Tensor]:
    case = batch(seed, vocabulary=20_011, rows=12)
    records = large_records()
    mine = shard(case.logits, cut(seed, 20_011, place.size), place.rank)
    return list(sharded.sample_with_logprobs(mine, case.step, records, group=place.group))


def large_records() -> Tensor:
    return fire.pack(
        [
            fire.SamplingConfig(
                temperature=(1.0, 30.0)[row % 2],
                top_k=(0, 5000, 1025, 19_999)[row % 4],
                top_p=(1.0, 0.95, 0.5)[row % 3],
                order=("hf", "vllm", "joint")[row % 3],
                ties=("exact", "keep", "keep_top_k")[row // 4],
                min_p=(0.0, 1e-4)[row // 3 % 2],
                hot_steps=0,
                seed=row,
            )
            for row in range(12)
        ]
    )


def test_kept_sets_of_thousands_are_those_of_the_gathered_rows(ranks: RankPool) -> None:
    for seed in range(6):
        case = batch(seed, vocabulary=20_011, rows=12)
        expected = fire.sample_with_logprobs(case.logits, case.step, large_records())
        for results in ranks.run(draw_large, seed, size=4):
            assert isinstance(results, list), results
            assert all(same(*pair) for pair in zip(results, expected, strict=True)), seed


# ---- autograd ----


def differentiate(place: Place) -> tuple[str, str]:
    """What a second derivative, and a write before the first, raise."""
    logits = torch.randn(3, 10, requires_grad=True)
    token = torch.zeros(3, dtype=torch.int64)
    config = fire.SamplingConfig(seed=1)
    value = sharded.log_prob(logits, token, 1, config, group=place.group).sum()
    (grad,) = torch.autograd.grad(value, logits, create_graph=True)
    told = []
    for action in (lambda: grad.sum().backward(), lambda: _write_then_differentiate(place, logits, token)):
        try:
            action()
            told.append("")
        except RuntimeError as error:
            told.append(str(error))
    return told[0], told[1]


def _write_then_differentiate(place: Place, logits: Tensor, token: Tensor) -> None:
    value = sharded.log_prob(logits, token, 1, fire.SamplingConfig(seed=1), group=place.group).sum()
    with torch.no_grad():
        logits += 1
    value.backward()


def test_log_prob_has_one_derivative_and_guards_what_it_saved(ranks: RankPool) -> None:
    for twice, written in ranks.run(differentiate, size=2):
        assert "its gradient cannot be differentiated again (no double backward)" in twice
        assert "modified by an inplace operation" in written


def heat_saved(place: Place) -> str:
    """What autograd raises where heated logits had been saved."""
    logits = torch.randn(3, 10)
    weight = torch.ones((), requires_grad=True)
    product = (logits * weight).sum()
    config = fire.SamplingConfig(seed=1)
    sharded.heat_logits_(logits, 0, config, group=place.group)
    try:
        product.backward()
    except RuntimeError as error:
        return str(error)
    return ""


def test_heated_logits_that_autograd_saved_are_not_used(ranks: RankPool) -> None:
    for told in ranks.run(heat_saved, size=2):
        assert "modified by an inplace operation" in told
