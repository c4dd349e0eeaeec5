"""What the tables and the picture show, from the raw results."""

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000


def pass_at_k(completions: int, correct: int, k: int) -> float:
    """The chance that at least one of k completions, drawn from these without replacement, is right.

    The unbiased estimator 1 − C(n − c, k) / C(n, k) of Chen et al., "Evaluating Large Language Models
    Trained on Code" (2021), section 2.1.

    Raises:
        ValueError: not 0 ≤ correct ≤ completions, or not 1 ≤ k ≤ completions.
    """
    if not 0 <= correct <= completions or not 1 <= k <= completions:
        raise ValueError(
            f"pass_at_k: got completions={completions}, correct={correct}, k={k}; "
            "expected 0 <= correct <= completions and 1 <= k <= completions"
        )
    return 1.0 - math.comb(completions - correct, k) / math.comb(completions, k)


def powers_of_two(limit: int) -> list[int]:
    """1, 2, 4, … below `limit`, and `limit`."""
    return [*(1 << bit for bit in range(limit.bit_length()) if 1 << bit < limit), limit]


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The mean over prompts, and the ends of its 95 % percentile bootstrap interval.

    Prompts are drawn anew with replacement, `RESAMPLES` times. The interval says how far the mean might move
    with other prompts of the same kinds.
    """
    sample = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(sample.size, size=(RESAMPLES, sample.size))
    low, high = np.quantile(sample[drawn].mean(axis=1), [0.025, 0.975])
    return float(sample.mean()), float(low), float(high)
