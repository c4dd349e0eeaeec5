"""What bench/kernels.py measures: its cells, settings and logits; and how its figures are shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from gpu import loops, machine, promises, records, session
from gpu.logits import Pool, make_logits
from gpu.selection import DEFAULT, FULL, GOALS, KINDS, REHEARSED, Cell, Slice, cells_of
from gpu.table import kernels_table
from harness.settings import Filters

import fire_sampling as fire

CPU = torch.device("cpu")
L2 = 60 << 20


@pytest.mark.parametrize("slices", [DEFAULT, FULL, GOALS, REHEARSED])
def test_every_cell_is_measured_once_and_one_that_is_to_stay_in_the_cache_fits(slices: list[Slice]) -> None:
    cells = cells_of(slices, L2)
    assert len(set(cells)) == len(cells) > 0
    assert all(cell.out_of_cache or 2 * cell.bytes <= L2 for cell in cells)


def test_all_that_has_a_goal_is_measured_by_a_run_of_the_goals() -> None:
    promised = [cell for cell in cells_of(GOALS, L2) if "goal_us" in promises.promises(cell)]
    # Six numbers of rows have goals, in two types: two settings by figures of their own, two by derived ones.
    assert len(promised) == 6 * 2 * 4
    assert all(promises.promises(cell)["goal_us"] > 0 for cell in promised)
    moved = Cell(128_256, 1, "bfloat16", "no filter", place="in cache")
    assert promises.promises(moved) == {}


def test_records_are_those_that_pack_writes() -> None:
    of_rows = [Filters(0.7, 50, 0.95, 0.1), Filters(30.0, 16, hot=True), Filters(0.0)]
    configs = [
        fire.SamplingConfig(temperature=0.7, top_k=50, top_p=0.95, min_p=0.1, hot_steps=0, seed=0),
        fire.SamplingConfig(temperature=1, hot_temperature=30.0, hot_top_k=16, hot_steps=2**31 - 1, seed=1),
        fire.SamplingConfig(temperature=0, seed=2),
    ]
    logits = torch.randn(3, 500, generator=torch.Generator().manual_seed(0))
    for step in (0, 7, 1000):
        drawn = torch.ops.fire.sample(logits, torch.tensor(step), records.pack(of_rows))
        assert torch.equal(drawn, torch.ops.fire.sample(logits, torch.tensor(step), fire.pack(configs)))


def test_rows_of_a_mixed_batch_have_settings_and_steps_of_their_own() -> None:
    cell = Cell(100, 64, "float32", "mixed")
    assert len(set(map(tuple, records.records(cell).tolist()))) == 64
    assert len(set(records.steps(cell).tolist())) > 10
    assert not records.steps(Cell(100, 64, "float32", "no filter")).any()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_of_their_kind(kind: str) -> None:
    logits = make_logits(kind, 70, 4096, "float32", CPU)
    finite = logits.isfinite().float().mean()
    nucleus = (logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1) < 0.9).float().mean()
    ties = len(set(logits[0].tolist()))
    assert torch.equal(logits, make_logits(kind, 70, 4096, "float32", CPU))
    assert (0.05 < finite < 0.15) if kind == "masked" else finite == 1
    assert (nucleus > 0.5) == (kind == "flat")
    assert (ties < 100) == (kind == "ties")


def test_a_pool_is_larger_than_the_cache_and_its_batches_share_no_row() -> None:
    cell = Cell(256, 8, "bfloat16", "no filter", kind="flat")
    cached = replace(cell, place="in cache")
    pool = Pool([cell, cached], cache_bytes=1 << 16, device=CPU)
    batches = pool.batches(cell)
    assert sum(batch.nbytes for batch in batches) >= 4 << 16
    assert len({batch.data_ptr() for batch in batches}) == len(batches)
    assert len(pool.batches(cached)) == 1
    small = Pool([cached], cache_bytes=1 << 30, device=CPU)
    assert len(small.logits) == 8
    assert pool.serves([cell, cached])
    assert small.serves([cached])
    for cells in ([cell], [replace(cached, rows=9)], []):
        assert not small.serves(cells)


@pytest.mark.parametrize(
    ("estimate", "rows", "calls"), [(6.0, 1, 500), (6.0, 512, 3), (5e4, 1, 1), (0.1, 1, 512)]
)
def test_a_turn_is_about_as_long_for_everyone_and_reads_no_logits_twice(
    estimate: float, rows: int, calls: int
) -> None:
    cell = Cell(128_256, rows, "bfloat16", "no filter")
    batches = 1536 // rows
    assert session._calls(estimate, cell, batches) == calls <= batches


def test_the_largest_streamed_batches_stand_under_the_devices_roofs() -> None:
    def timed(rows: int, fire: float | None, **axes: Any) -> dict[str, Any]:
        result = {"median": fire, "p10": fire, "p90": fire, "calls": 1, "checked": 0, "wrong": 0}
        cell = Cell(128_256, rows, "bfloat16", "no filter").as_dict() | axes
        return {**cell, "results": {"fire": result, "copy": {**result, "median": 60.0}}}

    cells = [timed(512, 60.0), timed(1024, 100.0), timed(1024, 50.0, place="in cache"), timed(64, 9.0)]
    run = {"cells": [*cells, timed(1024, 50.0, kind="flat"), timed(2048, None)]}
    (loop,) = loops.loops(run)
    assert (loop["name"], loop["variant"], loop["bytes"]) == ("no filter, 1024 rows", "bfloat16", 2.0)
    assert loop["ns"] == pytest.approx(100e3 / 1024 / 128_256)
    assert 0 < loop["instructions"] * 32 < 20
    (roof,) = loops.roofs(run, multiprocessors=132, ghz=1.98)
    assert roof["instructions_per_ns"] == pytest.approx(132 * 4 * 1.98, abs=0.1)
    assert roof["bytes_per_ns"] == pytest.approx(2048 * 128_256 * 2 / 60e3, abs=0.1)
    assert loops.roofs({"cells": []}, 132, 1.98) == []
    assert machine.highest_ghz({"highest SM clock": "1980 MHz"}) == 1.98
    assert machine.highest_ghz({"highest SM clock": "[N/A]"}) is None


def test_a_time_is_shown_beside_its_limit_goal_and_peers() -> None:
    def result(median: float, wrong: int = 0) -> dict[str, Any]:
        return {"median": median, "p10": median, "p90": median, "calls": 9, "checked": 9, "wrong": wrong}

    cell = {**Cell(128_256, 64, "bfloat16", "k=50 p=0.9").as_dict(), "goal_us": 10, "predicted_us": [8, 12]}
    cell["results"] = {"fire": result(12.5), "copy": result(5.0), "hf": result(250.0, wrong=2)}
    roles = {"fire": {"role": "ours"}, "copy": {"role": "limit"}, "hf": {"role": "peer"}}
    text = kernels_table({"contenders": roles, "cells": [cell]})
    line = "| k=50 p=0.9 | 64 | 12.5 | 12.5 – 12.5 | 40 % | 10.0 | 8.00 – 12.0 | 1.25 × the goal |"
    assert f"{line} 250 (20.0 ×) 2 WRONG |" in text
    assert kernels_table({}) == "## Kernels\n\nnot measured"
