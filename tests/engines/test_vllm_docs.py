"""The Python of docs/vllm.md and the examples, run as a reader would, against a tiny model."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import vllm
from engine import RUNNER, model_runner
from pages import complete


def test_the_python_of_the_page_runs_alone_and_switches_fire_on(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(enforce_eager=True, dtype="float32", max_model_len=256, max_num_seqs=16)
    monkeypatch.setattr(vllm, "LLM", functools.partial(vllm.LLM, **options))
    monkeypatch.setenv("MODEL", str(tiny_llama))
    monkeypatch.setenv("FIRE_VLLM", "")  # back to this when the page has set it
    names: dict[str, Any] = {}
    (block,) = complete("python", "py", environment="vllm")
    exec(compile(block.code, str(block), "exec"), names)
    assert len(names["outputs"][0].outputs) == 8
    assert names["behaviour"] <= 0
    assert type(model_runner(names["llm"]).sampler).__name__ == "FusedSampler"
    names["llm"].llm_engine.engine_core.shutdown()


if RUNNER == 1:  # the processes that the example starts have no interpreter for V2's kernels

    def test_the_offline_example_runs_and_is_nothing_without_the_switch(tiny_llama: Path) -> None:
        program = Path(__file__).parents[2] / "examples" / "vllm_offline.py"
        (first, *_) = program.read_text().splitlines()
        assert first == "# FIRE_VLLM=1 python examples/vllm_offline.py Qwen/Qwen3-0.6B"
        for switch in ("", "1"):
            done = subprocess.run(
                [sys.executable, str(program), str(tiny_llama)],
                env={**os.environ, "FIRE_VLLM": switch, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=600,
            )
            assert (done.returncode == 0) == (switch == "1"), done.stderr
            assert done.stdout.count("first token ") == (8 if switch else 0)
