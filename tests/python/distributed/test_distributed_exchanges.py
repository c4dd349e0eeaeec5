"""How often ranks exchange, and what a fixed number of rounds settles."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds shards)
from rank_pool import Place, RankPool
from shard_cases import cut, shard
from shards import exchanges_of
from test_distributed_equality import same
from torch import Tensor

import fire_sampling as fire
import fire_sampling.distributed as sharded


def exchanges(place: Place, config: fire.SamplingConfig, keywords: dict[str, Any]) -> list[tuple[str, int]]:
    """The collectives of one call, each with the bytes that this rank brings."""
    logits = torch.randn(8, 4000, generator=torch.Generator().manual_seed(3))
    mine = shard(logits, [1000] * 4, place.rank)
    given = {"group": place.group, "first_id": 1000 * place.rank, "vocabulary": 4000, **keywords}
    return exchanges_of(lambda: sharded.sample_with_logprobs(mine, 0, config, **given))


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
