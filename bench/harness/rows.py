"""The rows of logits that are sampled, on any device, and the rotation that keeps them out of every cache."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .cases import Case

ROTATION = 4  # a rotation reads this many times the last-level cache before it meets a row again
_LIKELY = 64  # of a peaked row
_CHUNK = 1 << 23  # logits that are made at once


def make_rows(kind: str, count: int, vocabulary: int, dtype: str = "float32", device: str = "cpu") -> Tensor:
    """[count, vocabulary] of logits; the same in every run on the same device.

    peaked: normal noise of deviation 2 and 64 tokens well above it, at random places, whose probabilities
    fall as rank^-1.5: a nucleus of 0.9 holds some tens of tokens, as a language model's does.
    gaussian: normal noise of deviation 3: a nucleus of 0.9 holds about 4 % of the vocabulary.
    flat: normal noise of deviation 1: a nucleus of 0.9 holds about 60 % of the vocabulary.
    ties: the gaussian ones rounded to whole numbers: some thirty values share the vocabulary.
    masked: the peaked ones, nine tokens in ten at −inf, as a grammar leaves them.
    """
    generator = torch.Generator(device=device).manual_seed(vocabulary)
    out = torch.empty(count, vocabulary, dtype=getattr(torch, dtype), device=device)
    for part in out.split(max(1, _CHUNK // vocabulary)):
        part.copy_(_make_part(kind, part.shape[0], vocabulary, generator))
    return out


def _make_part(kind: str, count: int, vocabulary: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    rows = torch.randn(count, vocabulary, generator=generator, device=device)
    if kind == "flat":
        return rows
    if kind in ("gaussian", "ties"):
        rows *= 3
        return rows if kind == "gaussian" else rows.round_()
    if kind not in ("peaked", "masked"):
        raise ValueError(f"kind of logits: got {kind!r}, expected of peaked, gaussian, flat, ties, masked")
    rows *= 2
    likely = min(_LIKELY, vocabulary)
    logits = 18 - 1.5 * torch.log(torch.arange(1, likely + 1, dtype=torch.float32, device=device))
    order = torch.rand(count, vocabulary, generator=generator, device=device)
    rows.scatter_(1, order.topk(likely, dim=-1).indices, logits.expand(count, likely))
    if kind == "masked":
        order = torch.rand(count, vocabulary, generator=generator, device=device)
        rows.scatter_(1, order.argsort(dim=-1)[:, : vocabulary * 9 // 10], -math.inf)
    return rows


def pool_rows(cases: Sequence[Case], cache_bytes: int) -> int:
    """Rows of a pool that these cases share: whole batches of the largest, and where a case is to be out of
    cache, together ROTATION times the last-level cache or more."""
    largest = max(case.rows for case in cases)
    if not any(case.out_of_cache for case in cases):
        return largest
    return largest * max(1, -(-ROTATION * cache_bytes // (largest * cases[0].row_bytes)))


def make_pool(cases: Sequence[Case], cache_bytes: int, device: str = "cpu") -> Tensor:
    one = cases[0]
    return make_rows(one.kind, pool_rows(cases, cache_bytes), one.vocabulary, one.dtype, device)


def batches_of(pool: Tensor, case: Case) -> list[Tensor]:
    """The batches that the case's calls read: out of cache all there are, in cache the first."""
    count = pool.shape[0] // case.rows if case.out_of_cache else 1
    return list(pool[: count * case.rows].split(case.rows))


class Rotation:
    """Which batch each call takes: always the first in cache, the next one of the pool out of cache.

    One rotation serves every contender of a process, so that no one finds what another has just read.
    """

    def __init__(self, case: Case, pool: Tensor) -> None:
        self.batches = batches_of(pool, case)
        self._numbers = itertools.cycle(range(len(self.batches)))

    def take(self) -> int:
        return next(self._numbers)
