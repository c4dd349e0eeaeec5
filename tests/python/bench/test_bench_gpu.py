"""What bench/kernels.py promises and shows of its cells."""

from __future__ import annotations

from typing import Any

import pytest
from bench_runs import cell as bench_cell
from harness import device, loops, machine
from harness.cases import GPU_GOALS, Case, cases_of
from harness.goals import promises
from views.kernels_table import kernels_table

L2 = 60 << 20


def test_all_that_has_a_goal_is_measured_by_a_run_of_the_goals() -> None:
    promised = [cell for cell in cases_of(GPU_GOALS, L2) if "goal_us" in promises(cell)]
    # Six numbers of rows have goals, in two types: two settings by figures of their own, two by derived ones.
    assert len(promised) == 6 * 2 * 4
    assert all(promises(cell)["goal_us"] > 0 for cell in promised)
    moved = Case(128_256, 1, "bfloat16", "no filter", place="in cache", launch="graph")
    assert promises(moved) == {}


@pytest.mark.parametrize(
    ("estimate", "rows", "calls"), [(6.0, 1, 500), (6.0, 512, 3), (5e4, 1, 1), (0.1, 1, 512)]
)
def test_a_turn_is_about_as_long_for_everyone_and_reads_no_logits_twice(
    estimate: float, rows: int, calls: int
) -> None:
    cell = Case(128_256, rows, "bfloat16", "no filter")
    batches = 1536 // rows
    assert device._calls(estimate, cell, batches) == calls <= batches


def test_the_largest_streamed_batches_stand_under_the_devices_roofs() -> None:
    def timed(rows: int, fire: float | None, **axes: Any) -> dict[str, Any]:
        shape = Case(128_256, rows, "bfloat16", "no filter", launch="graph").as_dict() | axes
        return bench_cell({"fire": fire, "copy": 60.0}, **shape)

    cells = [timed(512, 60.0), timed(1024, 100.0), timed(1024, 50.0, place="in cache"), timed(64, 9.0)]
    run = {"cells": [*cells, timed(1024, 50.0, kind="flat"), timed(2048, None)]}
    (loop,) = loops.gpu_loops(run)
    assert (loop["name"], loop["variant"], loop["bytes"]) == ("no filter, 1024 rows", "bfloat16", 2.0)
    assert loop["ns"] == pytest.approx(100e3 / 1024 / 128_256)
    assert 0 < loop["instructions"] * 32 < 20
    (roof,) = loops.gpu_roofs(run, multiprocessors=132, ghz=1.98)
    assert roof["instructions_per_ns"] == pytest.approx(132 * 4 * 1.98, abs=0.1)
    assert roof["bytes_per_ns"] == pytest.approx(2048 * 128_256 * 2 / 60e3, abs=0.1)
    assert loops.gpu_roofs({"cells": []}, 132, 1.98) == []
    assert machine.highest_ghz({"highest SM clock": "1980 MHz"}) == 1.98
    assert machine.highest_ghz({"highest SM clock": "[N/A]"}) is None


def test_a_time_is_shown_beside_its_limit_goal_and_peers() -> None:
    medians = {"fire": 12.5, "copy": 5.0, "hf": 250.0}
    cell = bench_cell(medians, rows=64, setting="k=50 p=0.9", goal_us=10, predicted_us=[8, 12])
    cell["results"]["hf"]["wrong"] = 2
    roles = {"fire": {"role": "ours"}, "copy": {"role": "limit"}, "hf": {"role": "peer"}}
    text = kernels_table({"contenders": roles, "cells": [cell]})
    line = "| k=50 p=0.9 | 64 | 12.5 | 11.2 – 13.8 | 40 % | 10.0 | 8.00 – 12.0 | 1.25 × the goal |"
    assert f"{line} 250 (20.0 ×) 2 WRONG |" in text
    assert kernels_table({}) == "## Kernels\n\nnot measured"
