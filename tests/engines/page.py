"""The code blocks of docs/vllm.md."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "vllm.md"


def blocks(language: str, containing: str = "") -> list[str]:
    """Its blocks in `language` that contain a text, in order; at least one."""
    text = _PAGE.read_text(encoding="utf-8")
    found = [
        block
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        if containing in block
    ]
    assert found, f"docs/vllm.md has no {language} block with {containing!r}"
    return found
