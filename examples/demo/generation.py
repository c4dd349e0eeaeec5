"""n completions of a prompt: by transformers itself, by fire_sampling without a hot step, and with one."""

import time
from dataclasses import dataclass
from typing import Any

import torch

import fire_sampling as fire
from examples.demo.clock import SamplingClock
from examples.demo.tasks import Prompt
from fire_sampling.integrations.transformers import fire_generate

# The regular phase of all three, and the hot phase of the last: only the first token differs.
REGULAR: dict[str, Any] = {"temperature": 0.7, "top_k": 50, "top_p": 0.95}
HOT: dict[str, Any] = {"hot_temperature": 30.0, "hot_top_k": 16}

MODES: dict[str, fire.SamplingConfig | None] = {
    "transformers": None,
    "plain": fire.SamplingConfig(hot_steps=0),
    "FIRE": fire.SamplingConfig(**HOT),
}


@dataclass(frozen=True)
class Run:
    """The completions of one prompt in one mode.

    Attributes:
        mode: a key of `MODES`.
        first_tokens: the first token of each completion, as text.
        first_ids: the same as ids.
        completions: what the model wrote.
        answers: what the task found in it; None where it found nothing.
        correct: whether each is right.
        tokens: generated tokens, end-of-sequence tokens included, padding not.
        steps: decoding steps.
        seconds: wall time of the whole `generate` call.
        sampling_seconds: the part of it that `SamplingClock` counted.
    """

    mode: str
    first_tokens: list[str]
    first_ids: list[int]
    completions: list[str]
    answers: list[str | None]
    correct: list[bool]
    tokens: int
    steps: int
    seconds: float
    sampling_seconds: float


@dataclass(frozen=True)
class Generator:
    """A model, its tokenizer and how much to generate."""

    model: Any
    tokenizer: Any
    samples: int
    tokens: int
    seed: int

    def run(self, prompt: Prompt, index: int, mode: str) -> Run:
        """All completions of the prompt of this index, in one `generate` call.

        The i-th completion of a prompt has the same seed in both modes of fire_sampling, so each of its steps
        is drawn by the same random number; transformers has a generator of its own.
        """
        device = self.model.device
        inputs = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt.text}],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        ).to(device)
        arguments = {
            "do_sample": True,
            **REGULAR,
            "max_new_tokens": self.tokens,
            "num_return_sequences": self.samples,
        }
        config = MODES[mode]
        if config is None:
            torch.manual_seed(self.seed + index)
        else:
            arguments["custom_generate"] = fire_generate
            arguments["fire_config"] = config
            arguments["fire_seed"] = self.seed
            arguments["fire_first_row"] = index * self.samples
        clock = SamplingClock(device)
        begin = time.perf_counter()
        with clock.running():
            sequences = self.model.generate(**inputs, **arguments).cpu()
        seconds = time.perf_counter() - begin

        width = inputs["input_ids"].shape[1]
        generated = [self._without_padding(row) for row in sequences[:, width:].tolist()]
        completions = [self.tokenizer.decode(row, skip_special_tokens=True) for row in generated]
        return Run(
            mode=mode,
            first_tokens=[self.tokenizer.decode(row[:1]) for row in generated],
            first_ids=[row[0] for row in generated],
            completions=completions,
            answers=[prompt.extract(completion) for completion in completions],
            correct=[prompt.accepts(completion) for completion in completions],
            tokens=sum(map(len, generated)),
            steps=clock.steps,
            seconds=seconds,
            sampling_seconds=clock.seconds,
        )

    def _without_padding(self, row: list[int]) -> list[int]:
        end = self.tokenizer.eos_token_id
        return row[: row.index(end) + 1] if end in row else row
