"""Rows made for trouble, the records that rule them, and the ways to cut a vocabulary into shards."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import torch
from torch import Tensor

import fire_sampling as fire
from fire_sampling import _native

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_ROWS = 48


class Batch(NamedTuple):
    """Arguments of a call on whole rows."""

    logits: Tensor  # [R, V]
    step: Tensor
    records: Tensor
    slot: Tensor | None
    token: Tensor  # int64 [R], some of them no tokens


def batch(seed: int, vocabulary: int | None = None, rows: int = _ROWS) -> Batch:
    """The same in every process."""
    chance = random.Random(seed)
    generator = torch.Generator("cpu").manual_seed(seed)
    if vocabulary is None:
        vocabulary = chance.choice((1, 2, 3, 7, 16, 61, 128, 257, 400, 511))
    dtype = DTYPES[seed % 3]
    logits = torch.stack([_row(chance, generator, vocabulary) for _ in range(rows)]).to(dtype)
    records = fire.pack([_config(chance, vocabulary) for _ in range(rows)])
    for row in range(0, rows, 9):  # any bits at all
        records[row] = torch.randint(-(2**31), 2**31, (16,), generator=generator).int()
    step = torch.randint(-1, 5, (rows,), generator=generator)
    step = step.int() if chance.random() < 0.3 else step
    slot = torch.randint(-1, rows + 1, (rows,), generator=generator).int() if chance.random() < 0.4 else None
    token = torch.randint(-1, vocabulary + 1, (rows,), generator=generator)
    likely = logits.float().nan_to_num(nan=-torch.inf).argmax(1)
    token = torch.where(torch.rand(rows, generator=generator) < 0.5, likely, token)
    return Batch(logits, step, records, slot, token)


def cut(seed: int, columns: int, ranks: int) -> list[int]:
    """How many columns each rank has, in order: some of them none."""
    chance = random.Random(seed * 8 + ranks)
    if chance.random() < 0.3:  # evenly, as engines do
        each = -(-columns // ranks)
        return [max(0, min(each, columns - each * rank)) for rank in range(ranks)]
    bounds = sorted(chance.choice((0, columns, chance.randint(0, columns))) for _ in range(ranks - 1))
    return [end - begin for begin, end in zip([0, *bounds], [*bounds, columns], strict=True)]


def shard(logits: Tensor, sizes: list[int], rank: int) -> Tensor:
    """That rank's columns, a view."""
    first = sum(sizes[:rank])
    return logits[:, first : first + sizes[rank]]


def _row(chance: random.Random, generator: torch.Generator, vocabulary: int) -> Tensor:
    normal = torch.randn(vocabulary, generator=generator)
    kind = chance.randrange(13)
    if kind == 0:
        return torch.full((vocabulary,), chance.choice((0.0, -0.0, 3.5, -1e4)))
    if kind == 1:  # two values
        return torch.where(normal < chance.choice((-1.0, 0.0, 1.5)), 2.0, chance.choice((1.9, 0.0, -200.0)))
    if kind == 2:  # ties
        return (normal * 2).round() / 2
    if kind == 3:  # flat
        return normal * 1e-3
    if kind == 4:  # steep
        return normal * 40
    if kind == 5:  # a mask
        return torch.where(torch.rand(vocabulary, generator=generator) < 0.8, -torch.inf, normal)
    if kind == 6:
        return torch.full((vocabulary,), -torch.inf)
    if kind == 7:
        return torch.where(torch.rand(vocabulary, generator=generator) < 0.2, torch.nan, normal)
    if kind == 8:
        return torch.where(torch.rand(vocabulary, generator=generator) < 0.02, torch.inf, normal)
    if kind == 9:  # neighbours, where rounded weights may dip
        return 1 + torch.arange(vocabulary).flip(0) * 2.0**-23
    if kind == 10:
        return torch.sort(normal * 3).values
    return normal * chance.choice((1.0, 3.0, 8.0))


def _config(chance: random.Random, vocabulary: int) -> fire.SamplingConfig:
    def temperature() -> float:
        return chance.choice((1.0, 1.0, 0.7, 1.7, 0.0, float("inf"), 30.0, 1e-3))

    def top_k() -> int:
        return chance.choice((0, 0, 1, 2, 5, 40, 64, 65, max(1, vocabulary // 2), vocabulary))

    def top_p() -> float:
        return chance.choice((1.0, 1.0, 0.9, 0.5, 0.0, 0.999, 1e-6))

    def min_p() -> float:
        return chance.choice((0.0, 0.0, 0.05, 0.5, 1.0, 1e-9))

    design: Any = chance.choice(("none", "none", "iid", "stratified", "lattice", "enumerated", "enumerated"))
    order: Any = chance.choice(tuple(_native.ORDER_FLAGS))
    ties: Any = chance.choice(tuple(_native.TIES_FLAGS))
    size = chance.choice((1, 3, 16, 1000))
    group = {} if design == "none" else {"group_size": size, "member": chance.randrange(size)}
    return fire.SamplingConfig(
        temperature=temperature(),
        top_k=top_k(),
        top_p=top_p(),
        min_p=min_p(),
        hot_temperature=temperature(),
        hot_top_k=top_k(),
        hot_top_p=chance.choice((None, top_p())),
        hot_min_p=chance.choice((None, min_p())),
        hot_begin=chance.choice((0, 0, 1)),
        hot_steps=chance.choice((0, 1, 2)),
        order=order,
        ties=ties,
        seed=chance.getrandbits(64),
        stream=chance.choice((0, 1)),
        ref_temperature=chance.choice((None, 1.0, 0.5)),
        design=design,
        **group,
    )
