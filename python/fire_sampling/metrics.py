"""What n answers to each prompt say about a way to sample: pass@k, #EA, and intervals over prompts.

The estimators are for independent samples, which those of FIRE are. Of a design whose samples depend on each
other (first tokens without replacement, beams) neither `pass_at_k` below its n nor `distinct_answers` below
its n is valid: a part of such a group is no smaller group of the same design.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from fire_sampling._messages import came, integer

__all__ = ["Interval", "distinct_answers", "mean_interval", "paired_bootstrap", "pass_at_k", "powers_of_two"]

# Resampled values that are held at once: 32 MiB of them.
_BLOCK = 1 << 22


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The chance that at least one of k samples, drawn from these without replacement, is right.

    The unbiased estimator 1 − C(n − c, k) / C(n, k) of Chen et al., "Evaluating Large Language Models Trained
    on Code" (2021), section 2.1, computed exactly. Its mean over prompts is pass@k.

    Raises:
        ValueError: not 0 ≤ correct ≤ samples, or not 1 ≤ k ≤ samples.
    """
    if not 0 <= correct <= samples or not 1 <= k <= samples:
        raise ValueError(
            f"pass_at_k: got samples={samples}, correct={correct}, k={k}; "
            "expected 0 <= correct <= samples and 1 <= k <= samples"
        )
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


def distinct_answers(answers: Sequence[Hashable | None], n: int) -> float:
    """How many different answers n of these hold, on average over all choices of n: #EA at n samples.

    None counts as no answer. An answer that m of the N samples give is missed by C(N − m, n) / C(N, n) of the
    choices.

    Raises:
        ValueError: not 1 ≤ n ≤ len(answers).
    """
    if not 1 <= n <= len(answers):
        raise ValueError(
            f"distinct_answers: got n={n}, expected 1 to {len(answers)}, the number of answers given"
        )
    counts = Counter(answer for answer in answers if answer is not None)
    choices = math.comb(len(answers), n)
    return sum(1 - math.comb(len(answers) - count, n) / choices for count in counts.values())


def powers_of_two(limit: int) -> list[int]:
    """1, 2, 4, … below `limit`, and `limit`: where a curve against the number of samples is drawn."""
    return [*(1 << bit for bit in range(limit.bit_length()) if 1 << bit < limit), limit]


def mean_interval(
    values: Sequence[float], seed: int = 0, *, resamples: int = 10_000, level: float = 0.95
) -> Interval:
    """The mean over prompts, and the ends of its percentile bootstrap interval.

    Prompts are drawn anew with replacement, `resamples` times. The interval says how far the mean might move
    with other prompts of the same kinds; of other models it says nothing.

    Args:
        values: one number a prompt.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        ValueError: no values, or one that is not finite; fewer than one resample; not 0 < level < 1.
    """
    integer("mean_interval", "resamples", resamples, 1, 2**31, "an integer of at least 1")
    if not 0 < level < 1:
        raise ValueError(f"mean_interval: level {came(level)}, expected a number between 0 and 1")
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        finite = int(np.isfinite(sample).sum())
        raise ValueError(
            f"mean_interval: values are of shape {sample.shape}, {finite} of them finite; "
            "expected at least one finite number, one a prompt"
        )
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // sample.size)
    means = []
    for begin in range(0, resamples, rows):
        size = min(rows, resamples - begin), sample.size
        means.append(sample[generator.integers(sample.size, size=size)].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(sample.mean()), float(low), float(high))


def paired_bootstrap(
    plain: Sequence[float],
    other: Sequence[float],
    seed: int = 0,
    *,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """What `other` adds to `plain`, prompt by prompt: mean difference and percentile bootstrap interval.

    Both hold one number a prompt, of the same prompts in the same order: a prompt that is hard is hard for
    both, so the difference is known better than either mean. An interval without 0 is a difference that
    chance in the choice of prompts does not explain.

    Raises:
        ValueError: as `mean_interval`, or the two differ in length.
    """
    if len(plain) != len(other):
        raise ValueError(
            f"paired_bootstrap: plain has {len(plain)} values and other {len(other)}, expected as many: "
            "one a prompt, of the same prompts"
        )
    difference = np.asarray(other, np.float64) - np.asarray(plain, np.float64)
    return mean_interval(difference.tolist(), seed, resamples=resamples, level=level)
