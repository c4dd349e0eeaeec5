"""What n answers to each prompt say about a way to sample: pass@k, #EA, and intervals over prompts.

`pass_at_k` and `distinct_answers` are for independent samples. Those of a group depend on each other, and a
part of a group need not be a smaller group of its design: `group_pass_at_k` and `group_distinct_answers` know
what blocks of n such samples can tell, and refuse the rest. docs/training.md derives it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from fire_sampling._messages import came, integer
from fire_sampling.config import DESIGNS, Design

__all__ = [
    "Interval",
    "distinct_answers",
    "group_distinct_answers",
    "group_pass_at_k",
    "mean_interval",
    "paired_bootstrap",
    "pass_at_k",
    "powers_of_two",
]

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
    return _found([[answer] for answer in _values(answers)], n)


def group_pass_at_k(correct: Iterable[Iterable[int]], k: int, *, design: Design | None) -> float:
    """The chance that at least one of k samples of a design is right. Its mean over prompts is pass@k.

    Unbiased. Up to n, the k samples are one group of k; beyond, k / n groups of n, each by itself.

    | design | k |
    |---|---|
    | none, iid | any |
    | stratified | 1, multiples of n |
    | lattice | divisors of n, multiples of n |
    | enumerated | 1 to n, multiples of n |

    Args:
        correct: [blocks, n], the samples of one prompt: blocks that are independent of each other, in each
            the n members of a group, member 0 first. Bools, or 0 and 1.
        k: at most blocks · n.
        design: that of the config they were drawn with, None for none.

    Raises:
        TypeError: k is no integer.
        ValueError: this k cannot be told from samples of this design, or `correct` is no such table.
    """
    blocks = _blocks("group_pass_at_k", "correct", correct)
    for value in (value for block in blocks for value in block):
        if value not in (0, 1):
            raise ValueError(f"group_pass_at_k: correct holds {value!r}, expected bools, or 0 and 1")
    right: list[list[Hashable]] = [[True if value else None for value in block] for block in blocks]
    return _found(*_groups("group_pass_at_k", right, k, design))


def group_distinct_answers(answers: Iterable[Iterable[Hashable]], k: int, *, design: Design | None) -> float:
    """How many different answers k samples of a design hold, without bias: #EA at k.

    None counts as no answer. The arguments and what is refused are those of `group_pass_at_k`.
    """
    blocks = _blocks("group_distinct_answers", "answers", answers)
    return _found(*_groups("group_distinct_answers", blocks, k, design))


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


def _found(groups: Sequence[Sequence[Hashable]], number: int) -> float:
    """How many different answers `number` of the groups hold, on average over all choices of so many."""
    holders = Counter(answer for group in groups for answer in set(group) if answer is not None)
    choices = math.comb(len(groups), number)
    return sum(1 - math.comb(len(groups) - count, number) / choices for count in holders.values())


def _groups(
    function: str, blocks: list[list[Hashable]], k: int, design: str | None
) -> tuple[list[list[Hashable]], int]:
    """Groups that are alike, and how many of them, independent of each other, k samples are.

    Where it is one, the groups may depend on each other: their mean is without bias all the same.
    """
    n, samples = len(blocks[0]), len(blocks) * len(blocks[0])
    if design is not None and design not in DESIGNS:
        raise ValueError(f"{function}: design {came(design)}, expected one of {', '.join(DESIGNS)}")
    k = integer(function, "k", k, 1, samples, f"an integer from 1 to {samples}, the number of samples")
    if design in (None, "none", "iid"):
        return [[answer] for block in blocks for answer in block], k
    if k % n == 0:
        return blocks, k // n
    if k == 1 and design != "enumerated":
        return [[answer] for block in blocks for answer in block], 1
    if design == "lattice" and n % k == 0:
        # Every (n / k)-th member of a lattice is a lattice of k.
        return [block[first :: n // k] for block in blocks for first in range(n // k)], 1
    if design == "enumerated" and k < n:
        return [block[:k] for block in blocks], 1
    parts = {"stratified": "1", "lattice": f"a divisor of {n}", "enumerated": f"1 to {n}"}
    raise ValueError(
        f"{function}: k is {k}, expected {parts[design]} or a multiple of {n}: other parts of a {design} "
        f"block of {n} are no group of their own, and would give a biased estimate"
    )


def _blocks(function: str, argument: str, table: Iterable[Iterable[Hashable]]) -> list[list[Hashable]]:
    """The table as lists of equal lengths."""
    expected = "expected [blocks, n], a row for each block and in it the n samples of a group"
    try:
        blocks = [_values(block) for block in table]
    except (RuntimeError, TypeError, ValueError) as error:  # of NumPy and torch, for more dimensions
        raise ValueError(f"{function}: {argument} {came(table)}, {expected}") from error
    lengths = sorted({len(block) for block in blocks})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(f"{function}: {argument} has {len(blocks)} rows of lengths {lengths}, {expected}")
    return blocks


def _values(answers: Iterable[Hashable]) -> list[Hashable]:
    """The answers, numbers of arrays and tensors as Python's: a tensor equals only itself as a key."""
    return [answer.item() if hasattr(answer, "item") else answer for answer in answers]
