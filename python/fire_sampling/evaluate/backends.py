"""What an evaluation asks of whoever draws: `transformers_backend` and `vllm_backend` are two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import fire_sampling as fire
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.evaluate.prompts import Messages, Prompt


@dataclass(frozen=True)
class Completion:
    """One sample.

    Attributes:
        first: Its first token.
        tokens: How many the model made, an end-of-sequence token included.
        text: What it wrote, up to a string that ended it, without special tokens.
        ended: Whether it came to an end, by a token or a string, before it was cut off.
    """

    first: int
    tokens: int
    text: str
    ended: bool


@dataclass(frozen=True)
class Drawn:
    """The samples of one prompt under one config, and how long they took.

    Attributes:
        completions: n of them.
        seconds: Wall time, the reading of the prompt included.
    """

    completions: list[Completion]
    seconds: float


class Backend(Protocol):
    """What an evaluation asks of an engine."""

    tokenizer: Any
    versions: dict[str, str]

    def draw(
        self, prompt: Prompt, configs: Sequence[fire.SamplingConfig], samples: int, first_row: int
    ) -> list[Drawn]:
        """n samples of a prompt under each config, those of several in one batch.

        Sample i is seeded by its config's seed and `first_row + i`. Seconds are shared out by tokens.
        """


def shared(completions: Sequence[Completion], samples: int, seconds: float) -> list[Drawn]:
    """The completions of a batch by config, `samples` of each, with their share of its seconds."""
    parts = [list(completions[begin : begin + samples]) for begin in range(0, len(completions), samples)]
    tokens = [sum(one.tokens for one in part) for part in parts]
    return [Drawn(part, seconds * count / sum(tokens)) for part, count in zip(parts, tokens, strict=True)]


def encode(tokenizer: Any, question: Messages | str, chat: bool) -> list[int]:
    """The tokens of a prompt: by the chat template, or the text as it is.

    Raises:
        EvaluationError: `chat` says that there is a template, and there is none; or it says that there is
            none, and the prompt is a chat.
    """
    if not chat:
        if not isinstance(question, str):
            raise EvaluationError("--no-chat-template: got a prompt of messages, expected a text")
        return list(tokenizer(question)["input_ids"])
    if tokenizer.chat_template is None:
        raise EvaluationError(
            "--model: its tokenizer has no chat template; --no-chat-template gives the model the prompts "
            "as they are"
        )
    messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
    continued = messages[-1]["role"] == "assistant"
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=not continued, continue_final_message=continued
    )
    return list(tokenizer(rendered, add_special_tokens=False)["input_ids"])


def before(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the strings that end it."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]
