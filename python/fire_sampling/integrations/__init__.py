"""Glue between fire_sampling and the programs that generate text, each part imported on first use."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fire_sampling.integrations import sglang as sglang
    from fire_sampling.integrations import transformers as transformers
    from fire_sampling.integrations import vllm as vllm

_INTEGRATIONS = ("sglang", "transformers", "vllm")

__all__ = list(_INTEGRATIONS)


def __getattr__(name: str) -> ModuleType:
    if name in _INTEGRATIONS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(list(globals()) + __all__)
