"""The links of the documentation lead somewhere."""

from __future__ import annotations

import re

import pytest
from pages import ROOT, pages


@pytest.mark.parametrize("page", pages())
def test_every_page_that_a_page_links_to_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"


def test_every_file_that_contributing_says_to_touch_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(
        r"`((?:csrc|kernels|python|tests|docs|bench|requirements|examples)(?:/[\w.]+)*)`", text
    )
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_header_that_contributing_names_in_a_folder_lies_there() -> None:
    """Of a row `folder | … name.h …`, or of a step that names the folder before them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `((?:csrc|kernels)/\w+)` \| (.*) \|$", text, re.MULTILINE)
    named = [(folder, name) for folder, cell in rows for name in re.findall(r"`(\w+\.(?:h|cuh))`", cell)]
    assert len(named) > 6
    assert [(folder, name) for folder, name in named if not (ROOT / folder / name).exists()] == []
