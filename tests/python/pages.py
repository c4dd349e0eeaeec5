"""The code blocks of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str, containing: str = "") -> list[str]:
    """The blocks in `language` that contain a text, in order, at least one; of a page, by its path here."""
    text = (_ROOT / page).read_text(encoding="utf-8")
    found = [
        block
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if containing in block
    ]
    assert found, f"{page} has no {language} block with {containing!r}"
    return found
