"""What is asked of a trained model: the paper's tables, each as a list of ways to sample."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import fire_sampling as fire
from examples.paper.sampling import PLAIN, REGULAR, Outcome, Sampling, few, judge, sample
from examples.paper.tasks import Task, Tokens

SAMPLING_SEED = 5
HOT_TEMPERATURE = 30.0
HOT_TOP_K = (4, 6, 16)
HOT_TEMPERATURES = (1.5, 3.0, 10.0, 30.0, 100.0)
# Of top-k no more than a vocabulary of 19 or 65 makes sense; the paper's are 16 and 32.
GRID = {"top_p": (0.7, 0.9), "top_k": (8, 16), "min_p": (0.0, 0.01)}


@dataclass(frozen=True)
class Measured:
    """One outcome, and where it belongs.

    Attributes:
        table: "ways", "temperature", "grid", "position" or "rejected".
        cell: what tells the outcomes of a table apart that are compared with each other, e.g. the heated
        position.
        way: how it was sampled.
    """

    table: str
    cell: str
    way: str
    outcome: Outcome


def hot(task: Task, top_k: int | None = None, temperature: float = HOT_TEMPERATURE) -> fire.SamplingConfig:
    """FIRE's hot phase, at the first token that is drawn."""
    return fire.SamplingConfig(hot_temperature=temperature, hot_top_k=top_k or task.hot_top_k)


def ways(task: Task) -> list[Sampling]:
    """Tables 1 and 2, Figure 1."""
    return [
        Sampling("plain", PLAIN, REGULAR),
        Sampling("plain, T 1, no filter", PLAIN, {"temperature": 1.0, "top_p": 1.0, "top_k": 0}),
        *(Sampling(f"FIRE, hot k {k}", hot(task, k), REGULAR) for k in HOT_TOP_K),
    ]


def temperatures(task: Task) -> list[Sampling]:
    """The hot temperature, from warm to hot, at the task's own hot top-k."""
    return [
        Sampling(f"FIRE, hot T {value:g}", hot(task, temperature=value), REGULAR)
        for value in HOT_TEMPERATURES
    ]


def grid() -> Iterator[tuple[str, list[Sampling]]]:
    """Table 3: hot top-k and min-p follow the regular ones, as in the paper."""
    for values in itertools.product(*GRID.values()):
        cell = dict(zip(GRID, values, strict=True))
        settings = {"temperature": REGULAR["temperature"], **cell}
        name = ", ".join(f"{key} {value:g}" for key, value in cell.items())
        yield (
            name,
            [
                Sampling("plain", PLAIN, settings),
                Sampling("FIRE", fire.SamplingConfig(hot_temperature=HOT_TEMPERATURE), settings),
            ],
        )


def measure(
    model: Any, task: Task, prompts: Sequence[Tokens], answers: Sequence[Tokens], samples: int
) -> Iterator[Measured]:
    """Every outcome of one model on these prompts, whose right answers are `answers`."""

    def outcome(sampling: Sampling, started: Sequence[Tokens], count: int = samples) -> Outcome:
        rows = sample(model, task, started, sampling, count, SAMPLING_SEED)
        return judge(task, started, rows)

    # Settings that several tables share are sampled once.
    found: dict[str, Outcome] = {}
    for table, cell, sampling in [
        *(("ways", "", sampling) for sampling in ways(task)),
        *(("temperature", "", sampling) for sampling in temperatures(task)),
        *(("grid", cell, sampling) for cell, pair in grid() for sampling in pair),
    ]:
        settings = repr((sampling.hot, sorted({"min_p": 0.0, **sampling.regular}.items())))
        if settings not in found:
            found[settings] = outcome(sampling, prompts)
        yield Measured(table, cell, sampling.name, found[settings])

    # Table 5: after a beginning that is right, so that only the heated token can go wrong.
    pair = [Sampling("plain", PLAIN, REGULAR), Sampling("FIRE", hot(task), REGULAR)]
    for position in range(task.answer_length):
        started = [p + answer[:position] for p, answer in zip(prompts, answers, strict=True)]
        for sampling in pair:
            yield Measured("position", str(position), sampling.name, outcome(sampling, started, few(samples)))
    for position, begun in sorted(first_rejected(model, task, prompts).items()):
        for sampling in pair:
            yield Measured("rejected", str(position), sampling.name, outcome(sampling, begun, few(samples)))


def first_rejected(model: Any, task: Task, prompts: Sequence[Tokens]) -> dict[int, list[Tokens]]:
    """Where the greedy answer first leaves every right one: prompts with its right beginning, by its length.

    A checker of beginnings stands in for the paper's process reward model. Prompts whose greedy answer is
    right have no such place and are left out.
    """
    greedy = Sampling("greedy", PLAIN, {"temperature": 1.0, "top_k": 1})
    begun: dict[int, list[Tokens]] = {}
    for prompt, rows in zip(prompts, sample(model, task, prompts, greedy, 1, SAMPLING_SEED), strict=True):
        right = 0
        while right < len(rows[0]) and task.may_begin(prompt, rows[0][: right + 1]):
            right += 1
        if right < len(rows[0]):
            begun.setdefault(right, []).append(prompt + rows[0][:right])
    return begun


def first_token_probability(model: Any, prompts: Sequence[Tokens], temperature: float) -> float:
    """The probability of the most probable first token, mean over the prompts."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(prompts)).logits[:, -1]
    return float((logits / temperature).softmax(-1).amax(-1).mean())
