"""Requests run on an engine whose FIRE processor is watched, and what vLLM says it drew their tokens from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from engine import engine, model_runner, shared_engine
from spying import SPYING_PROCESSOR, Row, watch
from tiny_llama import VOCABULARY

import fire_sampling as fire

PROMPT = [5, 9, 77]


@dataclass(frozen=True)
class Watched:
    llm: Any

    def run(
        self, requests: Sequence[dict[str, Any]], prompts: Sequence[list[int]] | None = None
    ) -> tuple[list[Any], list[Row]]:
        """Generates for each request: arguments of `SamplingParams`, and as `fire` its `fire_` keys.

        Returns:
            vLLM's outputs, and the rows that the processor saw; row.tag is the request's index.
        """
        from vllm import SamplingParams

        params = []
        for index, request in enumerate(requests):
            arguments = dict(request)
            extra_args = {"tag": str(index), **arguments.pop("fire", {})}
            params.append(SamplingParams(**{"max_tokens": 3, **arguments}, extra_args=extra_args))
        tokens = [PROMPT] * len(params) if prompts is None else prompts
        rows = watch(model_runner(self.llm))
        outputs = self.llm.generate([{"prompt_token_ids": each} for each in tokens], params, use_tqdm=False)
        return outputs, rows


@contextlib.contextmanager
def watched_engine(model: str, **options: Any) -> Iterator[Watched]:
    with engine(model, logits_processors=[SPYING_PROCESSOR], **options) as llm:
        yield Watched(llm)


def shared_watched_engine(model: str, **options: Any) -> Watched:
    return Watched(shared_engine(model, logits_processors=[SPYING_PROCESSOR], **options))


def drawn_from(logprobs: dict[int, Any]) -> torch.Tensor:
    """float64 [V]: the distribution of one position, from the log-probabilities of all its tokens."""
    assert len(logprobs) == VOCABULARY
    distribution = torch.zeros(VOCABULARY, dtype=torch.float64)
    for token, entry in logprobs.items():
        distribution[token] = torch.tensor(entry.logprob, dtype=torch.float64).exp()
    return distribution


def contract(row: Row, config: fire.SamplingConfig) -> torch.Tensor:
    """float64 [V]: the distribution that docs/semantics.md gives to the logits that came to the processor."""
    processed = fire.process_logits(row.before[None], row.generated, config.replace(seed=0, order="vllm"))
    return processed[0].double().softmax(0)


def total_variation(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().sum() / 2)
