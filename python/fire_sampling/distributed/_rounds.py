"""What the ranks exchange about their rows until every row is settled.

A row's state says what it still asks (the bits of its first word). Each rank answers for its own tokens, the
answers are added up, and every rank takes them alike: so all hold the same states without having told them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fire_sampling import _native
from fire_sampling.distributed import _header
from fire_sampling.distributed._ranks import Ranks

# What a caller wants of a row.
DRAW, REFERENCE, TOKEN, HEAT = operator.itemgetter("draw", "reference", "log_prob", "heat")(
    _native.SHARD_WANTS
)

_QUESTIONS = 0xFFFFFFFF
_SIGN = -(2**63)
_FAILED = _native.SHARD_HAS_NAN << 1  # beside it in the flags behind a rank's entries


class Rows(NamedTuple):
    """The columns of a batch that this rank has, and what rules its rows.

    Attributes:
        logits: [R, V_r], without columns beyond the vocabulary.
        first_id: The id of the first of them.
        vocabulary: How many tokens all ranks have together.
        token: int64 [R], whose log-probability is wanted; None where none is.
    """

    logits: Tensor
    first_id: int
    vocabulary: int
    step: Tensor
    records: Tensor
    slot: Tensor | None
    token: Tensor | None = None


class _Part(NamedTuple):
    """Rows whose questions need equally many places."""

    rows: Tensor | None  # int64 [n]; None for all
    size: int
    slots: int


class _Own:
    """This rank's own work; what it raises is kept until the others can be told, who wait for its answer."""

    def __init__(self, ranks: Ranks, rows: Rows) -> None:
        self.failure: Exception | None = None
        self._rank = ranks.rank
        self._rows = rows

    def entries(self, count: int) -> Tensor:
        """int64 [R, count + 1]: the first of its tokens in the order, and flags."""
        rows = self._rows
        found = self._attempt(
            (rows.logits.shape[0], count + 1),
            lambda: torch.ops.fire.shard_entries(rows.logits, count, rows.first_id),
        )
        if self.failure is not None:
            found[:, count] = _FAILED
        return found

    def answer(self, state: Tensor, part: _Part) -> Tensor:
        """int64 [n, slots, 2]: what it adds to the answers."""
        rows = self._rows
        return self._attempt(
            (part.size, part.slots, 2),
            lambda: torch.ops.fire.shard_answer(
                rows.logits, state, part.rows, rows.first_id, self._rank, part.slots
            ),
        )

    def _attempt(self, shape: tuple[int, ...], work: Callable[[], Tensor]) -> Tensor:
        """What `work` makes; zeros from a rank without columns, without rows or with a failure.

        Without rows no answer could tell of a failure: there is nothing to do then.
        """
        logits = self._rows.logits
        if logits.numel() > 0 and self.failure is None:
            try:
                return work()
            except Exception as error:
                self.failure = error
        return logits.new_zeros(shape, dtype=torch.int64)


def settle(ranks: Ranks, name: str, rows: Rows, wants: int, count: int, rounds: int | None = None) -> Tensor:
    """The states of the rows, int64 [R, words], once nothing is left to ask: the same on every rank.

    Args:
        ranks: Who has the other columns.
        name: The function that was called, for messages.
        rows: This rank's columns.
        wants: The bits above.
        count: How many entries a row each rank brings.
        rounds: How many rounds there are, whatever the rows ask: the host then looks at none. None for as
            many as it takes.

    Raises:
        Exception: What a rank's own work has raised, on every rank alike; where `rounds` is given, on that
            rank.
    """
    own = _Own(ranks, rows)
    gathered = ranks.gather(own.entries(count))
    flags = functools.reduce(torch.bitwise_or, gathered[:, :, count].unbind(0))
    entries = torch.cat((_merged(gathered[:, :, :count]), (flags & ~_FAILED).unsqueeze(1)), 1)
    state: Tensor
    state, weights = torch.ops.fire.shard_begin(
        entries,
        rows.step,
        rows.records,
        rows.slot,
        vocabulary=rows.vocabulary,
        ranks=ranks.size,
        wants=wants,
        key_bits=_native.SHARD_KEY_BITS[str(rows.logits.dtype).removeprefix("torch.")],
        token=rows.token,
    )
    if rounds is not None:
        every = _Part(None, state.shape[0], _native.shard_slots(_QUESTIONS, ranks.size))
        for _ in range(rounds):
            torch.ops.fire.shard_take(state, entries, weights, ranks.add(own.answer(state, every)), None)
        if own.failure is not None:
            raise own.failure
        return state
    failed = (flags & _FAILED).sum().reshape(1)
    while True:
        *questions, failures = torch.cat((state[:, 0] & _QUESTIONS, failed)).tolist()
        if failures:
            _header.fail(ranks, name, own.failure)
        parts = _parts(questions, ranks.size, state.device)
        if not parts:
            return state
        # One exchange for all parts, and at its end how many ranks have failed.
        answers = [own.answer(state, part) for part in parts]
        failed = answers[0].new_full((1,), int(own.failure is not None))
        sums = ranks.add(torch.cat([tensor.reshape(-1) for tensor in (*answers, failed)]))
        *added, failed = torch.split(sums, [*(answer.numel() for answer in answers), 1])
        for part, answer, taken in zip(parts, answers, added, strict=True):
            torch.ops.fire.shard_take(state, entries, weights, taken.view_as(answer), part.rows)


def _merged(gathered: Tensor) -> Tensor:
    """int64 [R, count]: the first entries of the row among those of each rank, [ranks, R, count], which may
    be overwritten.
    """
    ranks, _, count = gathered.shape
    if ranks == 1:
        return gathered[0]
    # Entries are unsigned: with the sign bit the other way round they are ordered as signed numbers.
    every = gathered.permute(1, 0, 2).flatten(1).bitwise_xor_(_SIGN)
    return every.topk(count, sorted=True).values ^ _SIGN


def _parts(questions: list[int], ranks: int, device: torch.device) -> list[_Part]:
    """The rows that ask, by the places that their answers need."""
    asking: dict[int, list[int]] = {}
    for row, asked in enumerate(questions):
        if asked:
            asking.setdefault(_native.shard_slots(asked, ranks), []).append(row)
    return [
        _Part(None if len(rows) == len(questions) else torch.tensor(rows, device=device), len(rows), slots)
        for slots, rows in asking.items()
    ]
