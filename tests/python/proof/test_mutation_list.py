"""Mutations of the kernels and faults of the vLLM integration fit the sources; runs tell what finds them."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/mutation"), str(ROOT / "tests/engines")]

from mutants import MUTATIONS  # noqa: E402
from mutations import Mutation  # noqa: E402
from planted import FAULTS  # noqa: E402
from survivors import SURVIVORS  # noqa: E402
from table import RESULTS, as_text, markdown, read_verdicts  # noqa: E402

NAMES = [mutation.name for mutation in MUTATIONS]


def test_every_mutations_text_occurs_once_in_its_file() -> None:
    assert [complaint for mutation in MUTATIONS if (complaint := mutation.complaint(ROOT))] == []


def test_every_text_of_a_fault_in_the_vllm_integration_occurs_once_in_its_file() -> None:
    complaints = [fault.mutation.complaint(ROOT / "python") for fault in FAULTS]
    assert [complaint for complaint in complaints if complaint] == []


def test_text_that_is_gone_or_occurs_twice_is_complained_of(tmp_path: Path) -> None:
    mutation = Mutation("name", "kernel.cuh", "what breaks", "one", "two")
    for text, times in (("", 0), ("one and one", 2)):
        (tmp_path / mutation.file).write_text(text)
        assert mutation.complaint(tmp_path) == f"name: kernel.cuh holds the text to find {times} times"
    (tmp_path / mutation.file).write_text("just one")
    assert mutation.complaint(tmp_path) is None


def test_every_mutation_breaks_something_under_a_name_of_its_own() -> None:
    assert [mutation.name for mutation in MUTATIONS if mutation.find == mutation.replace] == []
    assert sorted(set(NAMES)) == sorted(NAMES)


def test_the_committed_verdicts_are_one_a_line_and_the_table_shows_each() -> None:
    verdicts = read_verdicts()
    assert as_text(list(verdicts.values())) == RESULTS.read_text(encoding="utf-8")
    table = markdown(MUTATIONS, verdicts)
    assert [name for name in verdicts if table.count(f"\n| {name} |") != 1] == []


def test_every_survivor_is_explained_and_nothing_that_was_caught() -> None:
    verdicts = read_verdicts()
    caught = {name for name, verdict in verdicts.items() if verdict.caught}
    assert set(verdicts) - caught <= set(SURVIVORS) <= set(NAMES) - caught
    assert set(verdicts) <= set(NAMES)
