"""Engines in this process, on the CPU; VLLM_USE_V2_MODEL_RUNNER (0 or 1) chooses the runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomllib

if TYPE_CHECKING:
    from watched import Watched

os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

collect_ignore = []
if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "0":
    # Of V2 alone. That V1 refuses fire_after is tested elsewhere; sampling masks vLLM itself refuses there.
    collect_ignore += ["test_vllm_after.py", "test_vllm_masks.py", "test_vllm_masks_http.py"]
if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1":
    # Their engines are other processes, without the interpreter; and TRL's subject is not the runner.
    collect_ignore += ["test_vllm_server.py", "test_vllm_fused_server.py", "test_vllm_trl.py"]
    import triton_interpreter

    triton_interpreter.install()
    triton_interpreter.replace_filters()


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model of 320 tokens."""
    import tiny_llama

    folder = tmp_path_factory.mktemp("tiny_llama")
    tiny_llama.write_model(folder)
    return folder


@pytest.fixture
def processed(tiny_llama: Path) -> Watched:
    """An engine that reports the log-probabilities which tokens were drawn with, of the whole vocabulary."""
    from watched import shared_watched_engine

    return shared_watched_engine(str(tiny_llama), logprobs_mode="processed_logprobs", max_logprobs=-1)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what an installed wheel shows of itself: its metadata, from pyproject.toml."""
    root = tmp_path_factory.mktemp("installed")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    folder = root / "fire_sampling-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session", autouse=True)
def _no_engine_stays() -> Iterator[None]:
    yield
    from engine import close_shared_engine

    close_shared_engine()
