"""Medians and spread of a list of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between the two nearest of an ascending sequence (Hyndman and Fan's type 7)."""
    if not ordered:
        raise ValueError("quantile: got no values, expected at least one")
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@dataclass(frozen=True)
class Summary:
    """Microseconds of one call: median, first and last decile, and how many calls were timed."""

    median: float | None
    p10: float | None
    p90: float | None
    calls: int

    @classmethod
    def of_nanoseconds(cls, times: Sequence[int]) -> Summary:
        return cls.of_turns([time / 1000 for time in times], len(times))

    @classmethod
    def of_turns(cls, microseconds: Sequence[float], calls: int) -> Summary:
        """Of turns that made so many `calls` in all. None of them: a rehearsal, which times nothing."""
        ordered = sorted(microseconds)
        if not ordered:
            return cls(None, None, None, 0)
        median, p10, p90 = (round(quantile(ordered, fraction), 3) for fraction in (0.5, 0.1, 0.9))
        return cls(median, p10, p90, calls)
