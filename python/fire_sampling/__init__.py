"""FIRE sampling: flaming-hot first tokens, and every other token, drawn exactly and reproducibly.

`SamplingConfig` says how to sample, `pack` turns it into records, and `sample` and its companions draw from
torch tensors through the operators `torch.ops.fire.*`. `fire_sampling.numpy` does the same with NumPy arrays
and needs no torch. Importing this package registers the operators when torch is installed; without it,
functions that need torch raise an `ImportError` that says so when they are called.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from fire_sampling import _compiled as _compiled
from fire_sampling._support_mask import support_mask
from fire_sampling.config import SamplingConfig
from fire_sampling.functional import (
    CodedSample,
    SampleWithLogprobs,
    SampleWithSupport,
    SupportLogProb,
    first_code,
    heat_logits_,
    log_prob,
    process_logits,
    sample,
    sample_coded,
    sample_group,
    sample_group_with_logprobs,
    sample_with_logprobs,
    sample_with_support,
    support_log_prob,
)
from fire_sampling.packing import pack, pack_group
from fire_sampling.status import Status

if TYPE_CHECKING:
    from fire_sampling import distributed as distributed
    from fire_sampling import integrations as integrations
    from fire_sampling import numpy as numpy
    from fire_sampling import rl as rl

__version__ = "0.1.0"

__all__ = [
    "CodedSample",
    "SampleWithLogprobs",
    "SampleWithSupport",
    "SamplingConfig",
    "Status",
    "SupportLogProb",
    "__version__",
    "first_code",
    "heat_logits_",
    "log_prob",
    "pack",
    "pack_group",
    "process_logits",
    "sample",
    "sample_coded",
    "sample_group",
    "sample_group_with_logprobs",
    "sample_with_logprobs",
    "sample_with_support",
    "support_log_prob",
    "support_mask",
]


def __getattr__(name: str) -> ModuleType:
    if name in ("distributed", "integrations", "numpy", "rl"):
        return importlib.import_module(f"fire_sampling.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
