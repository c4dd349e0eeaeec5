"""vLLM as a backend, in this process: FIRE by its switch, FIRE_VLLM=1, and keys of each request."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import fire_sampling as fire
from fire_sampling.config import HOT_FIELDS
from fire_sampling.evaluate.backends import Completion, Drawn, encode, shared
from fire_sampling.evaluate.packages import EvaluationError, need
from fire_sampling.evaluate.prompts import Prompt
from fire_sampling.integrations.hot_keys import FIELDS
from fire_sampling_vllm.switch import SWITCH


class Vllm:
    """An engine that draws the n samples of a prompt at once, the prompt read once by its prefix cache.

    Filters run in vLLM's order ("vllm"); sample i has the seed of the run plus its number in it.
    """

    def __init__(self, llm: Any, versions: dict[str, str], chat: bool, limit: int) -> None:
        self._llm, self.versions = llm, versions
        self.tokenizer = llm.get_tokenizer()
        self._chat, self._limit = chat, limit

    def draw(
        self, prompt: Prompt, configs: Sequence[fire.SamplingConfig], samples: int, first_row: int
    ) -> list[Drawn]:
        ids = encode(self.tokenizer, prompt.messages, self._chat)
        asked = [self._params(prompt, config, samples, first_row) for config in configs]
        begin = time.perf_counter()
        requests = self._llm.generate([{"prompt_token_ids": ids}] * len(asked), asked, use_tqdm=False)
        seconds = time.perf_counter() - begin
        completions = [
            Completion(one.token_ids[0], len(one.token_ids), one.text, one.finish_reason == "stop")
            for request in requests
            for one in request.outputs
        ]
        return shared(completions, samples, seconds)

    def _params(self, prompt: Prompt, config: fire.SamplingConfig, samples: int, first_row: int) -> Any:
        """vLLM's `SamplingParams` for the samples of one config."""
        from vllm import SamplingParams

        full = config.resolve()
        # A plain request says so: without a key it would take the default of FIRE_VLLM_DEFAULT.
        told = HOT_FIELDS if full.hot_window else ("hot_steps",)
        keys = {key: getattr(full, field) for key, field in FIELDS.items() if field in told}
        return SamplingParams(
            n=samples,
            temperature=full.temperature,
            top_k=full.top_k,
            top_p=full.top_p,
            min_p=full.min_p,
            seed=(full.seed or 0) + first_row,
            min_tokens=1,
            max_tokens=self._limit,
            stop=list(prompt.stops) or None,
            extra_args=keys,
        )


def load(name: str, dtype: str, engine: dict[str, Any], chat: bool, limit: int) -> Vllm:
    """The engine.

    Raises:
        EvaluationError: vLLM is missing, FIRE_VLLM says that FIRE is off, or vLLM cannot load the model.
    """
    if os.environ.setdefault(SWITCH, "1") != "1":
        raise EvaluationError(f"--backend vllm: {SWITCH} is {os.environ[SWITCH]!r}, expected 1 or nothing")
    vllm = need("vllm", "vllm", "--backend vllm")
    import torch

    try:
        llm = vllm.LLM(model=name, dtype=dtype, **engine)
    except (OSError, TypeError, ValueError) as error:
        raise EvaluationError(f"--model, --engine: got {name!r}, {engine}; vLLM says: {error}") from error
    versions = {
        "fire_sampling": fire.__version__,
        "torch": torch.__version__,
        "vllm": vllm.__version__,
    }
    return Vllm(llm, versions, chat, limit)
