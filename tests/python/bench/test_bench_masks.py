"""What bench/masks.py measures, checks and shows."""

from __future__ import annotations

import pytest
import torch
from bench_runs import committed

import fire_sampling  # noqa: F401  registers the operators that are timed

import masks  # isort: skip

COMMITTED = committed(masks.PROGRAM)


@pytest.mark.parametrize("setting", masks.TOP_P)
def test_every_way_that_is_there_is_timed_and_every_mask_is_checked(setting: str) -> None:
    cell = masks.measure_cell(setting, 3, rounds=2, vocabulary=512)
    assert cell["wrong"] == 0
    assert 0 < cell["kept"][0] <= cell["kept"][1] <= 64
    assert {"processed", "fused", "token"} <= set(cell["results"])
    assert all(found["calls"] == 2 for found in cell["results"].values())


def test_a_wrong_mask_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    right = masks.compact

    def one_id_wrong(processed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ids, counts = right(processed)
        ids[0] += 1
        return ids, counts

    monkeypatch.setattr(masks, "compact", one_id_wrong)
    assert masks.measure_cell("k=64", 3, rounds=1, vocabulary=512)["wrong"] == 1


def test_every_way_was_measured_at_every_size() -> None:
    cells = [(cell["setting"], cell["rows"]) for cell in COMMITTED["cells"]]
    assert cells == [(setting, rows) for setting in masks.TOP_P for rows in (1, 8, 64)]
    assert all(set(cell["results"]) == set(masks.NAMES) for cell in COMMITTED["cells"])
