"""Whether tokens could have been drawn from a distribution: Pearson's chi-square test with a bound."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_FEWEST_EXPECTED = 5.0  # of a cell, for the statistic to be near its limiting distribution
_FALSE_ALARM = 1e-6


def assert_drawn_from(tokens: Sequence[int], probabilities: npt.NDArray[np.float64]) -> None:
    """Fails where a true sample would be as far off with a probability below 1e-6, or at an impossible token.

    The statistic of k degrees of freedom exceeds k + 2 √(k t) + 2 t with probability at most e^-t (Laurent
    and Massart, "Adaptive estimation of a quadratic functional by model selection", 2000, lemma 1).

    Args:
        tokens: what was drawn, each an index into `probabilities`.
        probabilities: float64 [V], their sum 1.
    """
    counts = np.bincount(tokens, minlength=probabilities.size)
    impossible = np.flatnonzero((counts > 0) & (probabilities == 0))
    assert impossible.size == 0, f"tokens of probability 0 were drawn: {impossible.tolist()}"
    statistic, freedom = chi_square(counts, probabilities)
    t = -math.log(_FALSE_ALARM)
    bound = freedom + 2 * math.sqrt(freedom * t) + 2 * t
    assert statistic <= bound, (
        f"chi-square {statistic:.1f} of {freedom} degrees of freedom, expected <= {bound:.1f}"
    )


def chi_square(counts: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; the rarest tokens share one cell."""
    expected = probabilities * counts.sum()
    common = expected >= _FEWEST_EXPECTED
    cells = [(counts[common], expected[common])]
    if expected[~common].sum() > 0:
        cells.append((counts[~common].sum(keepdims=True), expected[~common].sum(keepdims=True)))
    statistic = sum(float(((seen - wanted) ** 2 / wanted).sum()) for seen, wanted in cells)
    return statistic, sum(seen.size for seen, _ in cells) - 1
