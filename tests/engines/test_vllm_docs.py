"""The Python of docs/vllm.md, run as a reader would, against a tiny model."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import vllm
from pages import blocks


def test_the_python_of_the_page_runs(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dict(enforce_eager=True, dtype="float32", max_model_len=256, max_num_seqs=16)
    monkeypatch.setattr(vllm, "LLM", functools.partial(vllm.LLM, **options))
    names: dict[str, Any] = {"MODEL": str(tiny_llama)}
    for block in blocks("docs/vllm.md", "python"):
        exec(compile(block, "docs/vllm.md", "exec"), names)
    assert len(names["outputs"][0].outputs) == 8
    assert names["behaviour"] <= 0
    names["llm"].llm_engine.engine_core.shutdown()
