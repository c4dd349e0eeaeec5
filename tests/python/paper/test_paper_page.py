"""The run of docs/paper.md: results file, tables, pictures, and what the pages show of them."""

import random
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from examples.paper import __main__ as command  # noqa: E402
from examples.paper import plot  # noqa: E402
from examples.paper.findings import findings  # noqa: E402
from examples.paper.jobs import Size, one_thread  # noqa: E402
from examples.paper.results import Results, over_seeds  # noqa: E402
from examples.paper.sampling import REGULAR  # noqa: E402
from examples.paper.tables import tables, training_tables  # noqa: E402
from examples.paper.tasks import TASKS  # noqa: E402

SMALL = Size(seeds=1, prompts=3, samples=10, steps=2, updates=2)


@pytest.fixture(scope="module")
def small() -> Results:
    torch.manual_seed(random.randrange(1000))  # a run may not depend on what came before it
    return command.make(SMALL, processes=1)


def test_results_are_read_as_they_were_written(small: Results, tmp_path: Path) -> None:
    small.write(tmp_path / "paper.json")
    assert Results.read(tmp_path / "paper.json") == small
    assert [path.name for path in tmp_path.iterdir()] == ["paper.json"]


def test_a_run_on_two_processes_has_the_results_of_one(small: Results) -> None:
    two = command.make(SMALL, processes=2)
    assert two.entries == small.entries
    assert two.trained == small.trained


def test_every_table_is_full(small: Results) -> None:
    made = [*tables(small), *training_tables(small)]
    assert len(made) == 5 * len(TASKS) + 2
    for table in made:
        assert table.rows, table.title
        assert all(len(row) == len(table.header) for row in table.rows), table.title
    assert findings(small).count("\n- ") == 3 * len(TASKS) + 1


def test_the_same_results_draw_the_same_pictures(small: Results, tmp_path: Path) -> None:
    drawn = [plot.draw_all(small, tmp_path / name) for name in ("one", "two")]
    assert [path.name for path in drawn[0]] == [path.name for path in drawn[1]]
    for one, two in zip(*drawn, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_deviation_over_seeds_is_that_of_a_sample() -> None:
    assert over_seeds([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert over_seeds([0.5]) == (0.5, 0.0)


@pytest.mark.parametrize(("option", "value"), [("--seeds", "0"), ("--processes", "-1")])
def test_a_run_of_nothing_is_refused(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper", option, value])
    with pytest.raises(SystemExit):
        command.main()
    assert f"{option}: got {value}, expected at least 1" in capsys.readouterr().err


def test_the_pages_and_their_pictures_show_the_committed_results(tmp_path: Path) -> None:
    """Every number between the markers comes from bench/results/paper/paper.json."""
    results = Results.read(command.FILE)
    assert command.page_text(results) in command.PAGE.read_text(encoding="utf-8")
    assert command.training_text(results) in command.TRAINING_PAGE.read_text(encoding="utf-8")
    for picture in plot.draw_all(results, tmp_path):
        shown = command.PAGE.parent / "images" / picture.name
        assert shown.read_bytes() == picture.read_bytes(), picture.name
        assert f"images/{picture.name}" in command.PAGE.read_text(encoding="utf-8")
    assert results.settings["regular"] == REGULAR, "the page was made with other settings"
