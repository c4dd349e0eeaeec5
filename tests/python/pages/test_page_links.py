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
