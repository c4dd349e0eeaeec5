"""The demo's star graph: its committed weights, what they show, its picture and its place on the page."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.demo import __main__ as command  # noqa: E402
from examples.demo import star  # noqa: E402


@pytest.fixture(scope="module")
def measured() -> star.Star:
    return star.measure(100, seed=0)


def test_the_committed_weights_are_small() -> None:
    assert star.WEIGHTS.stat().st_size <= 250_000


def test_heat_on_the_first_token_finds_what_plain_sampling_does_not_and_elsewhere_it_does_not(
    measured: star.Star,
) -> None:
    assert measured.gain(40).low > 0
    assert measured.gain(1).high < 0, "a hot guess is worse than the model's"
    plain = sum(count > 0 for count in measured.plain.correct)
    for outcome in measured.heated[1:]:
        assert sum(count > 0 for count in outcome.correct) <= plain


def test_the_table_has_a_line_for_each_heated_token(measured: star.Star) -> None:
    table = star.table(measured)
    assert [row[0] for row in table.rows] == [
        "plain",
        *(f"FIRE, hot token {place}" for place in (1, 2, 3)),
        "gain of hot token 1",
    ]
    assert all(len(row) == len(table.header) for row in table.rows)


def test_the_same_results_draw_the_same_picture(measured: star.Star, tmp_path: Path) -> None:
    for name in ("one", "two"):
        star.draw(measured, tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_teaching_writes_weights_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    star.teach(tmp_path / "weights.safetensors", steps=2)
    monkeypatch.setattr(star, "WEIGHTS", tmp_path / "weights.safetensors")
    stored = load_file(star.WEIGHTS)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    loaded = star.load().state_dict()
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())


def test_the_page_has_the_star_graphs_markers_and_shows_its_picture() -> None:
    text = command.DOCS.read_text(encoding="utf-8")
    assert text.index(f"<!-- begin: written by {star.MARKER} -->") < text.index(
        f"<!-- end: written by {star.MARKER} -->"
    )
    assert "images/demo_star_graph.svg" in text
    assert (command.DOCS.parent / "images" / "demo_star_graph.svg").is_file()
