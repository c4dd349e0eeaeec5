"""How a run is held against the CPU goals."""

from __future__ import annotations

from typing import Any

import pytest
from bench_runs import cell, result, run

from harness import goals  # isort: skip
from harness.settings import SETTINGS


def judged(whole: Any) -> dict[str, goals.Verdict]:
    return {verdict.title: verdict for verdict in goals.verdicts(whole)}


def test_multiples_of_a_read_are_taken_without_what_a_call_costs() -> None:
    call = cell({"read/avx2": 1.0, "fire/avx2": 2.0, "hf": 50.0}, vocabulary=32, place="in cache")
    whole: Any = run([cell({"read/avx2": 21.0, "fire/avx2": 34.0, "hf": 400.0})], calls=[call])
    assert goals.Costs(whole).limits(whole["cells"][0], "fire/avx2") == pytest.approx((34 - 2) / (21 - 1))
    verdict = judged(whole)["top-k ≤ 50, min-p or greedy, out of cache (avx2)"]
    assert (verdict.limit, verdict.worst, verdict.met, verdict.cells) == ("≤ 1.60 reads", "1.60 reads", 1, 1)
    assert judged(whole)["faster than hf (avx2)"].worst == "11.76 ×"
    assert judged(whole)["call at V = 32 (avx2)"].met == 1


def test_a_missed_goal_names_its_worst_cell() -> None:
    whole = run(
        [
            cell({"read/avx2": 20.0, "fire/avx2": 30.0, "hf": 10.0}),
            cell(
                {"read/avx2": 20.0, "fire/avx2": 50.0, "hf": 90.0},
                **{"vocabulary": 262_144, "setting": "min-p=0.05", "rows": 8},
            ),
        ]
    )
    verdict = judged(whole)["top-k ≤ 50, min-p or greedy, out of cache (avx2)"]
    assert (verdict.worst, verdict.met, verdict.cells) == ("2.50 reads", 1, 2)
    assert verdict.where == "V=262,144 bfloat16, min-p=0.05, 8 rows, out of cache"
    assert judged(whole)["faster than hf (avx2)"].met == 1


def test_every_setting_but_the_mixed_one_has_a_goal_of_its_own_on_its_usual_logits() -> None:
    for setting in SETTINGS.values():
        for kind in setting.kinds:
            shown = cell({}, setting=setting.name, kind=kind)
            assert sum(goal.is_for(shown) for goal in goals.GOALS) == (not setting.mixed)


def test_cells_with_log_probabilities_or_other_logits_are_held_to_no_goal() -> None:
    for shape in ({"outputs": "reference"}, {"kind": "ties"}):
        assert not any(goal.is_for(cell({}, **shape)) for goal in goals.GOALS)


def test_two_threads_and_memory_are_judged() -> None:
    many = cell({}, setting="no filter", rows=64)
    threads = {**many, "results": {"fire/avx2": result(100.0), "fire/avx2/2 threads": result(50.0)}}
    peak = {**many, "contender": "fire/avx2", "peak_bytes": 64 * 151_936 * 4}
    found = judged(run([], threads=[threads], memory=[peak]))
    assert (found["two threads"].worst, found["two threads"].met) == ("2.00 ×", 1)
    assert found["peak extra memory, 64 rows"].met == 0


def test_a_gpu_is_not_held_to_goals_in_reads_of_a_cpu() -> None:
    shown = cell({"read/avx2": 20.0, "fire/avx2": 30.0, "hf": 60.0})
    assert set(judged({**run([shown]), "device": "cuda"})) == {"faster than hf (avx2)"}
