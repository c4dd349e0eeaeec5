"""The logic of the benchmark: which cells, how summed up, checked, judged and shown. No time is asserted."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import cpu  # noqa: E402
import peers  # noqa: E402
from harness import goals, machine, report, rows, session  # noqa: E402
from harness.cases import DTYPES, ROWS, SETTINGS, VOCABULARIES, Case, Filters, Selection, by_pool  # noqa: E402
from harness.kept_set import KeptSets, lowest_kept  # noqa: E402
from harness.summary import Summary, quantile  # noqa: E402
from harness.turns import LEAST_ROUNDS, MOST_CALLS_A_TURN, MOST_ROUNDS, TURN, Estimate, Pace, turns  # noqa: E402

CACHE = 32 << 20


def result(median: float, wrong: int = 0) -> dict[str, Any]:
    return {**asdict(Summary(median, median * 0.9, median * 1.1, 100)), "checked": 100, "wrong": wrong}


def make_cell(case: Case, **medians: float) -> dict[str, Any]:
    results = {name.replace("_", "/"): result(median) for name, median in medians.items()}
    return {**case.as_dict(), "stolen_percent": 0.0, "kept": 16, "results": results}


def make_run(cells: list[dict[str, Any]], calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "caches": {"L1": 48 << 10, "L3": CACHE},
            "system": "Linux",
            "versions": {"torch": "2.13.0"},
            "date": "2026-01-01",
        },
        "instruction_sets": ["avx2"],
        "cache_bytes": CACHE,
        "left_out": {"numpy": "ImportError: missing"},
        "ours": {"read": {"title": "one read", "notes": "a maximum"}},
        "contenders": {"hf": {"title": "HF transformers", "notes": "warpers"}},
        "calls": calls or [],
        "packs": [{"rows": 1, **asdict(Summary(4.0, 4.0, 4.0, 100))}],
        "cells": cells,
        "threads": [],
        "memory": [],
    }


HOT = Case(151_936, "float32", "hot T=30 k=16", "peaked", 1, "out of cache")
HOT_CALL = Case(32, "float32", "hot T=30 k=16", "peaked", 1, "in cache")


# ---- the table of cells ----


def test_a_full_run_has_every_shape_that_fits_its_place() -> None:
    cases = Selection(full=True).cases(CACHE)
    assert len(set(cases)) == len(cases)
    for vocabulary in VOCABULARIES:
        for dtype in DTYPES:
            for setting in SETTINGS:
                for count in ROWS:
                    case = Case(vocabulary, dtype, setting, SETTINGS[setting].kind, count, "out of cache")
                    assert case in cases
                    in_cache = Case(vocabulary, dtype, setting, SETTINGS[setting].kind, count, "in cache")
                    assert (in_cache in cases) == (in_cache.batch_bytes <= CACHE // 2)


def test_the_default_run_measures_one_row_everywhere_and_many_rows_once() -> None:
    cases = Selection().cases(CACHE)
    assert {(case.vocabulary, case.dtype) for case in cases if case.rows == 1} == {
        (vocabulary, dtype) for vocabulary in VOCABULARIES for dtype in DTYPES
    }
    assert {(case.vocabulary, case.dtype) for case in cases if case.rows > 1} == {(151_936, "float32")}


def test_cases_of_one_pool_follow_each_other_so_that_rows_are_made_once() -> None:
    cases = Selection(full=True).cases(CACHE)
    assert [case for group in by_pool(cases).values() for case in group] == cases


def test_a_misspelt_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"--dtypes: got 'float64', expected of \('float32', 'bfloat16'\)"):
        cpu.selection_of(cpu.parse_arguments(["--dtypes", "float64"]))


# ---- rows ----


def test_a_flat_row_has_a_nucleus_of_more_than_50_000_tokens_and_a_peaked_one_of_some_tens() -> None:
    for kind, least, most in (("flat", 50_001, 151_936), ("peaked", 10, 100)):
        row = np.sort(rows.make_rows(kind, 1, 151_936, seed=0)[0].astype(np.float64))[::-1]
        mass = np.cumsum(np.exp(row - row[0]))
        assert least <= np.searchsorted(mass, 0.9 * mass[-1]) + 1 <= most


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rotation_is_four_times_the_cache_in_whole_batches(vocabulary: int, dtype: str) -> None:
    count = rows.pool_rows(vocabulary, dtype, CACHE)
    assert count % max(ROWS) == 0
    assert count * vocabulary * (4 if dtype == "float32" else 2) >= 4 * CACHE


def test_out_of_cache_every_call_takes_the_next_batch_whoever_makes_it() -> None:
    pool = torch.arange(6 * 4, dtype=torch.float32).view(6, 4)
    rotation = rows.Rotation(Case(4, "float32", "no filter", "peaked", 2, "out of cache"), pool)
    assert [rotation.take() for _ in range(4)] == [0, 1, 2, 0]
    stays = rows.Rotation(Case(4, "float32", "no filter", "peaked", 2, "in cache"), pool)
    assert [stays.take() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pool_comes_back_from_its_file_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    rows.write_pool(tmp_path / "pool.npy", (32, dtype, "peaked"), CACHE)
    loaded = rows.load_pool(tmp_path / "pool.npy")
    made = torch.from_numpy(rows.make_rows("peaked", 64, 32, seed=32)).to(getattr(torch, dtype))
    assert loaded.dtype == made.dtype
    assert torch.equal(loaded, made)


# ---- turns and statistics ----


def test_a_round_gives_everyone_with_rounds_left_one_turn_in_varying_order() -> None:
    seats = [session.Seat("peers", name) for name in "abcdef"]
    counts = dict(zip(seats, (3, 3, 3, 3, 3, 1), strict=True))
    order = list(turns(counts, random.Random(0)))
    assert {seat: order.count(seat) for seat in seats} == counts
    first, second, third = order[:6], order[6:11], order[11:]
    assert set(first) == set(seats)
    assert set(second) == set(third) == set(seats[:5])
    assert [seat for seat in first if seat in second] != second


def test_a_turn_is_one_long_call_or_up_to_twenty_short_ones_after_a_warm_up() -> None:
    assert Pace.of(Estimate(10 * TURN, 10 * TURN), budget=1) == Pace(calls=1, warm_up=0, rounds=MOST_ROUNDS)
    assert Pace.of(Estimate(TURN // 5, TURN // 5), budget=1) == Pace(calls=5, warm_up=1, rounds=MOST_ROUNDS)
    assert Pace.of(Estimate(1, 1), budget=1) == Pace(MOST_CALLS_A_TURN, 1, MOST_ROUNDS)


def test_a_costly_preparation_shortens_the_run_of_a_quick_call_but_keeps_its_warm_up() -> None:
    assert Pace.of(Estimate(TURN // 5, 10 * TURN), budget=0.5) == Pace(calls=1, warm_up=1, rounds=6)
    assert Pace.of(Estimate(1000 * TURN, 1000 * TURN), budget=0.5) == Pace(1, 0, LEAST_ROUNDS)


def test_quantiles_are_those_of_numpy() -> None:
    times = sorted(random.Random(1).choices(range(1000), k=37))
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert quantile(times, fraction) == pytest.approx(np.quantile(times, fraction))
    with pytest.raises(ValueError, match="got no values"):
        quantile([], 0.5)


def test_a_summary_is_in_microseconds() -> None:
    assert Summary.of_nanoseconds([3000, 1000, 2000]) == Summary(2.0, 1.2, 2.8, 3)


def test_cache_sizes_are_read_from_what_the_system_tells(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        (("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "32M"))
    ):
        (tmp_path / f"index{index}").mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (tmp_path / f"index{index}" / name).write_text(text + "\n")
    assert machine.caches(tmp_path) == {"L1": 48 << 10, "L3": 32 << 20}


# ---- checks ----


@pytest.mark.parametrize(
    ("filters", "before_temperature", "kept"),
    [
        (Filters(), False, 5),
        (Filters(top_k=2), False, 2),
        (Filters(top_p=0.9), False, 3),  # weights 1, 1/2, 1/4, 1/8, 1/16
        (Filters(temperature=1e6, top_p=0.7), False, 4),
        (Filters(temperature=1e6, top_p=0.7), True, 2),
        (Filters(top_k=4, top_p=0.9), False, 3),
        (Filters(min_p=0.2), False, 3),
        (Filters(temperature=0.5, min_p=0.2), False, 2),
    ],
)
def test_the_kept_set_ends_where_a_hand_calculation_says(
    filters: Filters, before_temperature: bool, kept: int
) -> None:
    row = -np.log(2.0) * np.arange(5, dtype=np.float32)
    assert (row >= lowest_kept(row.astype(np.float32), filters, before_temperature)).sum() == kept


def test_a_token_outside_the_kept_set_or_the_vocabulary_is_counted_as_wrong() -> None:
    logits = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], np.float32)
    kept_sets = KeptSets(Filters(top_k=1))
    assert kept_sets.wrong(logits, 0, np.array([0, 2]), False) == 0
    assert kept_sets.wrong(logits, 0, np.array([1, 2]), False) == 1
    assert kept_sets.wrong(logits, 0, np.array([0, 3]), False) == 1
    assert kept_sets.wrong(logits, 0, np.array([-1, -1]), False) == 2


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpys_tokens_lie_in_the_kept_set(setting: str, dtype: str) -> None:
    case = Case(512, dtype, setting, SETTINGS[setting].kind, 4, "in cache")
    batches = (
        torch.from_numpy(rows.make_rows(case.kind, 8, 512, seed=1)).to(getattr(torch, dtype)).view(2, 4, 512)
    )
    contender = peers.load("numpy")(case, batches, None)  # type: ignore[arg-type]
    for draw in range(50):
        contender.prepare(draw % 2, draw)
        assert contender.wrong(contender.tokens(contender.call()), draw % 2) == 0


def test_the_filters_of_a_hot_setting_are_those_of_the_hot_phase_alone() -> None:
    from peers.fire import configuration

    hot = configuration(HOT)
    assert (hot.hot_temperature, hot.hot_top_k, hot.temperature) == (30.0, 16, 1.0)
    assert hot.hot_steps == 2**31 - 1
    regular = configuration(Case(512, "float32", "k=50 p=0.95 T=0.7", "peaked", 1, "in cache"))
    assert (regular.temperature, regular.top_k, regular.top_p, regular.hot_steps) == (0.7, 50, 0.95, 0)


# ---- goals and reports ----


def test_multiples_of_a_read_are_taken_without_what_a_call_costs() -> None:
    run = make_run(
        [make_cell(HOT, read_avx2=21.0, fire_avx2=34.0, hf=400.0)],
        [make_cell(HOT_CALL, read_avx2=1.0, fire_avx2=2.0, hf=50.0)],
    )
    assert goals.Costs(run).reads(run["cells"][0], "avx2") == pytest.approx((34 - 2) / (21 - 1))
    judged = {verdict.title: verdict for verdict in goals.verdicts(run)}
    verdict = judged["top-k ≤ 50 or min-p, out of cache (avx2)"]
    assert (verdict.limit, verdict.worst, verdict.met, verdict.cells) == ("≤ 1.60 reads", "1.60 reads", 1, 1)
    assert judged["faster than hf (avx2)"].worst == "11.76 ×"
    assert judged["call at V = 32 (avx2)"].met == 1


def test_a_missed_goal_names_its_worst_cell() -> None:
    quick, slow = HOT, Case(262_144, "bfloat16", "min-p=0.05", "peaked", 8, "out of cache")
    run = make_run(
        [
            make_cell(quick, read_avx2=20, fire_avx2=30, hf=10),
            make_cell(slow, read_avx2=20, fire_avx2=50, hf=90),
        ]
    )
    judged = {verdict.title: verdict for verdict in goals.verdicts(run)}
    verdict = judged["top-k ≤ 50 or min-p, out of cache (avx2)"]
    assert (verdict.worst, verdict.met, verdict.cells) == ("2.50 reads", 1, 2)
    assert verdict.where == "V=262,144 bfloat16, min-p=0.05, 8 rows, out of cache"
    assert judged["faster than hf (avx2)"].met == 1


def test_every_setting_has_a_goal_of_its_own() -> None:
    for setting in SETTINGS.values():
        cell = Case(151_936, "float32", setting.name, setting.kind, 1, "out of cache").as_dict()
        assert sum(goal.is_for(cell) for goal in goals.GOALS) == 1


def test_two_threads_and_memory_are_judged() -> None:
    run = make_run([])
    many = Case(151_936, "float32", "no filter", "peaked", 64, "out of cache")
    cell = {**make_cell(many), "results": {"fire/avx2": result(100.0), "fire/avx2/2 threads": result(50.0)}}
    run["threads"] = [cell]
    run["memory"] = [{**many.as_dict(), "contender": "fire", "peak_bytes": 64 * 151_936 * 4}]
    judged = {verdict.title: verdict for verdict in goals.verdicts(run)}
    assert (judged["two threads"].worst, judged["two threads"].met) == ("2.00 ×", 1)
    assert judged["peak extra memory, 64 rows"].met == 0


@pytest.mark.parametrize("markdown", [False, True])
def test_a_report_shows_every_cell_what_was_left_out_and_every_wrong_token(markdown: bool) -> None:
    cells = [make_cell(HOT, read_avx2=20, fire_avx2=30, hf=12_070.4)]
    cells[0]["results"]["hf"]["wrong"] = 3
    shown = report.Report(json.loads(json.dumps(make_run(cells))), markdown)
    text = shown.render()
    assert shown.wrong_tokens() == 3
    for expected in (
        "3 were wrong",
        "Left out: numpy (ImportError: missing)",
        "12,070 (402.3 ×)",
        "30.0 (27.0–33.0)",
    ):
        assert expected in text
    assert ("<details>" in text) == markdown


def test_a_markdown_table_has_as_many_fields_in_every_line() -> None:
    table = report.markdown_table(("a", "b"), [("1", "2"), ("3", "4")])
    assert [line.count("|") for line in table.splitlines()] == [3, 3, 3, 3]


def test_numbers_keep_three_digits_that_count() -> None:
    assert [report.microseconds(value) for value in (4.056, 12.34, 871.2, 12_070.4)] == [
        "4.06",
        "12.3",
        "871",
        "12,070",
    ]


def test_the_report_replaces_what_stands_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{report.BEGIN}\nold \\1\n{report.END}\nafter\n")
    for text in (r"new \1", "newer"):
        report.write_between_markers(document, text)
        assert document.read_text() == f"before\n{report.BEGIN}\n{text}\n{report.END}\nafter\n"
    document.write_text("no place")
    with pytest.raises(ValueError, match="got 0 places"):
        report.write_between_markers(document, "new")


def test_the_documentation_has_a_place_for_the_report_and_the_picture() -> None:
    document = cpu.DOCUMENT.read_text()
    assert document.count(report.BEGIN) == document.count(report.END) == 1
    assert f"images/{cpu.PICTURE.name}" in document


def test_the_picture_is_drawn_from_a_stored_run(tmp_path: Path) -> None:
    from harness import picture

    cells = [make_cell(HOT, read_avx2=20, fire_avx2=30, hf=400)]
    picture.draw(make_run(cells), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no cell of one float32 row of 151936"):
        picture.draw(make_run([]), tmp_path / "picture.png")


# ---- the whole of it, on rows so short that it takes seconds ----


def test_a_small_run_checks_every_token_and_finds_none_wrong(tmp_path: Path) -> None:
    options = cpu.parse_arguments(
        [
            *("--vocabularies", "512", "--dtypes", "bfloat16", "--rows", "3", "--budget", "0.001"),
            *("--settings", "hot T=30 k=16,p=0.9 flat", "--places", "in cache", "--isa", "baseline"),
            *("--peers", "numpy", "--sections", "calls,cells"),
        ]
    )
    saved: list[int] = []
    run = cpu.measure(options, lambda run: saved.append(len(run["cells"])))
    assert saved == [1, 2]
    assert [cell["setting"] for cell in run["cells"]] == ["p=0.9 flat", "hot T=30 k=16"]
    for cell in (*run["cells"], *run["calls"]):
        assert set(cell["results"]) == {"read/baseline", "fire/baseline", "numpy"}
        for measured in cell["results"].values():
            assert measured["calls"] > 0
            assert measured["checked"] >= measured["calls"] * cell["rows"]
            assert measured["wrong"] == 0
    assert "512" in report.Report(json.loads(json.dumps(run))).render()
