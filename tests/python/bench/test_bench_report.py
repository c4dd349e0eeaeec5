"""What a reader of a results file sees: tables, pictures, and the committed documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_runs import BENCH, cell, run

import report  # isort: skip
from harness import results_file, schema
from views import generate_plot, heat_map, roofline, rows_plot, settings_plot, text
from views.results import Results
from views.tables import Tables

NUMBER = re.compile(r"-?\d+\.\d+")
# matplotlib's id of a clip path or marker: a hash of its coordinates, all decimals of them.
HASHED_ID = re.compile(r"\b(?:[mph]|C[0-9a-f]+_[0-9a-f]+_)[0-9a-f]{10}\b")
TIMES = {"read/avx2": 20.0, "fire/avx2": 30.0, "hf": 12_070.4}


def results_of(*cells: dict[str, Any], **sections: Any) -> Results:
    return Results(schema.check(json.loads(json.dumps(run(list(cells), **sections)))))


# ---- tables ----


@pytest.mark.parametrize("markdown", [False, True])
def test_the_tables_show_every_cell_what_was_left_out_and_every_wrong_draw(markdown: bool) -> None:
    shown = cell(TIMES)
    shown["results"]["hf"]["wrong"] = 3
    results = results_of(shown)
    tables = Tables(results, markdown)
    assert results.wrong() == 3
    whole = tables.summary() + tables.details()
    for expected in (
        "3 were wrong",
        "Left out: numpy (ImportError: missing)",
        "12,070 (402 ×)",
        "30.0 (27.0–33.0)",
    ):
        assert expected in whole
    assert ("<details>" in whole) == markdown


def test_a_rehearsal_shows_dashes() -> None:
    assert "–" in Tables(results_of(cell(dict.fromkeys(TIMES)))).details()


def test_goals_that_cells_bring_along_are_judged_by_the_worst() -> None:
    met, missed = cell(TIMES, rows=8, goal_us=30.0), cell(TIMES, goal_us=15.0)
    line = next(
        line for line in Tables(results_of(met, missed)).summary().splitlines() if "time of a call" in line
    )
    assert re.search(r"2\.00 ×\s+1 of 2\s+V = 151,936, bfloat16, 1 row", line)


def test_a_peer_that_was_slower_in_some_cell_is_shown_with_its_least_ratio() -> None:
    slow, quick = cell(TIMES), cell({**TIMES, "hf": 15.0}, rows=8)
    line = next(
        line
        for line in Tables(results_of(slow, quick)).summary().splitlines()
        if line.startswith("HF transf")
    )
    assert re.search(r"0\.5\s+402\s+402\s+2", line)


def test_a_generation_is_shown_with_the_share_that_sampling_took() -> None:
    assert re.search(r"fire-sampling\s+123\s+4\.2 %", Tables(results_of(end_to_end=[generation()])).summary())


def test_a_markdown_table_has_as_many_fields_in_every_line() -> None:
    table = text.markdown_table(("a", "b"), [("1", "2"), ("3", "4")])
    assert [line.count("|") for line in table.splitlines()] == [3, 3, 3, 3]


def test_numbers_keep_the_digits_that_count() -> None:
    values = (4.056, 12.34, 871.2, 12_070.4, None)
    assert [text.microseconds(value) for value in values] == ["4.06", "12.3", "871", "12,070", "–"]
    assert [text.ratio(value) for value in (1.26, 12.34, 2_300.4)] == ["1.3", "12", "2,300"]


# ---- pictures ----


def generation() -> dict[str, Any]:
    found = {"tokens_per_second": 123.0, "low": 120.0, "high": 130.0, "sampling_share": 0.042}
    return {
        **{"model": "a model", "parameters": 1, "vocabulary": 512, "dtype": "float32", "setting": "p=0.9"},
        **{"batch": 8, "prompt_tokens": 4, "new_tokens": 4},
        "results": {"fire/avx2": {**found, "runs": 3, "checked": 96, "wrong": 0}},
    }


def test_the_picture_of_settings_shows_the_shape_with_most_of_them() -> None:
    names = ["hot T=30 k=16", "no filter"]
    cells = [cell(TIMES, rows=8, setting=name) for name in (*names, "mixed")]
    cells += [cell(TIMES, setting=name) for name in names]
    shown = results_of(*cells, cell(TIMES, rows=64)).shown()
    assert [(one["setting"], one["rows"]) for one in shown] == [(name, 1) for name in names]


def test_the_picture_over_rows_draws_only_cells_that_differ_in_nothing_else() -> None:
    cells = [cell(TIMES, rows=rows) for rows in (8, 1, 64)]
    cells += [cell(TIMES, setting="no filter", rows=rows) for rows in (1, 8)]
    cells += [cell(TIMES, rows=128, dtype="float32"), cell(TIMES, rows=256, outputs="reference")]
    lines = rows_plot.series(results_of(*cells))
    assert {name: [one["rows"] for one in line] for name, line in lines.items()} == {
        ("hot T=30 k=16", 151_936): [1, 8, 64]
    }


def test_the_picture_over_rows_has_no_empty_panel() -> None:
    cells = [
        cell(TIMES, setting=setting, vocabulary=vocabulary, rows=rows)
        for setting, vocabulary in (
            ("p=0.9", 1),
            ("p=0.9", 2),
            ("greedy", 1),
            ("greedy", 2),
            ("no filter", 2),
        )
        for rows in (1, 8, 64)
    ]
    assert set(rows_plot.series(results_of(*cells))) == {
        (name, v) for name in ("p=0.9", "greedy") for v in (1, 2)
    }
    fewer = [one for one in cells if one["setting"] != "greedy"]
    assert set(rows_plot.series(results_of(*fewer))) == {("p=0.9", 2), ("no filter", 2)}


def test_the_heat_map_compares_with_the_fastest_peer_of_each_cell() -> None:
    where, columns = heat_map.shapes(results_of(cell(TIMES), cell({**TIMES, "hf": 60.0}, rows=8)))
    assert where == "bfloat16, out of cache"
    assert columns[151_936, 1]["hot T=30 k=16", "peaked"] == pytest.approx(12_070.4 / 30)
    assert columns[151_936, 8]["hot T=30 k=16", "peaked"] == pytest.approx(2.0)


def test_many_kinds_of_logits_at_one_shape_leave_the_heat_map_its_other_shapes() -> None:
    kinds = [cell(TIMES, kind=kind) for kind in ("peaked", "flat", "gaussian", "ties", "masked")]
    _, columns = heat_map.shapes(results_of(*kinds, cell(TIMES, vocabulary=32_000), cell(TIMES, rows=8)))
    assert list(columns) == [(32_000, 1), (151_936, 1), (151_936, 8)]


def test_every_picture_is_drawn_from_a_file_that_has_the_data_and_from_no_other(tmp_path: Path) -> None:
    cells = [cell(TIMES, rows=rows) for rows in (1, 8, 64)]
    loops = [{"name": "p=0.9", "variant": "avx2", "bytes": 2.0, "instructions": 9.0, "ns": 0.3}]
    roofs = [{"title": "memory", "variant": "avx2", "bytes_per_ns": 20.0, "instructions_per_ns": None}]
    full = results_of(*cells, end_to_end=[generation()], loops=loops, roofs=roofs)
    empty = results_of()
    drawn = report.draw_pictures(full, "full", tmp_path)
    assert list(drawn) == list(report.PICTURES)
    assert all("<svg" in path.read_text() for path in drawn.values())
    again = report.draw_pictures(full, "again", tmp_path)
    assert [path.read_text() for path in again.values()] == [path.read_text() for path in drawn.values()]
    for plot in (settings_plot, rows_plot, heat_map, roofline, generate_plot):
        assert not plot.draw(empty, tmp_path / "empty.svg")
    assert not (tmp_path / "empty.svg").exists()


# ---- documents ----


def test_the_report_replaces_what_stands_between_the_markers_of_its_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    document = tmp_path / "benchmarks.md"
    begin, end = text.markers("a.json")
    document.write_text(f"before\n{begin}\nold \\1\n{end}\nafter\n")
    for new in (r"new \1", "newer"):
        text.write_between_markers(document, "a.json", new)
        assert document.read_text() == f"before\n{begin}\n{new}\n{end}\nafter\n"
    with pytest.raises(ValueError, match="got 0 places"):
        text.write_between_markers(document, "b.json", "new")


def test_a_file_that_is_no_results_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"schema": 1}')
    with pytest.raises(ValueError, match=r"old\.json: schema: got 1, expected 2"):
        report.read(path)


def numbered_ids(picture: str) -> str:
    """The picture with its hashed ids by their order."""
    order = {name: str(place) for place, name in enumerate(dict.fromkeys(HASHED_ID.findall(picture)))}
    return HASHED_ID.sub(lambda found: order[found[0]], picture)


@pytest.mark.parametrize("path", sorted((BENCH / "results").glob("*.json")), ids=lambda path: path.name)
def test_the_documents_show_what_the_committed_file_holds(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {name: getattr(report, name) for name in ("DOCUMENT", "README")}
    for name, page in pages.items():
        (tmp_path / page.name).write_text(page.read_text())
        monkeypatch.setattr(report, name, tmp_path / page.name)
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    report.write_documents(report.read(path), path)
    for page in pages.values():
        assert (tmp_path / page.name).read_text() == page.read_text()
    committed = pages["DOCUMENT"]
    for image in (tmp_path / "images").iterdir():
        shown_path = committed.parent / "images" / image.name
        drawn, shown = (numbered_ids(path.read_text()) for path in (image, shown_path))
        assert NUMBER.split(drawn) == NUMBER.split(shown)
        # Another processor's logarithms may differ in the last of six decimals.
        places = [list(map(float, NUMBER.findall(picture))) for picture in (drawn, shown)]
        assert places[0] == pytest.approx(places[1], abs=1e-4)


@pytest.mark.parametrize("path", sorted((BENCH / "results").rglob("*.json")), ids=lambda path: path.name)
def test_a_committed_file_has_an_entry_a_line(path: Path) -> None:
    depth = 4 if path.parent.name == "engines" else 2
    assert results_file.as_text(json.loads(path.read_text()), depth) + "\n" == path.read_text()
