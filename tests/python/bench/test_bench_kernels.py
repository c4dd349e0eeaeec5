"""Goals and predictions that the kernels' times are held against."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bench_runs import BENCH
from gpu import cells, goals, row_work
from predict import DOCS, figures, page, predictions

import fire_sampling as fire

assert BENCH  # it is on the path


def test_records_of_the_predictions_are_those_that_pack_writes() -> None:
    setting = next(one for one in cells.SETTINGS if one.name == "k50 p.9")
    config = fire.SamplingConfig(top_k=50, top_p=0.9, hot_steps=0, seed=2)
    packed = fire.pack([config])[0]
    ours = cells.records(setting, 3)[2]
    # The hot half and the reference temperature do not count in a record that is never hot and names none.
    counted = [0, 1, 2, 3, 9, 11, 12, 13]
    assert torch.equal(ours[counted], packed[counted])


def test_every_cell_with_a_goal_has_its_floor_below_it() -> None:
    with_goal = [cell for cell in cells.cells() if goals.goal_us(cell) is not None]
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
        assert goals.predicted_us(one.cell) == (round(one.best, 1), round(one.plain, 1))
        assert goals.floor_us(one.cell) < one.best <= one.plain


def test_no_prediction_speaks_of_another_vocabulary_or_setting() -> None:
    predicted = {(one.cell.setting.name, one.cell.dtype, one.cell.rows) for one in predictions()}
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
    assert len(counted) == len(set(counted)) == len(list(predictions()))
    assert row_work.table_text(row_work.read_table()) == row_work.TABLE.read_text()
