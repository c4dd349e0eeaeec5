"""n answers to every prompt by `fire_generate`, checked, and what is kept of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

import fire_sampling as fire
from examples.paper.tasks import Task, Tokens
from fire_sampling.integrations.transformers import fire_generate
from fire_sampling.metrics import distinct_answers, powers_of_two

# Every token but a hot one, as in the paper's grid; the temperature is that of its Qwen2 runs.
REGULAR: dict[str, Any] = {"temperature": 0.7, "top_p": 0.9, "top_k": 16}


@dataclass(frozen=True)
class Sampling:
    """One way to sample.

    Attributes:
        name: what tables call it.
        hot: the hot phase; `hot_steps=0` in it is plain sampling.
        regular: the other tokens' settings.
    """

    name: str
    hot: fire.SamplingConfig
    regular: dict[str, Any]


PLAIN = fire.SamplingConfig(hot_steps=0)


def few(samples: int) -> int:
    """The number of samples at which places are compared: 10, or all where there are fewer."""
    return min(10, samples)


@dataclass(frozen=True)
class Outcome:
    """What n answers to each of some prompts were.

    Attributes:
        correct: right answers, by prompt.
        samples: n.
        answers: different answers among 1, 2, 4, … of the n, mean over the prompts.
        first_tokens: the same of the first token drawn.
    """

    correct: list[int]
    samples: int
    answers: dict[int, float]
    first_tokens: dict[int, float]


def sample(
    model: Any, task: Task, prompts: Sequence[Tokens], sampling: Sampling, samples: int, seed: int
) -> list[list[Tokens]]:
    """The answers: for each prompt `samples` of them, each the tokens that follow the prompt.

    The prompts have one length, at least `task.prompt_length`: beyond it they hold the beginning of an
    answer, and the rest is generated. Row i has the same seed in every way to sample.
    """
    width = len(prompts[0])
    new_tokens = task.prompt_length + task.answer_length - width
    tokens = torch.tensor(prompts)
    with torch.no_grad():  # a prompt is read once, not once for each of its answers
        cache = model(input_ids=tokens[:, :-1], use_cache=True).past_key_values
    cache.batch_repeat_interleave(samples)
    tokens = tokens.repeat_interleave(samples, 0)
    sequences = model.generate(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        past_key_values=cache,
        do_sample=True,
        **sampling.regular,
        max_new_tokens=new_tokens,
        min_new_tokens=new_tokens,
        custom_generate=fire_generate,
        fire_config=sampling.hot,
        fire_seed=seed,
    )
    rows = [tuple(row) for row in sequences[:, width:].tolist()]
    return [rows[begin : begin + samples] for begin in range(0, len(rows), samples)]


def judge(task: Task, prompts: Sequence[Tokens], answers: Sequence[Sequence[Tokens]]) -> Outcome:
    """Checks the answers of `sample`."""
    samples = len(answers[0])
    correct, read, first = [], [], []
    for prompt, rows in zip(prompts, answers, strict=True):
        bare, begun = prompt[: task.prompt_length], prompt[task.prompt_length :]
        correct.append(sum(task.may_begin(bare, begun + row) for row in rows))
        read.append([task.read(bare, begun + row) for row in rows])
        first.append([row[0] for row in rows])

    def curve(values: Sequence[Sequence[Any]]) -> dict[int, float]:
        counts = sorted({*powers_of_two(samples), few(samples)})
        return {n: sum(distinct_answers(row, n) for row in values) / len(values) for n in counts}

    return Outcome(correct, samples, curve(read), curve(first))
