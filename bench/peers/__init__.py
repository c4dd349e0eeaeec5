"""The contenders, one adapter a module. A peer whose package is not installed is left out and named."""

from __future__ import annotations

import importlib

from .contender import Contender

__all__ = ["OURS", "PEERS", "Contender", "load"]

_ADAPTERS = {
    "fire": "fire:Fire",
    "read": "read:Read",
    "hf": "hugging_face:HuggingFace",
    "llama.cpp": "llama_cpp:LlamaCpp",
    "llama.cpp+fill": "llama_cpp:LlamaCppFilling",
    "vllm": "vllm_cpu:VllmCpu",
    "numpy": "numpy_partition:NumpyPartition",
}
OURS = ("read", "fire")  # timed in one process per instruction set; the others share one process
PEERS = tuple(name for name in _ADAPTERS if name not in OURS)


def load(name: str) -> type[Contender]:
    """The adapter's class. ImportError: its package is missing."""
    module, _, attribute = _ADAPTERS[name].partition(":")
    adapter: type[Contender] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return adapter
