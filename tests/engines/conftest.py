"""Engines in this process, on the CPU; VLLM_USE_V2_MODEL_RUNNER (0 or 1) chooses the runner."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1":
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
