"""How long a turn is, how many there are, and whose is next."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

TURN = 4_000_000  # nanoseconds: about the length of a turn; a call as long as that needs no warm-up
MOST_CALLS_A_TURN = 20
LEAST_ROUNDS, MOST_ROUNDS = 3, 12

Seat = TypeVar("Seat", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """About how many nanoseconds a call takes, alone and with its preparation."""

    call: int
    prepared_call: int


@dataclass(frozen=True)
class Pace:
    """How a contender is timed: `rounds` turns of `calls` calls, after `warm_up` that are not counted."""

    calls: int
    warm_up: int
    rounds: int

    @classmethod
    def of(cls, estimate: Estimate, budget: float) -> Pace:
        """The pace that keeps to `budget` seconds, LEAST_ROUNDS apart."""
        calls = max(1, min(MOST_CALLS_A_TURN, TURN // max(1, estimate.prepared_call)))
        warm_up = int(estimate.call < TURN)
        turn = max(1, (calls + warm_up) * estimate.prepared_call)
        return cls(calls, warm_up, max(LEAST_ROUNDS, min(MOST_ROUNDS, int(budget * 1e9 / turn))))


def turns(rounds: Mapping[Seat, int], shuffle: random.Random) -> Iterator[Seat]:
    """Whose turn it is: in each round everyone with rounds left, in a new random order."""
    for number in range(max(rounds.values())):
        order = [seat for seat, count in rounds.items() if number < count]
        shuffle.shuffle(order)
        yield from order
