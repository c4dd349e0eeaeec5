"""The logic of the kernels' benchmark: cells, goals, clocks, table. No GPU, and no time is asserted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import fire_sampling as fire

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import predict
from gpu import cells, clocks, goals, row_work
from gpu.table import kernels_table

import kernels


def test_records_of_the_benchmark_are_those_that_pack_writes() -> None:
    setting = next(one for one in cells.SETTINGS if one.name == "k50 p.9")
    config = fire.SamplingConfig(top_k=50, top_p=0.9, hot_steps=0, seed=2)
    packed = fire.pack([config])[0]
    ours = cells.records(setting, 3)[2]
    # The hot half and the reference temperature do not count in a record that is never hot and names none.
    counted = [0, 1, 2, 3, 9, 10, 11, 12, 13]
    assert torch.equal(ours[counted], packed[counted])


class RecordedCuda:
    """Stands in for the parts of torch.cuda that the clocks use; `log` has what they did, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.CUDAGraph = lambda: SimpleNamespace(replay=lambda: self.log.append("replay"))
        self.Stream = self.current_stream = lambda: SimpleNamespace(wait_stream=lambda _: None)

    def Event(self, enable_timing: bool) -> SimpleNamespace:  # noqa: N802
        assert enable_timing
        return SimpleNamespace(
            record=lambda: self.log.append("event"), synchronize=lambda: None, elapsed_time=lambda _: 0.5
        )

    def synchronize(self) -> None:
        self.log.append("wait")

    def stream(self, _: object) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        self.log.append("capture")
        yield
        self.log.append("captured")


def test_the_graph_clock_times_replays_of_all_calls_and_counts_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=cuda))
    samples = clocks.GraphClock(replays=2).samples(
        [lambda: cuda.log.append("a"), lambda: cuda.log.append("b")]
    )
    assert samples == [250.0, 250.0]  # half a millisecond for two calls
    timed = ["event", "replay", "event"]
    # One call before the capture: nothing may be set up within it; one replay before the timed ones.
    assert cuda.log == ["a", "capture", "a", "b", "captured", "replay", "wait", *timed, *timed]


def test_the_eager_clock_waits_for_the_device_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = RecordedCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=cuda))
    samples = clocks.EagerClock(rounds=2).samples([lambda: cuda.log.append("a")])
    assert len(samples) == 2
    assert cuda.log == ["wait", "a", "wait"] * 2


def test_the_calls_of_a_cell_take_turns_through_rows_that_fill_the_cache_many_times() -> None:
    l2_bytes = 1 << 20
    bench = kernels.Bench(torch.device("cpu"), clocks.RehearsalClock(), l2_bytes)
    for cell in cells.cells(rows=(1, 8, 64), vocabulary=4096):
        pool_rows = max(2 * 64, kernels.ROTATION * l2_bytes // cell.row_bytes)
        calls = bench.calls(cell, torch.empty(pool_rows, 0))
        assert kernels.LEAST_CALLS <= calls <= kernels.MOST_CALLS
        assert min(calls, pool_rows // cell.rows) * cell.bytes >= 2 * l2_bytes


def test_every_cell_with_a_goal_has_its_floor_below_it() -> None:
    with_goal = [cell for cell in cells.cells() if goals.goal_us(cell) is not None]
    assert len(with_goal) == 6 * (
        4 + 4
    )  # rows · (four settings with figures of their own, and two derived, a dtype)
    for cell in with_goal:
        assert goals.floor_us(cell) < (goals.goal_us(cell) or 0)


def test_the_committed_predictions_are_those_of_the_model() -> None:
    found = list(predict.predictions())
    assert found
    told = "python bench/predict.py --write"
    assert goals.PREDICTIONS.read_text() == predict.figures(found), told
    assert predict.DOCS.read_text() == predict.page(found), told
    for one in found:
        assert goals.predicted_us(one.cell) == (round(one.best, 1), round(one.plain, 1))
        assert goals.floor_us(one.cell) < one.best <= one.plain


def test_no_prediction_speaks_of_another_vocabulary_or_setting() -> None:
    predicted = {(one.cell.setting.name, one.cell.dtype, one.cell.rows) for one in predict.predictions()}
    for cell in cells.cells():
        key = (cell.setting.name, cell.dtype, cell.rows)
        assert (goals.predicted_us(cell) is not None) == (key in predicted)
    assert all(goals.predicted_us(cell) is None for cell in cells.cells(vocabulary=512))


def a_launch(*loops: dict[str, int]) -> dict[str, Any]:
    """As the simulated device tells of one, in what the count reads of it."""
    busiest = {"instructions": 1000, "block_barriers": 5, "cluster_barriers": 3}
    return {
        "kernel": "k",
        "cluster": [2, 1, 1],
        "instructions": 1700,
        "busiest": busiest,
        "loops": list(loops),
    }


def test_the_work_of_a_row_is_what_is_issued_outside_the_loops_that_read_it_in_groups() -> None:
    row = torch.zeros(1, 8 * 4 * 32 * 4)  # 8 turns of a warp, 4 vectors of 4 floats a lane
    reading = {"vector_loads": 4, "length": 10, "instructions": 80, "of_busiest": 50}
    other = {"vector_loads": 1, "length": 10, "instructions": 500, "of_busiest": 400}
    work = row_work.work_of(a_launch(reading, other), cells.SETTINGS[0], "float32", row)
    assert (work.busiest, work.all) == (950, 1620)
    assert (work.cluster, work.block_barriers, work.cluster_barriers, work.readings) == (2, 5, 3, 1.0)


def test_a_count_that_finds_no_loop_over_the_row_is_refused() -> None:
    other = {"vector_loads": 1, "length": 10, "instructions": 500, "of_busiest": 400}
    with pytest.raises(RuntimeError, match=r"k50 p\.9, float32.*read the row 0\.00 times"):
        row_work.work_of(a_launch(other), cells.SETTINGS[0], "float32", torch.zeros(1, 4096))


def test_the_committed_count_has_every_cell_that_is_predicted_once() -> None:
    counted = [(work.setting, work.dtype, rows) for work in row_work.read_table() for rows in work.rows]
    assert len(counted) == len(set(counted)) == len(list(predict.predictions()))
    assert row_work.table_text(row_work.read_table()) == row_work.TABLE.read_text()


def test_a_cell_that_was_not_timed_shows_no_figure_and_wrong_tokens_are_shouted() -> None:
    cell = {
        "setting": "none",
        "dtype": "bfloat16",
        "rows": 1,
        **dict.fromkeys(("us", "low", "high", "gb_s", "goal_us", "predicted_us")),
        "floor_us": 0.06,
        "wrong": 0,
    }
    text = kernels_table({"vocabulary": 128256, "cells": [cell, {**cell, "wrong": 3}]})
    assert "| bfloat16 | none | 1 | — | — – — | — | 0.06 | — | — |  |" in text
    assert "3 WRONG" in text
    assert kernels_table({}) == "## Kernels\n\nnot measured"
