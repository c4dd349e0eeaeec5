"""Could a token have been drawn, and how probably? Within tolerances that a wrong adapter exceeds.

For whole batches, on the device of their logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .settings import Filters

MASS_TOLERANCE = 2e-3  # of top-p: what float32 cumulative sums over a vocabulary lose
LOGIT_TOLERANCE = 1e-3  # of min-p, in units of the temperature
LOGPROB_TOLERANCE = 1e-3  # of what float32 sums of exponentials lose, on top of the kept set's own bounds
_CHUNK = 1 << 23  # logits that are looked at together


class Drawn(NamedTuple):
    """What a call drew for each row: the token and, where the case asks for it, its log-probabilities."""

    tokens: Tensor
    logprob: Tensor | None = None  # in the distribution it was drawn from
    reference: Tensor | None = None  # in the whole softmax


def joined(draws: Sequence[Drawn]) -> Drawn:
    """The draws of several calls as of one."""
    columns = zip(*draws, strict=True)
    return Drawn(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Order:
    """How a contender's filters follow each other; otherwise top-k, top-p, min-p, at the temperature, each
    of which counts what the one before has left."""

    before_temperature: bool = False  # top-p's mass and min-p's ratio are those of temperature 1
    min_p_first: bool = False  # top-p counts the mass that min-p leaves
    joint: bool = False  # each looks at the whole row


class Bounds(NamedTuple):
    """Of what a correct sampler keeps of each row, ties and rounding included: float64 [rows] each."""

    lowest: Tensor  # the smallest logit that may be drawn
    least_mass: Tensor  # of the kept set, in units of the largest logit's weight
    most_mass: Tensor


def bounds(rows: Tensor, filters: Filters, order: Order = Order()) -> Bounds:
    """The bounds of [rows, vocabulary] logits."""
    largest = rows.amax(-1, keepdim=True).double()
    if filters.greedy:
        one = torch.ones_like(largest[:, 0])
        return Bounds(largest[:, 0], one, one)
    return _Prefixes(rows, largest, filters, order).bounds()


class _Prefixes:
    """Rows in descending order, as far down as can matter. A kept set is a prefix of that: `_least`, `_most`
    are the lengths, int64 [rows, 1], of the smallest and the largest that a correct sampler may keep."""

    def __init__(self, rows: Tensor, largest: Tensor, filters: Filters, order: Order) -> None:
        self._filters, self._order, self._largest = filters, order, largest
        self._scale = 1.0 if order.before_temperature else filters.temperature
        top_k = filters.top_k if 0 < filters.top_k < rows.shape[-1] else 0
        lowest = torch.full_like(largest, -math.inf)
        # What top-p counts the mass of must all be there; otherwise nothing below a bound matters.
        if top_k and not (order.joint and filters.top_p < 1):
            lowest = rows.topk(top_k, dim=-1).values[:, -1:].double()
        if filters.min_p > 0 and (filters.top_p >= 1 or order.min_p_first):
            lowest = torch.maximum(lowest, self._cut(-LOGIT_TOLERANCE))
        reaching = int((rows >= lowest).sum(-1).max())
        self._ordered = rows.topk(reaching, dim=-1).values.double()
        self._whole = (self._ordered > -math.inf).sum(-1, keepdim=True)
        self._least = self._most = self._whole
        if top_k:
            least = self._whole.clamp(max=top_k)
            self._keep(least, self._reaching(self._ordered.gather(1, least - 1)))

    def bounds(self) -> Bounds:
        steps = [self._nucleus, self._min_p]
        for step in reversed(steps) if self._order.min_p_first else steps:
            step()
        mass = self._weights(self._filters.temperature).cumsum(-1)
        columns = (self._ordered, self._most), (mass, self._least), (mass, self._most)
        return Bounds(*(values.gather(1, length - 1)[:, 0] for values, length in columns))

    def _keep(self, least: Tensor, most: Tensor) -> None:
        self._least, self._most = torch.minimum(self._least, least), torch.minimum(self._most, most)

    def _reaching(self, bound: Tensor) -> Tensor:
        return (self._ordered >= bound).sum(-1, keepdim=True)

    def _cut(self, tolerance: float) -> Tensor:
        return self._largest + self._scale * (math.log(self._filters.min_p) + tolerance)

    def _weights(self, scale: float) -> Tensor:
        return ((self._ordered - self._largest) / scale).exp_()

    def _nucleus(self) -> None:
        if self._filters.top_p >= 1:
            return
        mass = self._weights(self._scale).cumsum(-1)
        tight, loose = (self._whole, self._whole) if self._order.joint else (self._least, self._most)
        least = self._prefix(mass, tight, self._filters.top_p - MASS_TOLERANCE)
        last = self._prefix(mass, loose, self._filters.top_p + MASS_TOLERANCE)
        self._keep(least, self._reaching(self._ordered.gather(1, last - 1)))

    def _prefix(self, mass: Tensor, length: Tensor, share: float) -> Tensor:
        """The fewest of the first `length` that together have this share of their mass."""
        return torch.searchsorted(mass, min(1.0, share) * mass.gather(1, length - 1)) + 1

    def _min_p(self) -> None:
        if self._filters.min_p > 0:
            self._keep(
                self._reaching(self._cut(LOGIT_TOLERANCE)), self._reaching(self._cut(-LOGIT_TOLERANCE))
            )


class KeptSets:
    """Counts the draws from a pool of logits that no correct sampler makes; what a row's bounds are is worked
    out once, however many contenders drew from it."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits
        self._bounds: dict[tuple[Filters, Order], Tensor] = {}  # float64 [pool, 3], NaN where not known yet
        self._log_sums = logits.new_full((logits.shape[0],), math.nan, dtype=torch.float64)

    def wrong(self, drawn: Drawn, first_row: int, of_rows: Sequence[Filters], order: Order = Order()) -> int:
        """How many of the draws are wrong; the first was made from row `first_row` of the pool.

        of_rows: the filters of a batch's rows, in turn.
        """
        tokens = drawn.tokens.to(self._logits.device).long()
        places = torch.arange(len(tokens), device=tokens.device)
        rows = places + first_row
        ids = tokens.clamp(0, self._logits.shape[-1] - 1)
        logit = self._logits[rows, ids].double()
        holds = (ids == tokens) & (logit > -math.inf)
        for filters in dict.fromkeys(of_rows):
            same = torch.tensor([one == filters for one in of_rows], device=tokens.device)
            here = same[places % len(of_rows)]
            lowest, least_mass, most_mass = self._known(rows[here], filters, order).unbind(-1)
            holds[here] &= logit[here] >= lowest  # a NaN is below every bound
            # Samplers differ in what they call the log-probability of a greedy token.
            if drawn.logprob is not None and not filters.greedy:
                given = drawn.logprob.to(tokens.device).double()[here]
                weight = (logit[here] - self._logits[rows[here]].amax(-1).double()) / filters.temperature
                holds[here] &= given >= weight - most_mass.log() - LOGPROB_TOLERANCE
                holds[here] &= given <= weight - least_mass.log() + LOGPROB_TOLERANCE
        if drawn.reference is not None:
            given = drawn.reference.to(tokens.device).double()
            holds &= (given - (logit - self._log_sum(rows))).abs() <= LOGPROB_TOLERANCE
        return int((~holds).sum())

    def _known(self, rows: Tensor, filters: Filters, order: Order) -> Tensor:
        if (filters, order) not in self._bounds:
            self._bounds[filters, order] = self._log_sums.new_full((len(self._log_sums), 3), math.nan)
        known = self._bounds[filters, order]
        for part in self._parts(rows[known[rows, 0].isnan()]):
            known[part] = torch.stack(bounds(self._logits[part], filters, order), dim=-1)
        return known[rows]

    def _log_sum(self, rows: Tensor) -> Tensor:
        for part in self._parts(rows[self._log_sums[rows].isnan()]):
            self._log_sums[part] = self._logits[part].double().logsumexp(-1)
        return self._log_sums[rows]

    def _parts(self, rows: Tensor) -> Sequence[Tensor]:
        return rows.split(max(1, _CHUNK // self._logits.shape[-1])) if len(rows) else ()
