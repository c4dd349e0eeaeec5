"""One interleaved run: in each case everybody gets turns on the same logits, in random order, round after
round, and what was returned while it was timed is checked.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from .cases import Case
from .machine import StolenTime
from .turns import turns

LOGPROB_TOLERANCE = 1e-6  # of ours, between backends: times max(1, |value|)


class Rounds(Protocol):
    """Who takes turns in a case, so many of them."""

    @property
    def rounds(self) -> int: ...

    def __hash__(self) -> int: ...


SeatType = TypeVar("SeatType", bound=Rounds)


class Session(ABC, Generic[SeatType]):
    """Who sits where, and how a turn is timed, is the device's own."""

    def __init__(self) -> None:
        self._shuffle = random.Random(3)
        self.left_out: dict[str, str] = {}  # contender: why it is not measured

    @abstractmethod
    def use(self, cases: Sequence[Case]) -> None:
        """Makes the logits of these cases, and forgets those of others."""

    @abstractmethod
    def seats_of(self, case: Case) -> list[SeatType]:
        """Everybody whom the case is for, ready for turns."""

    @abstractmethod
    def take_turn(self, case: Case, seat: SeatType) -> None:
        """Times some calls of one."""

    @abstractmethod
    def results(self, case: Case, seats: Sequence[SeatType]) -> dict[str, dict[str, Any]]:
        """The timed turns, summed up and checked, by the contender's key."""

    @abstractmethod
    def kept(self, case: Case) -> int | None:
        """How many tokens the first row keeps, by our word."""

    def measure(self, case: Case, seats: Sequence[SeatType] | None = None) -> dict[str, Any]:
        """The cell as a results file has it."""
        stolen = StolenTime()
        placed = self.seats_of(case) if seats is None else list(seats)
        for seat in turns({seat: seat.rounds for seat in placed}, self._shuffle):
            self.take_turn(case, seat)
        cell = {**case.as_dict(), "stolen_percent": stolen.percent()}
        kept = self.kept(case)
        cell |= {} if kept is None else {"kept": kept}
        return {**cell, "results": self.results(case, placed)}


def differing(got: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> int:
    """Rows of ours where an output differs: by a bit, or a log-probability by over 1e-6 · max(1, |value|)."""
    wrong = torch.zeros(1, dtype=torch.bool)
    for value, right in zip(got, expected, strict=True):
        if value is not None and right is not None:
            value, right = value.cpu(), right.cpu()
            equal = (value == right) | (value.isnan() & right.isnan())
            if right.is_floating_point():
                equal |= (value - right).abs() <= LOGPROB_TOLERANCE * right.abs().clamp(min=1)
            wrong = wrong | ~equal
    return int(wrong.sum())
