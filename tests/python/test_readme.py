"""The README's code runs as written, and its links lead somewhere."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import tiny_models
import torch
from pages import blocks

ROOT = Path(__file__).resolve().parents[2]


def test_the_code_of_the_readme_runs() -> None:
    inputs = tiny_models.tokenizer()(
        ["WhatIsTwoPlusThree?", "AndTwoTimesThree?"], return_tensors="pt", padding=True
    )
    inputs.pop("token_type_ids", None)
    names: dict[str, Any] = {"model": copy.deepcopy(tiny_models.llama()), "inputs": inputs}
    programs = blocks("README.md", "python")
    assert len(programs) == 3
    for block in programs:
        exec(compile(block, "README.md", "exec"), names)
    assert names["token"].shape == (2,)
    assert torch.isfinite(names["importance"]).all()
    assert names["sequences"].shape[0] == 16


def test_every_page_that_the_documents_link_to_exists() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
