"""What CONTRIBUTING.md says of files is true: that they are there, and how many a new thing touches."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest
from pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PATH = re.compile(r"`((?:csrc|kernels|python|tests|docs|bench|requirements|examples)(?:/[\w.]+)*)`")
# Where a thing is spelt. Not the engines, `evaluate` and the self-test, which ask for some by name.
CORE = (
    *("csrc/**/*.h", "csrc/**/*.cpp", "kernels/**/*.cu*", "kernels/*.h", "kernels/*.cpp"),
    "python/fire_sampling/*.py",
)
FIELD, OUTPUT = "A field of `SamplingConfig`", "An output of `sample_with_logprobs`"


def test_every_file_that_contributing_says_to_touch_exists() -> None:
    paths = PATH.findall(TEXT)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_header_that_contributing_names_in_a_folder_lies_there() -> None:
    """Of a row `folder | … name.h …`, or of a step that names the folder before them."""
    rows = re.findall(r"^\| `((?:csrc|kernels)/\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    named = [(folder, name) for folder, cell in rows for name in re.findall(r"`(\w+\.(?:h|cuh))`", cell)]
    assert len(named) > 6
    assert [(folder, name) for folder, name in named if not (ROOT / folder / name).exists()] == []


def table(title: str) -> tuple[int, list[str]]:
    """How many files a new thing touches, by what the page says and by the first column of its table."""
    found = re.search(rf"\*\*{re.escape(title)}\.\*\* (\w+) files:\n\n((?:\|.*\n)+)", TEXT)
    assert found is not None
    cells = re.findall(r"^\|[^|]*\|", found[2], re.MULTILINE)
    return 1 + NUMBERS.index(found[1].lower()), PATH.findall("".join(cells))


def code_of(path: Path) -> str:
    """Without comments and, of Python, without strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"//.*", "", text)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(token.string for token in tokens if token.type == tokenize.NAME)


def files_with(word: str) -> set[str]:
    """The files of the core whose code has what the regular expression matches."""
    paths = {path for pattern in CORE for path in ROOT.glob(pattern) if path.name != "selftest.py"}
    return {str(path.relative_to(ROOT)) for path in paths if re.search(word, code_of(path))}


@pytest.mark.parametrize("title", [FIELD, OUTPUT])
def test_a_table_has_as_many_files_as_it_says(title: str) -> None:
    count, files = table(title)
    assert count == len(set(files)) == len(files)


def test_a_field_is_spelt_in_the_files_of_its_table_and_in_no_other() -> None:
    _, files = table(FIELD)
    assert files_with(r"\bhot_begin\b") == set(files)


def test_an_output_is_declared_and_written_in_the_files_of_its_table_and_in_no_other() -> None:
    _, files = table(OUTPUT)
    written = files_with(r"\bout(puts)?_?(\.|->)kept(\[.*\])? = ")
    declarations = {"csrc/include/fire/sampling.h", "csrc/definition/row_sample.h"}
    assert written | declarations | {"python/fire_sampling/_outputs.py"} == set(files)
    assert set(files) <= files_with(r"\bkept\b")
