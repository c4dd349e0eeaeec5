"""vLLM as a backend, in this process: FIRE by its switch, FIRE_VLLM=1, and keys of each request."""

from __future__ import annotations

import os
import time
from typing import Any

import fire_sampling as fire
from fire_sampling.evaluate.backends import Completion, Drawn, encode
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

    def draw(self, prompt: Prompt, config: fire.SamplingConfig, samples: int, first_row: int) -> Drawn:
        from vllm import SamplingParams

        full = config.resolve()
        keys = {key: getattr(full, field) for key, field in FIELDS.items()} if full.hot_window else None
        params = SamplingParams(
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
        ids = encode(self.tokenizer, prompt.messages, self._chat)
        begin = time.perf_counter()
        (request,) = self._llm.generate({"prompt_token_ids": ids}, params, use_tqdm=False)
        seconds = time.perf_counter() - begin
        completions = [
            Completion(one.token_ids[0], len(one.token_ids), one.text, one.finish_reason == "stop")
            for one in request.outputs
        ]
        return Drawn(completions, seconds)


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
