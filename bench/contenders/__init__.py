"""The contenders, one adapter a module. A peer whose package is not installed is left out and named."""

from __future__ import annotations

import importlib

from .contender import Contender, RefusalError

__all__ = ["ADAPTERS", "COPY", "CPU_PEERS", "GPU", "OURS", "READ", "Contender", "RefusalError", "load"]

ADAPTERS = {
    "fire": "fire:Fire",
    "read": "limits:Read",
    "copy": "limits:Copy",
    "flashinfer": "flashinfer:FlashInfer",
    "flashinfer joint": "flashinfer:FlashInferJoint",
    "flashinfer probs": "flashinfer:FlashInferProbs",
    "hf": "hugging_face:HuggingFace",
    "llama.cpp": "llama_cpp:LlamaCpp",
    "llama.cpp+fill": "llama_cpp:LlamaCppFilling",
    "vllm": "vllm_cpu:VllmCpu",
    "vllm triton": "vllm_triton:VllmTriton",
    "numpy": "numpy_partition:NumpyPartition",
    "torch.compile": "compiled:Compiled",
    "torch.topk": "limits:TopK",
    "torch.sort": "limits:Sort",
}
OURS, READ, COPY = "fire", "read", "copy"  # and the limits: of a CPU, of a GPU
# In the order in which they are shown.
CPU_PEERS = ("hf", "llama.cpp", "llama.cpp+fill", "vllm", "numpy")
GPU = (
    *(OURS, COPY, "flashinfer", "flashinfer joint", "flashinfer probs", "vllm triton", "hf"),
    *("torch.compile", "torch.topk", "torch.sort"),
)


def load(name: str) -> type[Contender]:
    """The adapter's class. ImportError: its package is missing."""
    module, _, attribute = ADAPTERS[name].partition(":")
    adapter: type[Contender] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return adapter
