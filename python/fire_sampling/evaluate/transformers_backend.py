"""transformers as a backend: one prefill a prompt, and every token drawn by fire_sampling."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
import transformers

import fire_sampling as fire
from fire_sampling.evaluate.backends import Completion, Drawn, before, encode, shared
from fire_sampling.evaluate.decoding import Prefilled, continue_rows, prefill
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.evaluate.prompts import Prompt


class Transformers:
    """A decoder-only model of transformers.

    Every token is drawn by `fire_sampling` with the filters of transformers, order "hf" and ties
    "keep_top_k". The settings are the config's alone: what the model's generation config says, a repetition
    penalty say, is not applied.
    """

    def __init__(self, model: Any, tokenizer: Any, chat: bool, limit: int, batch: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._chat, self._limit, self._batch = chat, limit, batch
        self._ends = end_tokens(model, tokenizer)
        self._last: tuple[Prompt, Prefilled, float] | None = None
        self.versions = {
            "fire_sampling": fire.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def read(self, prompt: Prompt) -> tuple[Prefilled, float]:
        """The prompt, read by the model, and the seconds that took; the last one is remembered."""
        if self._last is None or self._last[0] is not prompt:
            begin = time.perf_counter()
            read = prefill(self.model, encode(self.tokenizer, prompt.messages, self._chat))
            # An answer has a token: an end at once is masked, for both ways of sampling alike.
            logits = read.logits.clone()
            logits[list(self._ends)] = -torch.inf
            self._last = prompt, read._replace(logits=logits), time.perf_counter() - begin
        return self._last[1], self._last[2]

    def draw(
        self, prompt: Prompt, configs: Sequence[fire.SamplingConfig], samples: int, first_row: int
    ) -> list[Drawn]:
        read, reading = self.read(prompt)
        begin = time.perf_counter()
        ours = [config.replace(order="hf", ties="keep_top_k") for config in configs]
        packed = [fire.pack(config, rows=samples, first_row=first_row) for config in ours]
        records = torch.cat(packed).to(self.model.device)
        first = fire.sample(read.logits.expand(len(records), -1), 0, records).tolist()
        completions = self.complete(prompt, [[token] for token in first], records)
        return shared(completions, samples, reading + time.perf_counter() - begin)

    def complete(
        self, prompt: Prompt, rows: Sequence[Sequence[int]], records: torch.Tensor
    ) -> list[Completion]:
        """The rows, begun by their first tokens, to their ends; int32 `records` [R, 16]."""
        read, _ = self.read(prompt)
        finished: list[list[int]] = []
        for begin in range(0, len(rows), self._batch):
            part = slice(begin, begin + self._batch)
            finished += continue_rows(
                self.model, read, rows[part], records[part], self._limit, lambda row: self._ended(row, prompt)
            )
        return [self._completion(row, prompt) for row in finished]

    def _ended(self, row: list[int], prompt: Prompt) -> bool:
        if row[-1] in self._ends:
            return True
        if not prompt.stops:
            return False
        # A token holds at least a byte, a character at most four.
        tail = 4 * max(len(stop) for stop in prompt.stops) + 4
        text = self.tokenizer.decode(row[-tail:], skip_special_tokens=True)
        return any(stop in text for stop in prompt.stops)

    def _completion(self, row: list[int], prompt: Prompt) -> Completion:
        text = self.tokenizer.decode(row, skip_special_tokens=True)
        return Completion(row[0], len(row), before(text, prompt.stops), self._ended(row, prompt))


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a sequence: the tokenizer's, and those of the model's generation config."""
    said = getattr(model.generation_config, "eos_token_id", None)
    ids = said if isinstance(said, list) else [said]
    ends = frozenset(token for token in [*ids, tokenizer.eos_token_id] if token is not None)
    if not ends:
        raise EvaluationError("--model: neither its generation config nor its tokenizer has an eos_token_id")
    return ends


def load(name: str, dtype: str, device: str, chat: bool, limit: int, batch: int) -> Transformers:
    """The model and its tokenizer, by name or folder.

    Raises:
        EvaluationError: There is none such, or it is no decoder-only model.
    """
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"--model: got {name!r}, which transformers cannot load as a causal language model: {error}"
        ) from error
    return Transformers(model.to(device).eval(), tokenizer, chat, limit, batch)
