"""What bench/groups.py measures, checks and shows."""

from __future__ import annotations

import copy

import pytest
import torch
from bench_runs import committed

import fire_sampling as fire  # registers the operators that are timed

import groups  # isort: skip
from harness.cases import Case

CASE = Case(512, 1, "bfloat16", "k=50 p=0.9")
COMMITTED = committed(groups.PROGRAM)


@pytest.mark.parametrize("outputs", ["token", "reference"])
def test_a_group_is_timed_beside_one_sample_and_as_many_and_every_token_is_checked(outputs: str) -> None:
    cell = groups.measure_cell(
        Case(512, 1, "bfloat16", "k=50 p=0.9", outputs=outputs), cache_bytes=0, rounds=4, size=7
    )
    assert cell["checked"] == 7 * 7  # the first three rounds are checked too
    assert cell["wrong"] == 0
    assert [found["calls"] for found in cell["results"].values()] == [4] * 3


def test_a_wrong_token_of_a_group_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    right = groups.calls_of(CASE, 5)
    wrong = right | {"group": lambda row: (right["group"](row) + torch.tensor([1, 0, 0, 0, 1])) % 512}
    monkeypatch.setattr(groups, "calls_of", lambda case, size: wrong)
    assert groups.measure_cell(CASE, cache_bytes=0, rounds=2, size=5)["wrong"] == 5 * 2


def test_the_members_differ_in_nothing_but_the_member_and_are_hot() -> None:
    members = groups.grouped(CASE, 6)
    assert torch.equal(members[:, :15], members[:1, :15].expand(6, -1))
    assert members[:, 15].tolist() == [5 | member << 16 for member in range(6)]
    status = fire.sample_with_logprobs(torch.zeros(6, 9), 3, members).status
    assert (status & fire.Status.HOT).all()


def test_a_group_that_costs_more_than_its_goal_is_named() -> None:
    run = copy.deepcopy(COMMITTED)
    assert groups.missed(run) == []
    result = run["cells"][0]["results"]
    result["group"]["median"] = 5 * result["one sample"]["median"]
    assert groups.missed(run) == ["k=50 p=0.9, bfloat16: 5.00 of 1.3"]
