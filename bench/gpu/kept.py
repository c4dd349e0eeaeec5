"""Could a token have been drawn? For whole batches, on their device, within tolerances that a wrong adapter
exceeds.
"""

from __future__ import annotations

import math

import torch
from harness.settings import Filters
from torch import Tensor

MASS_TOLERANCE = 2e-3  # of top-p: what float32 cumulative sums over a vocabulary lose
LOGIT_TOLERANCE = 1e-3  # of min-p, in units of the temperature
LOGPROB_TOLERANCE = 1e-3  # what float32 sums of exponentials lose
_CHUNK = 64  # rows that are looked at together
SEQUENTIAL = "top-k, top-p, min-p"  # each counts what the one before has left
JOINT = "joint"  # each looks at the whole row
MIN_P_FIRST = "min-p, top-k, top-p"
ORDERS = (SEQUENTIAL, JOINT, MIN_P_FIRST)


def lowest_kept(logits: Tensor, filters: Filters, order: str) -> Tensor:
    """float64 [rows]: the smallest logit that may be drawn from each row, ties and rounding included."""
    rows = logits.double()
    largest = rows.amax(-1)
    if filters.greedy:
        return largest
    ordered = rows.sort(dim=-1, descending=True).values
    lowest = ordered.new_full((rows.shape[0],), -math.inf)
    cut = (
        largest + filters.temperature * (math.log(filters.min_p) - LOGIT_TOLERANCE)
        if filters.min_p > 0
        else lowest
    )
    vocabulary = rows.shape[-1]
    counted = ordered.new_full(
        (rows.shape[0],), vocabulary, dtype=torch.int64
    )  # what top-p counts the mass of
    if 0 < filters.top_k < vocabulary:
        lowest = torch.maximum(lowest, ordered[:, filters.top_k - 1])
        if order != JOINT:  # some keep all that equal the k-th
            counted = (ordered >= lowest[:, None]).sum(-1)
    if order == MIN_P_FIRST:
        counted = torch.minimum(counted, (ordered >= cut[:, None]).sum(-1))
    if filters.top_p < 1:
        lowest = torch.maximum(lowest, _end_of_nucleus(ordered, counted, filters))
    return torch.maximum(lowest, cut)


def _end_of_nucleus(ordered: Tensor, counted: Tensor, filters: Filters) -> Tensor:
    weights = ((ordered - ordered[:, :1]) / filters.temperature).exp()
    places = torch.arange(ordered.shape[-1], device=ordered.device)
    mass = weights.masked_fill_(places >= counted[:, None], 0.0).cumsum(-1)
    target = min(1.0, filters.top_p + MASS_TOLERANCE) * mass[:, -1:]
    end = torch.searchsorted(mass, target).clamp(max=ordered.shape[-1] - 1)
    return ordered.gather(1, end).squeeze(1)


class KeptSets:
    """Of one pool: each row's bound is worked out once, however many contenders drew from it."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits
        self._known: dict[tuple[int, Filters, str], float] = {}

    def wrong(self, tokens: Tensor, first_row: int, of_rows: list[Filters], order: str) -> int:
        """How many of a batch's tokens no sampler may draw; its rows begin at `first_row` of the pool."""
        keys = [(first_row + place, filters, order) for place, filters in enumerate(of_rows)]
        for filters in dict.fromkeys(of_rows):
            missing = [key[0] for key in keys if key[1] == filters and key not in self._known]
            for part in torch.tensor(missing, dtype=torch.int64).split(_CHUNK):
                bounds = lowest_kept(self._logits[part.to(self._logits.device)], filters, order)
                found = zip(part.tolist(), bounds.tolist(), strict=True)
                self._known |= {(row, filters, order): bound for row, bound in found}
        vocabulary = self._logits.shape[-1]
        rows = self._logits[first_row : first_row + len(of_rows)]
        ids = tokens.long().clamp(0, vocabulary - 1)
        drawn = rows.gather(1, ids[:, None]).squeeze(1).double()
        bounds = torch.tensor([self._known[key] for key in keys], dtype=torch.float64, device=drawn.device)
        # A masked token is no one's; a NaN is below every bound.
        holds = (drawn >= bounds) & (drawn > -math.inf) & (ids == tokens)
        return int((~holds).sum())


def wrong_references(logits: Tensor, tokens: Tensor, logprobs: Tensor) -> int:
    """How many are not the log-probability of the token in the whole softmax at temperature 1."""
    wrong = 0
    for part in zip(logits.split(_CHUNK), tokens.split(_CHUNK), logprobs.split(_CHUNK), strict=True):
        rows, drawn, given = part
        expected = rows.double().log_softmax(-1).gather(1, drawn.long()[:, None]).squeeze(1)
        wrong += int((~((given.double() - expected).abs() <= LOGPROB_TOLERANCE)).sum())
    return wrong
