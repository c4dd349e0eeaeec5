"""What bench/supports.py measures, checks and shows."""

from __future__ import annotations

import copy

import pytest
import torch
from bench_runs import committed

import fire_sampling  # noqa: F401  # registers the operators that are timed

import supports  # isort: skip
from harness.cases import DTYPES, Case

COMMITTED = committed(supports.PROGRAM)


@pytest.mark.parametrize("setting", ["k=50 p=0.9", "no filter"])
@pytest.mark.parametrize("outputs", ["logprobs", "reference"])
def test_both_are_timed_and_every_support_is_checked(setting: str, outputs: str) -> None:
    case = Case(512, 1, "bfloat16", setting, outputs=outputs)
    cell = supports.measure_cell(case, cache_bytes=0, rounds=4)
    assert (cell["checked"], cell["wrong"]) == (7, 0)  # the first three rounds are checked too
    assert [found["calls"] for found in cell["results"].values()] == [4, 4]
    assert (cell["kept"] > supports.WIDTH) == (setting == "no filter")


@pytest.mark.parametrize("output", [0, 1, 4, 6, 7])
def test_a_support_that_is_not_of_its_sample_is_wrong(output: int) -> None:
    calls = supports.calls_of(Case(512, 1, "float32", "k=50 p=0.9", outputs="reference"))
    row = torch.randn(1, 512, generator=torch.Generator().manual_seed(1))
    alone, ours = calls[supports.ALONE](row), list(calls[supports.OURS](row))
    assert not supports.is_wrong(tuple(ours), alone)
    ours[output] = ours[output] - 2
    assert supports.is_wrong(tuple(ours), alone)


def test_a_support_that_costs_more_than_its_goal_is_named_and_a_cut_one_has_none() -> None:
    run = copy.deepcopy(COMMITTED)
    for cell in run["cells"]:
        result = cell["results"]
        result[supports.OURS]["median"] = 2 * result[supports.ALONE]["median"]
    run["cells"] = [cell for cell in run["cells"] if cell["setting"] in ("k=50 p=0.9", "no filter")]
    told = [f"k=50 p=0.9, {dtype}, {o}: 2.00 of 1.1" for o in ("logprobs", "reference") for dtype in DTYPES]
    assert supports.missed(run) == told
