"""lm-evaluation-harness by itself, as docs/evaluate.md shows it: FIRE in its own model class, unpatched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tasks_folder
import tiny_models
from pages import blocks
from tiny_models import one_thread  # noqa: F401


def test_the_block_of_the_page_draws_hot_first_tokens_inside_lm_eval(tmp_path: Path) -> None:
    model, tokenizer = tiny_models.llama(), tiny_models.tokenizer()
    names: dict[str, Any] = {"model": model, "tokenizer": tokenizer}
    names |= {"tasks": str(tasks_folder.write(tmp_path)), "task": "repeated"}
    (block,) = blocks("docs/evaluate.md", "python", "simple_evaluate")
    exec(compile(block, "docs/evaluate.md", "exec"), names)
    firsts = {}
    for way in ("plain", "hot"):
        results = names[way]
        assert results["results"]["repeated"]["answers,all"] == 6
        firsts[way] = [{text[:1] for text in sample["resps"][0]} for sample in results["samples"]["repeated"]]
    assert sum(map(len, firsts["hot"])) > sum(map(len, firsts["plain"]))
