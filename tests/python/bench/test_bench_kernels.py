"""Goals and predictions that the kernels' times are held against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from harness import goals
from harness.cases import DTYPES, GPU_VOCABULARY, ROWS, Case

from predict import DOCS, figures, page, predictions  # isort: skip
import row_work  # isort: skip


CASES = [
    Case(GPU_VOCABULARY, rows, dtype, setting, outputs=outputs, launch="graph")
    for dtype in DTYPES
    for setting, outputs in (*row_work.COUNTED, ("k=1000 p=0.95", "token"), ("k=50 p=0.9", "logprobs"))
    for rows in ROWS
]


def test_every_cell_with_a_goal_has_its_floor_below_it() -> None:
    with_goal = [cell for cell in CASES if goals.goal_us(cell) is not None]
    # rows · (four settings with figures of their own, and two derived, a dtype)
    assert len(with_goal) == 6 * (4 + 4)
    for cell in with_goal:
        assert goals.floor_us(cell) < (goals.goal_us(cell) or 0)


def test_the_committed_predictions_are_those_of_the_model() -> None:
    found = list(predictions())
    assert found
    told = "python bench/predict.py --write"
    assert goals.PREDICTIONS.read_text() == figures(found), told
    assert DOCS.read_text() == page(found), told
    for one in found:
        assert goals.predicted_us(one.case) == (round(one.best, 1), round(one.plain, 1))
        assert goals.floor_us(one.case) < one.best <= one.plain


def test_no_prediction_speaks_of_another_vocabulary_or_setting() -> None:
    predicted = {one.case for one in predictions()}
    for case in CASES:
        assert (goals.predicted_us(case) is not None) == (case in predicted)
        for axes in ({"vocabulary": 512}, {"kind": "flat"}, {"place": "in cache"}, {"launch": "eager"}):
            assert goals.predicted_us(replace(case, **axes)) is None


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
    work = row_work.work_of(a_launch(reading, other), Case(row.numel(), 1, "float32", "k=50 p=0.9"), row)
    assert (work.busiest, work.all) == (950, 1620)
    assert (work.cluster, work.block_barriers, work.cluster_barriers, work.readings) == (2, 5, 3, 1.0)


def test_a_count_that_finds_no_loop_over_the_row_is_refused() -> None:
    other = {"vector_loads": 1, "length": 10, "instructions": 500, "of_busiest": 400}
    with pytest.raises(RuntimeError, match=r"k=50 p=0\.9, float32.*read the row 0\.00 times"):
        row_work.work_of(a_launch(other), Case(4096, 1, "float32", "k=50 p=0.9"), torch.zeros(1, 4096))


def test_the_committed_count_has_every_cell_that_is_predicted_once() -> None:
    counted = [
        (work.setting, work.outputs, work.dtype, rows) for work in row_work.read_table() for rows in work.rows
    ]
    assert len(counted) == len(set(counted)) == len(list(predictions()))
    assert row_work.table_text(row_work.read_table()) == row_work.TABLE.read_text()
