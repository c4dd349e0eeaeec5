"""Does a drawn token lie in the kept set? Within a tolerance that a wrong adapter exceeds."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .cases import Filters

MASS_TOLERANCE = 2e-3  # of top-p: what float32 cumulative sums over a vocabulary lose
LOGIT_TOLERANCE = 1e-3  # of min-p, in units of the temperature

Row = npt.NDArray[np.float32]


def lowest_kept(row: Row, filters: Filters, filters_before_temperature: bool) -> float:
    """The smallest logit of the row's kept set, in the order top-k, top-p, min-p; ties are kept."""
    temperature = 1.0 if filters_before_temperature else filters.temperature
    lowest = -math.inf
    kept = row
    if 0 < filters.top_k < row.size:
        kept = np.partition(row, row.size - filters.top_k)[-filters.top_k :]
        lowest = float(kept.min())
    if filters.top_p < 1:
        kept = np.sort(kept)[::-1]
        mass = np.cumsum(np.exp((kept.astype(np.float64) - float(kept[0])) / temperature))
        last = int(np.searchsorted(mass, min(1.0, filters.top_p + MASS_TOLERANCE) * mass[-1]))
        lowest = max(lowest, float(kept[min(last, kept.size - 1)]))
    if filters.min_p > 0:
        lowest = max(lowest, float(row.max()) + temperature * (math.log(filters.min_p) - LOGIT_TOLERANCE))
    return lowest


class KeptSets:
    """Counts the tokens of a case that lie outside their row's kept set; each row is looked at once."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._lowest: dict[tuple[int, bool], float] = {}

    def wrong(
        self, rows: Row, first_row: int, tokens: npt.NDArray[np.int64], filters_before_temperature: bool
    ) -> int:
        """`rows`: float32 [rows, vocabulary], the first being `first_row` of the pool; `tokens`: one each."""
        wrong = 0
        for offset, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            key = (first_row + offset, filters_before_temperature)
            if key not in self._lowest:
                self._lowest[key] = lowest_kept(row, self._filters, filters_before_temperature)
            wrong += not (0 <= token < row.size and row[token] >= self._lowest[key])
        return wrong
