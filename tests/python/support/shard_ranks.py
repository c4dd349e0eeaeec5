"""Rows whose vocabulary lies in shards, all ranks played by one process: the exchanges are torch's sums."""

from __future__ import annotations

import torch
from torch import Tensor

from fire_sampling import _native

DRAW, REFERENCE, LOG_PROB, HEAT = (
    _native.SHARD_WANTS[name] for name in ("draw", "reference", "log_prob", "heat")
)
SIGN = -(2**63)
_fire = torch.ops.fire


def shards_of(logits: Tensor, sizes: list[int]) -> list[tuple[Tensor, int]]:
    """Each rank's columns, as a view, and the id of the first; empty ones are left out."""
    firsts = [sum(sizes[:rank]) for rank in range(len(sizes))]
    return [
        (logits[:, first : first + size], first) for size, first in zip(sizes, firsts, strict=True) if size
    ]


def gathered_entries(shards: list[tuple[Tensor, int]], count: int) -> Tensor:
    """The first `count` entries of all ranks in descending order as unsigned integers, and the flags."""
    told = torch.stack([_fire.shard_entries(logits, count, first) for logits, first in shards])
    entries = told[..., :-1].transpose(0, 1).flatten(1) ^ SIGN
    entries = entries.topk(count, dim=1).values ^ SIGN
    flags = told[..., -1].amax(dim=0)
    return torch.cat([entries, flags[:, None]], dim=1)


def solve(
    logits: Tensor,
    sizes: list[int],
    step: Tensor,
    records: Tensor,
    slot: Tensor | None = None,
    *,
    count: int,
    wants: int,
    token: Tensor | None = None,
) -> Tensor:
    """The states of rows that ask nothing more."""
    shards = shards_of(logits, sizes)
    entries = gathered_entries(shards, count)
    state: Tensor
    state, weights = _fire.shard_begin(
        entries,
        step,
        records,
        slot,
        vocabulary=logits.shape[1],
        ranks=len(shards),
        wants=wants,
        key_bits=_native.SHARD_KEY_BITS[str(logits.dtype).removeprefix("torch.")],
        token=token,
    )
    while True:
        questions = state[:, 0] & 0xFFFFFFFF
        rows = questions.nonzero()[:, 0]
        if not len(rows):
            return state
        union = 0
        for value in questions.tolist():
            union |= value
        chosen = None if len(rows) == len(questions) else rows
        slots = _native.shard_slots(union, len(shards))
        answers = sum(
            _fire.shard_answer(own, state, chosen, first, rank, slots)
            for rank, (own, first) in enumerate(shards)
        )
        _fire.shard_take(state, entries, weights, answers, chosen)
