"""Every output of every function on shards is that of the gathered rows, in every bit and on every rank."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rank_pool import MEMBERS, Place, RankPool
from shard_cases import DTYPES, Batch, batch, cut, shard
from torch import Tensor

import fire_sampling as fire
import fire_sampling.distributed as sharded

SEEDS = range(30)
# An entries argument that settles nothing, one that settles some rows, and the default.
ENTRIES = (1, 7, None, None, None)


def options(place: Place, seed: int, columns: int, vocabulary: int) -> tuple[list[int], dict[str, Any]]:
    """How this seed cuts the columns, and the keywords of the call."""
    sizes = cut(seed, columns, place.size)
    keywords: dict[str, Any] = {"group": place.group, "entries": ENTRIES[seed % len(ENTRIES)]}
    if columns != vocabulary:
        keywords["vocabulary"] = vocabulary
    if seed % 4 == 1:
        keywords["first_id"] = sum(sizes[: place.rank])
    if seed % 8 == 1:
        keywords.update(vocabulary=vocabulary, checked=False)
    return sizes, keywords


def padded(case: Batch, seed: int) -> Tensor:
    """The logits with columns behind the vocabulary that would win every draw, for some seeds."""
    if seed % 3 != 2:
        return case.logits
    padding = case.logits.new_full((case.logits.shape[0], seed % 5 * 11 + 1), torch.inf)
    return torch.cat((case.logits, padding), 1)


def draw(place: Place, seed: int) -> tuple[Tensor, ...]:
    case = batch(seed)
    columns = padded(case, seed)
    sizes, keywords = options(place, seed, columns.shape[1], case.logits.shape[1])
    mine = shard(columns, sizes, place.rank)
    arguments = (case.step, case.records, case.slot)
    drawn = sharded.sample_with_logprobs(mine, *arguments, **keywords)
    alone = sharded.sample(mine, *arguments, **keywords)
    value = sharded.log_prob(mine, case.token, *arguments, **keywords)
    short = sharded.sample_with_logprobs(mine, *arguments, reference=False, **keywords)
    return *drawn, alone, value, *short


def local(place: Place, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """What of `process_logits`, `heat_logits_` and the gradient of `log_prob` is this rank's."""
    case = batch(seed)
    columns = padded(case, seed)
    sizes, keywords = options(place, seed, columns.shape[1], case.logits.shape[1])
    mine = shard(columns, sizes, place.rank)
    arguments = (case.step, case.records, case.slot)
    processed = sharded.process_logits(mine, *arguments, **keywords)
    heated = mine.float().clone()
    assert sharded.heat_logits_(heated, *arguments, **keywords) is heated
    leaf = mine.clone().requires_grad_()
    value = sharded.log_prob(leaf, case.token, *arguments, **keywords)
    (value * torch.linspace(-2, 3, len(value)))[value.isfinite()].sum().backward()
    assert leaf.grad is not None
    return processed, heated, leaf.grad


def same(result: Tensor, expected: Tensor) -> bool:
    """Equality in dtype, shape and every bit, but that a NaN is a NaN."""
    if result.dtype != expected.dtype or result.shape != expected.shape:
        return False
    return bool(((_bits(result) == _bits(expected)) | (result.isnan() & expected.isnan())).all())


def _bits(tensor: Tensor) -> Tensor:
    """Integers in which +0 is not -0."""
    if not tensor.is_floating_point():
        return tensor
    return tensor.contiguous().view({2: torch.int16, 4: torch.int32}[tensor.element_size()])


@pytest.fixture(scope="module")
def whole() -> dict[int, tuple[Tensor, ...]]:
    """What `draw` has to return, from gathered rows."""
    expected: dict[int, tuple[Tensor, ...]] = {}
    for seed in SEEDS:
        case = batch(seed)
        arguments = (case.step, case.records, case.slot)
        drawn = fire.sample_with_logprobs(case.logits, *arguments)
        alone = fire.sample(case.logits, *arguments)
        value = fire.log_prob(case.logits, case.token, *arguments)
        short = fire.sample_with_logprobs(case.logits, *arguments, reference=False)
        expected[seed] = (*drawn, alone, value, *short)
    return expected


NAMES = (
    *(f"sample_with_logprobs.{field}" for field in fire.SampleWithLogprobs._fields),
    "sample",
    "log_prob",
    *(f"without reference.{field}" for field in fire.SampleWithLogprobs._fields),
)


def test_the_cases_are_at_least_5000_rows_and_hold_every_kind() -> None:
    cases = [batch(seed) for seed in SEEDS]
    assert sum(len(case.logits) for case in cases) * len(MEMBERS) >= 5000
    assert {case.logits.dtype for case in cases} == set(DTYPES)
    flags = torch.cat([case.records[:, 10] for case in cases])
    assert {int(f) & 3 for f in flags} == {int(f) >> 2 & 3 for f in flags} == {0, 1, 2, 3}
    assert {int(f) >> 5 & 7 for f in flags} >= {0, 1, 2, 3, 4}
    status = torch.cat([fire.sample_with_logprobs(*case[:4]).status for case in cases])
    for bit in range(7):
        assert (status >> bit & 1).any(), bit
    sizes = [cut(seed, 100, 8) for seed in SEEDS]
    assert any(0 in each for each in sizes)
    assert any(len(set(each)) > 2 for each in sizes)


@pytest.mark.parametrize("size", MEMBERS)
def test_a_draw_from_shards_is_that_of_the_gathered_rows_on_every_rank(
    ranks: RankPool, whole: dict[int, tuple[Tensor, ...]], size: int
) -> None:
    for seed in SEEDS:
        for rank, results in enumerate(ranks.run(draw, seed, size=size)):
            assert isinstance(results, tuple), (seed, rank, results)
            for name, result, expected in zip(NAMES, results, whole[seed], strict=True):
                assert same(result, expected), (
                    f"seed {seed}, rank {rank}: {name} in rows "
                    f"{(~((result == expected) | result.isnan())).nonzero().flatten().tolist()}"
                )


@pytest.mark.parametrize("size", [2, 3, 8])
def test_local_parts_are_those_of_the_gathered_rows(ranks: RankPool, size: int) -> None:
    for seed in SEEDS[::2]:
        case = batch(seed)
        arguments = (case.step, case.records, case.slot)
        vocabulary = case.logits.shape[1]
        processed = fire.process_logits(case.logits, *arguments)
        heated = fire.heat_logits_(case.logits.float().clone(), *arguments)
        leaf = case.logits.clone().requires_grad_()
        value = fire.log_prob(leaf, case.token, *arguments)
        (value * torch.linspace(-2, 3, len(value)))[value.isfinite()].sum().backward()
        assert leaf.grad is not None
        parts = ranks.run(local, seed, size=size)
        assert all(isinstance(part, tuple) for part in parts), (seed, parts)
        for name, expected, padding, of_rank in zip(
            ("process_logits", "heat_logits_", "gradient"),
            (processed, heated, leaf.grad),
            (-torch.inf, torch.inf, 0),
            zip(*parts, strict=True),
            strict=True,
        ):
            result = torch.cat(of_rank, 1)
            assert same(result[:, :vocabulary], expected), f"seed {seed}: {name}"
            assert (result[:, vocabulary:] == padding).all(), f"seed {seed}: {name} beyond the vocabulary"
