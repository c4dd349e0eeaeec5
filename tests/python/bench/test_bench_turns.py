"""Whose turn it is, how times are summed up, and what machine they are from. No time is asserted."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from harness import machine, processes
from harness.summary import Summary, quantile
from harness.turns import LEAST_ROUNDS, MOST_CALLS_A_TURN, MOST_ROUNDS, TURN, Estimate, Pace, turns


def test_a_round_gives_everyone_with_rounds_left_one_turn_in_varying_order() -> None:
    seats = [processes.Seat("peers", name) for name in "abcdef"]
    counts = dict(zip(seats, (3, 3, 3, 3, 3, 1), strict=True))
    order = list(turns(counts, random.Random(0)))
    assert {seat: order.count(seat) for seat in seats} == counts
    first, second, third = order[:6], order[6:11], order[11:]
    assert set(first) == set(seats)
    assert set(second) == set(third) == set(seats[:5])
    assert [seat for seat in first if seat in second] != second


def test_a_turn_is_one_long_call_or_up_to_twenty_short_ones_after_a_warm_up() -> None:
    assert Pace.of(Estimate(10 * TURN, 10 * TURN), budget=1) == Pace(calls=1, warm_up=0, rounds=MOST_ROUNDS)
    assert Pace.of(Estimate(TURN // 5, TURN // 5), budget=1) == Pace(calls=5, warm_up=1, rounds=MOST_ROUNDS)
    assert Pace.of(Estimate(1, 1), budget=1) == Pace(MOST_CALLS_A_TURN, 1, MOST_ROUNDS)


def test_a_costly_preparation_shortens_the_run_of_a_quick_call_but_keeps_its_warm_up() -> None:
    assert Pace.of(Estimate(TURN // 5, 10 * TURN), budget=0.5) == Pace(calls=1, warm_up=1, rounds=6)
    assert Pace.of(Estimate(1000 * TURN, 1000 * TURN), budget=0.5) == Pace(1, 0, LEAST_ROUNDS)


def test_quantiles_are_those_of_numpy() -> None:
    times = sorted(random.Random(1).choices(range(1000), k=37))
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert quantile(times, fraction) == pytest.approx(np.quantile(times, fraction))
    with pytest.raises(ValueError, match="got no values"):
        quantile([], 0.5)


def test_a_summary_is_in_microseconds() -> None:
    assert Summary.of_nanoseconds([3000, 1000, 2000]) == Summary(2.0, 1.2, 2.8, 3)


def test_cache_sizes_are_read_from_what_the_system_tells(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        (("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "32M"))
    ):
        (tmp_path / f"index{index}").mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (tmp_path / f"index{index}" / name).write_text(text + "\n")
    assert machine.caches(tmp_path) == {"L1": 48 << 10, "L3": 32 << 20}
