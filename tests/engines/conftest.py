"""Engines in this process, on the CPU; VLLM_USE_V2_MODEL_RUNNER (0 or 1) chooses the runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

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
    collect_ignore.append("test_vllm_after.py")  # of V2 alone; that V1 refuses it is tested elsewhere
if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1":
    collect_ignore.append("test_vllm_server.py")  # its engine is another process, without the interpreter
    collect_ignore.append("test_vllm_trl.py")  # TRL, not the runner, is its subject
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


@pytest.fixture(scope="session", autouse=True)
def _no_engine_stays() -> Iterator[None]:
    yield
    from engine import close_shared_engine

    close_shared_engine()
