"""What stands for vLLM's own classes where there is no vLLM."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

VOCABULARY = 64


def sampling_params(**fields: Any) -> SimpleNamespace:
    """For `SamplingParams`: the fields that are read, with vLLM's defaults."""
    filters = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    rest = dict(seed=None, n=1, max_tokens=16, logprobs=None, extra_args=None)
    penalties = dict(presence_penalty=0.0, frequency_penalty=0.0)
    return SimpleNamespace(**{**filters, **rest, **penalties, **fields})


def vllm_config(**fields: Any) -> SimpleNamespace:
    """For the `VllmConfig` of an engine on V2; the fields are of its model."""
    kept = dict(logprobs_mode="raw_logprobs", seed=0, get_vocab_size=lambda: VOCABULARY)
    return SimpleNamespace(
        model_config=SimpleNamespace(**{**kept, **fields}),
        speculative_config=None,
        parallel_config=SimpleNamespace(data_parallel_rank=0),
        use_v2_model_runner=True,
    )
