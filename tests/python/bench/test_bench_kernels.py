"""Goals and predictions that the kernels' times are held against."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from bench_runs import BENCH  # noqa: F401 (finds the next ones)
from harness import goals
from harness.cases import DTYPES, GPU_VOCABULARY, ROWS, Case

from predict import DOCS, case_of, figures, page, predictions  # isort: skip
import row_work  # isort: skip


SETTINGS = (("k=50 p=0.9", "token"), ("no filter", "token"), ("p=0.9", "token"), ("k=50 p=0.9", "reference"))
CASES = [
    Case(GPU_VOCABULARY, rows, dtype, setting, outputs=outputs, launch="graph")
    for dtype in DTYPES
    for setting, outputs in (*SETTINGS, ("k=1000 p=0.95", "token"), ("k=50 p=0.9", "logprobs"))
    for rows in ROWS
]


def test_every_cell_with_a_goal_has_its_floor_below_it() -> None:
    with_goal = [cell for cell in CASES if goals.goal_us(cell) is not None]
    # rows · (four settings with figures of their own, and two derived, a dtype)
    assert len(with_goal) == 6 * (4 + 4)
    for cell in with_goal:
        assert goals.floor_us(cell) < (goals.goal_us(cell) or 0)


def test_the_committed_predictions_are_those_of_the_model() -> None:
    works = predictions()
    told = "python bench/predict.py --write"
    assert goals.PREDICTIONS.read_text() == figures(works), told
    assert DOCS.read_text() == page(works), told
    cases = {case: work for work in works if (case := case_of(work))}
    assert cases
    for case, work in cases.items():
        assert goals.predicted_us(case) == work.us
        assert goals.floor_us(case) < work.us[0] <= work.us[1]


def test_no_prediction_speaks_of_another_vocabulary_or_setting() -> None:
    predicted = {case_of(work) for work in predictions()}
    for case in CASES:
        assert (goals.predicted_us(case) is not None) == (case in predicted)
        for axes in ({"vocabulary": 512}, {"kind": "flat"}, {"place": "in cache"}, {"launch": "eager"}):
            assert goals.predicted_us(replace(case, **axes)) is None


def test_the_committed_count_has_every_cell_once_for_each_number_of_rows() -> None:
    works = row_work.read_table()
    assert [(work.cell, work.rows) for work in works] == list(product(row_work.CELLS, row_work.ROWS))
    assert len(set(row_work.CELLS)) == len(row_work.CELLS)
    assert row_work.table_text(works) == row_work.TABLE.read_text()


@pytest.mark.parametrize(
    ("kind", "finite"), [("masked to 20", 20), ("masked to 2000", 2000), ("peaked", 128_256)]
)
def test_a_masked_row_has_as_many_finite_logits_as_it_says(kind: str, finite: int) -> None:
    assert int(row_work.make_row(kind, "bfloat16").isfinite().sum()) == finite


def test_a_kind_of_row_that_nobody_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="steep"):
        row_work.make_row("steep", "bfloat16")
