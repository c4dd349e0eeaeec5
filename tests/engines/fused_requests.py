"""The requests that the tests of the fused sampler send."""

from __future__ import annotations

from typing import Any

from engine import RUNNER
from tiny_llama import VOCABULARY
from vllm import SamplingParams

Tokens = list[int]


def prompt(number: int, length: int = 5) -> dict[str, Tokens]:
    """Token ids of a prompt, others for each number."""
    return {
        "prompt_token_ids": [3 + (number * 37 + i * (7 + number)) % (VOCABULARY - 3) for i in range(length)]
    }


def generate(llm: Any, prompts: list[Any], params: list[Any]) -> list[Tokens]:
    outputs = llm.generate(prompts, params, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


def requests() -> list[Any]:
    """Seeded requests, hot and not, of every kind of filter, and some that edit logits beforehand."""
    hot = {"fire_temperature": 20.0, "fire_top_k": 12}
    kinds: list[dict[str, Any]] = [
        {},
        dict(temperature=0.7, top_k=20, top_p=0.9),
        dict(temperature=1.3, min_p=0.05),
        dict(temperature=0.0),
        dict(temperature=0.8, top_k=20, extra_args=hot),
        dict(temperature=0.8, top_k=6, extra_args=hot),  # top-k grows: FIRE alone can draw that
        dict(temperature=0.9, extra_args={**hot, "fire_begin": 2, "fire_steps": 2}),
        dict(temperature=0.9, presence_penalty=0.7, repetition_penalty=1.2),
        dict(temperature=0.9, logit_bias={5: 4.0}, bad_words=[], allowed_token_ids=[5, 9, 11, 200]),
        dict(temperature=0.9, logprobs=3),
        dict(temperature=0.9, min_tokens=3, stop_token_ids=[7]),
    ]
    if RUNNER == 2:
        kinds.append(
            dict(temperature=0.6, extra_args={**hot, "fire_steps": 2, "fire_after": list(range(0, 320, 3))})
        )
    return [
        SamplingParams(max_tokens=6, ignore_eos=True, seed=100 + number, **kind)
        for number, kind in enumerate(kinds)
    ]
