"""A batch that the tests of the NumPy entry share: six rows, each with a config and a step of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fire_sampling import SamplingConfig
from fire_sampling import numpy as fire

ROWS, VOCABULARY = 6, 517
CONFIGS = [
    SamplingConfig(seed=1),
    SamplingConfig(seed=2, temperature=0.7, top_k=50, top_p=0.95),
    SamplingConfig(seed=3, temperature=0.0),
    SamplingConfig(seed=4, min_p=0.05, order="vllm"),
    SamplingConfig(seed=5, top_p=0.6, ties="keep", order="joint"),
    SamplingConfig(seed=6, temperature=float("inf"), top_k=9),
]
RECORDS = fire.pack(CONFIGS)
STEPS = np.array([0, 1, 2, 3, -4, 2**40])
Array = npt.NDArray[Any]


def make_logits(dtype: Any = np.float32) -> Array:
    return (np.random.default_rng(0).standard_normal((ROWS, VOCABULARY)) * 3).astype(dtype)
