"""What every program of its own measures with, writes and shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench_runs import committed

import groups  # isort: skip
import masks
import shards
import support_log_prob
import supports
from harness.comparison import Comparison, interleaved
from views.text import markers

PROGRAMS: dict[str, Comparison] = {
    module.PROGRAM.name: module.PROGRAM for module in (groups, masks, shards, supports, support_log_prob)
}


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Comparison:
    name: str = request.param
    return PROGRAMS[name]


def test_the_page_shows_the_committed_table(program: Comparison) -> None:
    run, (begin, end) = committed(program), markers(*program.place)
    assert f"{begin}\n{program.part(run)}\n{end}" in program.document.read_text()
    assert sum(cell.get("wrong", 0) for cell in run["cells"]) == 0


def test_calls_take_turns_on_the_next_batch_and_cold_rounds_are_kept_but_not_timed() -> None:
    batches = [torch.full((1,), float(i)) for i in range(3)]
    seen: list[float] = []

    def call(batch: torch.Tensor) -> float:
        seen.append(batch.item())
        return batch.item()

    results, kept = interleaved({"a": call, "b": call}, batches, rounds=4, cold=2, kept="b")
    assert seen == [0, 1, 2] * 4
    assert [found["calls"] for found in results.values()] == [4, 4]
    assert [result for _, result in kept] == [batch.item() for batch, _ in kept]
    assert len(kept) == 6


def test_wrong_results_and_missed_goals_are_told_and_fail_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Comparison(
        "name", "page.md", lambda _: {"cells": [{"wrong": 2}]}, lambda _: "table", lambda _: "about",
        lambda _: ["a goal"], "tokens",
    )  # fmt: skip
    out = tmp_path / "run.json"
    assert program.main(program.parser("").parse_args(["--out", str(out)])) == 1
    assert capsys.readouterr().out == f"table\nmissed: a goal\n2 wrong tokens: {out}\n"
    assert program.main(program.parser("").parse_args(["--show", "--out", str(out)])) == 0
    assert capsys.readouterr().out == "table\n\nabout\n"
