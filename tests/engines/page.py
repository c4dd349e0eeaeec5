"""The code blocks of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

_DOCS = Path(__file__).parents[2] / "docs"


def blocks(language: str, containing: str = "", of: str = "vllm.md") -> list[str]:
    """A page's blocks in `language` that contain a text, in order; at least one."""
    text = (_DOCS / of).read_text(encoding="utf-8")
    found = [
        block
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if containing in block
    ]
    assert found, f"docs/{of} has no {language} block with {containing!r}"
    return found
