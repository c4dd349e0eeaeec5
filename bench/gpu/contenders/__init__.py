"""The contenders, one adapter each. A peer whose package is missing is left out and named."""

from __future__ import annotations

import importlib

from .contender import Contender, RefusalError

__all__ = ["ADAPTERS", "Contender", "RefusalError", "load"]

# In the order in which they are shown.
ADAPTERS = {
    "fire": "fire:Fire",
    "copy": "limits:Copy",
    "flashinfer": "flashinfer:FlashInfer",
    "flashinfer joint": "flashinfer:FlashInferJoint",
    "flashinfer probs": "flashinfer:FlashInferProbs",
    "vllm": "vllm_triton:VllmTriton",
    "hf": "hugging_face:HuggingFace",
    "torch.compile": "compiled:Compiled",
    "torch.topk": "limits:TopK",
    "torch.sort": "limits:Sort",
}
OURS, LIMIT = "fire", "copy"


def load(name: str) -> type[Contender]:
    """The adapter's class. ImportError: its package is missing."""
    module, _, attribute = ADAPTERS[name].partition(":")
    adapter: type[Contender] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return adapter
