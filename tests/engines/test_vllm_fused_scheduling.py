"""What the scheduler does with a request changes none of the fused sampler's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine import engine, model_runner
from fused_requests import generate, prompt, requests

from fire_sampling.integrations.vllm import fused


def test_a_seeded_request_gives_the_same_tokens_whole_in_chunks_and_after_preemption(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = requests()
    for each in params:
        each.max_tokens = 40
    prompts = [prompt(number, length=70 + number) for number in range(len(params))]
    with engine(str(tiny_llama)) as large:
        fused.install(model_runner(large))
        whole = generate(large, prompts, params)
    options = dict(max_num_batched_tokens=64, max_num_seqs=8, block_size=32, num_gpu_blocks_override=24)
    with engine(str(tiny_llama), enable_chunked_prefill=True, **options) as small:
        fused.install(model_runner(small))
        scheduler = small.llm_engine.engine_core.engine_core.scheduler
        preempted: list[str] = []
        preempt = scheduler._preempt_request

        def count(request: Any, *args: Any, **kwargs: Any) -> None:
            preempted.append(request.request_id)
            preempt(request, *args, **kwargs)

        monkeypatch.setattr(scheduler, "_preempt_request", count)
        assert generate(small, prompts, params) == whole
        assert preempted, "expected a cache too small for all requests to preempt some"
