"""Could a token have been drawn, and how probably? Within tolerances that a wrong adapter exceeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .settings import Filters

MASS_TOLERANCE = 2e-3  # of top-p: what float32 cumulative sums over a vocabulary lose
LOGIT_TOLERANCE = 1e-3  # of min-p, in units of the temperature
LOGPROB_TOLERANCE = 1e-3  # of what float32 sums of exponentials lose, on top of the kept set's own bounds

Row = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
Logprobs = npt.NDArray[np.float64]


class Drawn(NamedTuple):
    """What a call drew for each row: the token and, where the case asks for it, its log-probabilities."""

    tokens: Tokens
    logprob: Logprobs | None = None  # in the distribution it was drawn from
    reference: Logprobs | None = None  # in the whole softmax


@dataclass(frozen=True)
class Order:
    """How a contender's filters follow each other; otherwise top-k, top-p, min-p, at the temperature."""

    before_temperature: bool = False  # top-p's mass and min-p's ratio are those of temperature 1
    min_p_first: bool = False  # top-p counts the mass that min-p leaves


@dataclass(frozen=True)
class Bounds:
    """Of what a correct sampler keeps of a row, ties and rounding included."""

    lowest: float  # the smallest logit that may be drawn
    least_mass: float  # of the kept set, in units of the largest logit's weight
    most_mass: float


def bounds(row: Row, filters: Filters, order: Order = Order()) -> Bounds:
    """The bounds of one float32 row."""
    largest = float(row.max())
    if filters.greedy:
        return Bounds(largest, 1.0, 1.0)
    least = most = row[row > -math.inf]
    if 0 < filters.top_k < least.size:
        least = np.partition(least, least.size - filters.top_k)[-filters.top_k :]
        most = most[most >= least.min()]
    steps = [_nucleus, _min_p]
    for step in reversed(steps) if order.min_p_first else steps:
        scale = 1.0 if order.before_temperature else filters.temperature
        least, most = step(least, most, filters, scale)
    mass = [float(_weights(kept, largest, filters.temperature).sum()) for kept in (least, most)]
    return Bounds(float(most.min()), *mass)


def _weights(logits: Row, largest: float, scale: float) -> Logprobs:
    return np.exp((logits.astype(np.float64) - largest) / scale)


def _nucleus(least: Row, most: Row, filters: Filters, scale: float) -> tuple[Row, Row]:
    if filters.top_p >= 1:
        return least, most
    tight = _Ordered(least, scale)
    loose = tight if most is least else _Ordered(most, scale)
    last = loose.prefix(filters.top_p + MASS_TOLERANCE)[-1]
    return tight.prefix(filters.top_p - MASS_TOLERANCE), most[most >= last]


def _min_p(least: Row, most: Row, filters: Filters, scale: float) -> tuple[Row, Row]:
    if filters.min_p <= 0:
        return least, most
    cut = float(most.max()) + scale * math.log(filters.min_p)
    return least[least >= cut + scale * LOGIT_TOLERANCE], most[most >= cut - scale * LOGIT_TOLERANCE]


class _Ordered:
    """Logits from the most probable on, with their running mass."""

    def __init__(self, logits: Row, scale: float) -> None:
        self._logits = np.sort(logits)[::-1]
        self._mass = np.cumsum(_weights(self._logits, float(self._logits[0]), scale))

    def prefix(self, share: float) -> Row:
        """The fewest that together have this share of the mass."""
        return self._logits[: int(np.searchsorted(self._mass, min(1.0, share) * self._mass[-1])) + 1]


class KeptSets:
    """Counts the draws of a case that no correct sampler makes; each row is looked at once.

    of_rows: the filters of a batch's rows, in turn. reference_temperature: of the contender's own reference.
    """

    def __init__(
        self, of_rows: Sequence[Filters], order: Order = Order(), reference_temperature: float = 1.0
    ) -> None:
        self._of_rows = of_rows
        self._order = order
        self._reference_temperature = reference_temperature
        self._bounds: dict[tuple[int, Filters], Bounds] = {}
        self._log_sums: dict[int, float] = {}

    def wrong(self, rows: Row, first_row: int, drawn: Drawn) -> int:
        """`rows`: float32 [rows, vocabulary] of one batch, the first being `first_row` of the pool."""
        return sum(
            not self._holds(row, first_row + place, self._of_rows[place % len(self._of_rows)], drawn, place)
            for place, row in enumerate(rows)
        )

    def _holds(self, row: Row, number: int, filters: Filters, drawn: Drawn, place: int) -> bool:
        token = int(drawn.tokens[place])
        if not 0 <= token < row.size:
            return False
        key = (number, filters)
        if key not in self._bounds:
            self._bounds[key] = bounds(row, filters, self._order)
        found = self._bounds[key]
        if not row[token] >= found.lowest:
            return False
        if (
            drawn.logprob is not None and not filters.greedy
        ):  # samplers differ in what they call a greedy one's
            weight = (float(row[token]) - float(row.max())) / filters.temperature
            most, least = weight - math.log(found.least_mass), weight - math.log(found.most_mass)
            if not least - LOGPROB_TOLERANCE <= drawn.logprob[place] <= most + LOGPROB_TOLERANCE:
                return False
        if drawn.reference is not None:
            expected = float(row[token]) / self._reference_temperature - self._log_sum(row, number)
            return bool(abs(drawn.reference[place] - expected) <= LOGPROB_TOLERANCE)
        return True

    def _log_sum(self, row: Row, number: int) -> float:
        if number not in self._log_sums:
            scaled = row.astype(np.float64) / self._reference_temperature
            largest = float(scaled.max())
            self._log_sums[number] = largest + math.log(float(np.exp(scaled - largest).sum()))
        return self._log_sums[number]
