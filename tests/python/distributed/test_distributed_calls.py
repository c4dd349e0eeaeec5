"""How often ranks exchange, what they hold, and what a call does beside its result."""

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
from fire_sampling.distributed._ranks import Ranks


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


# ---- exchanges ----


def exchanges(place: Place, config: fire.SamplingConfig, keywords: dict[str, Any]) -> list[tuple[str, int]]:
    """The collectives of one call, each with the bytes that this rank brings."""
    done: list[tuple[str, int]] = []
    kept = {name: getattr(Ranks, name) for name in ("gather", "add", "first")}

    def spy(name: str) -> Any:
        def call(self: Ranks, mine: Tensor) -> Tensor:
            done.append((name, mine.nbytes))
            result: Tensor = kept[name](self, mine)
            return result

        return call

    logits = torch.randn(8, 4000, generator=torch.Generator().manual_seed(3))
    mine = shard(logits, [1000] * 4, place.rank)
    try:
        for name in kept:
            setattr(Ranks, name, spy(name))
        sharded.sample_with_logprobs(
            mine, 0, config, group=place.group, first_id=1000 * place.rank, vocabulary=4000, **keywords
        )
    finally:
        for name, function in kept.items():
            setattr(Ranks, name, function)
    return done


def collectives(ranks: RankPool, config: fire.SamplingConfig, **keywords: Any) -> list[tuple[str, int]]:
    first, *others = ranks.run(exchanges, config, keywords, size=4)
    assert all(other == first for other in others), "ranks disagree on what is exchanged"
    assert isinstance(first, list), first
    return first


def test_rows_that_top_k_bounds_take_one_exchange(ranks: RankPool) -> None:
    config = fire.SamplingConfig(top_k=50, top_p=0.9, hot_steps=0, seed=1)
    done = collectives(ranks, config, reference=False)
    entries = ("gather", 8 * (50 + 1) * 8)
    assert done[1:] == [entries]
    assert collectives(ranks, config, reference=False, checked=False) == [entries]
    assert collectives(ranks, config.replace(temperature=0.0), reference=False, checked=False) == [
        ("gather", 8 * (1 + 1) * 8)
    ]


def test_entries_are_never_more_than_the_gather_that_they_are_to_save(ranks: RankPool) -> None:
    """Of float32 rows of 4,000 on four ranks 500 entries a rank are as many bytes: 499 and the flags."""
    config = fire.SamplingConfig(top_k=499, hot_steps=0, seed=1)
    gathered = collectives(ranks, config, reference=False, checked=False)
    assert gathered == [("gather", 8 * 500 * 8)]
    searched = collectives(ranks, config.replace(top_k=500), reference=False, checked=False)
    assert searched[0] == ("gather", 8 * (64 + 1) * 8)
    assert len(searched) > 1


def test_top_p_of_the_whole_row_takes_one_exchange_more_beside_top_k(ranks: RankPool) -> None:
    config = fire.SamplingConfig(top_k=50, top_p=0.9, order="joint", hot_steps=0, seed=1)
    done = collectives(ranks, config, reference=False, checked=False)
    assert done == [("gather", 8 * (50 + 1) * 8), ("add", 8 * 6 * 16 + 8)]


def test_rows_without_filters_take_three_exchanges(ranks: RankPool) -> None:
    config = fire.SamplingConfig(hot_steps=0, seed=1)
    done = collectives(ranks, config, reference=False, checked=False)
    assert [name for name, _ in done] == ["gather", "add", "add"]
    assert [size for _, size in done] == [8 * (1 + 1) * 8, 8 * 6 * 16 + 8, 8 * 2 * 16 + 8]


def test_flat_rows_under_top_p_take_a_search_of_few_exchanges(ranks: RankPool) -> None:
    config = fire.SamplingConfig(temperature=30.0, top_p=0.9, hot_steps=0, seed=1)
    done = collectives(ranks, config, checked=False)
    assert 4 <= len(done) <= 11
    assert sum(size for _, size in done) < 8 * 4000 * 4  # of a row


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


# ---- a fixed number of rounds ----


def draw_in_rounds(place: Place, config: fire.SamplingConfig, rounds: int, reference: bool) -> Any:
    """Every output, drawn while no number of a tensor reaches the host."""
    logits, records = _rounds_logits(), fire.pack(config, rows=12)
    sizes = cut(1, logits.shape[1], place.size)
    mine, first_id = shard(logits, sizes, place.rank), sum(sizes[: place.rank])

    def refuse(self: Tensor) -> None:
        raise AssertionError("the host looks at a tensor")

    with pytest.MonkeyPatch.context() as patch:
        for look in ("item", "tolist", "numpy", "__bool__", "__int__"):
            patch.setattr(Tensor, look, refuse)
        return sharded.sample_with_logprobs(
            mine,
            torch.tensor(1),
            records,
            reference=reference,
            group=place.group,
            first_id=first_id,
            vocabulary=logits.shape[1],
            entries=20,
            checked=False,
            rounds=rounds,
        )


def _rounds_logits() -> Tensor:
    return torch.randn(12, 300, generator=torch.Generator().manual_seed(5)) * 3


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize(
    ("config", "rounds"),
    [
        (fire.SamplingConfig(top_k=20, top_p=0.9, seed=1), 0),
        (fire.SamplingConfig(temperature=0.0, seed=1), 0),
        (fire.SamplingConfig(temperature=0.3, top_p=0.5, seed=1), 1),
        (fire.SamplingConfig(seed=1), 2),
        (fire.SamplingConfig(top_k=250, top_p=0.99, order="joint", seed=1), 19),
    ],
)
def test_so_many_rounds_settle_rows_without_a_look_at_them(
    ranks: RankPool, config: fire.SamplingConfig, rounds: int, reference: bool
) -> None:
    drawn = ranks.run(draw_in_rounds, config, rounds + reference, reference, size=3)
    records = fire.pack(config, rows=12)
    expected = fire.sample_with_logprobs(_rounds_logits(), 1, records, reference=reference)
    assert all(same(*pair) for result in drawn for pair in zip(result, expected, strict=True))


def test_a_row_that_wants_more_rounds_says_that_it_is_not_drawn(ranks: RankPool) -> None:
    for rounds in range(2):
        for drawn in ranks.run(draw_in_rounds, fire.SamplingConfig(seed=1), rounds, True, size=3):
            assert (drawn.status == int(fire.Status.UNSETTLED)).all()
            assert ((drawn.token >= 0) & (drawn.token < 300)).all()
            assert drawn.logprob.isnan().all()
            assert drawn.ref_logprob.isnan().all()
            assert (drawn.rank == -1).all()
