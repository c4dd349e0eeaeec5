"""The results file, and the figures that tables and pictures take from it."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from examples.paper.grpo import Checkpoint
from examples.paper.sampling import Outcome
from examples.paper.study import Measured
from fire_sampling.evaluate import summary
from fire_sampling.metrics import Interval, mean_interval, pass_at_k


@dataclass(frozen=True)
class Entry:
    """One outcome of one model: the `Measured` of a task and a training seed."""

    task: str
    seed: int
    measured: Measured

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the entries of several training seeds share."""
        return self.task, self.measured.table, self.measured.cell, self.measured.way


@dataclass(frozen=True)
class Trained:
    """A policy under training by one remedy, from the model of a task and a seed."""

    task: str
    seed: int
    remedy: str
    checkpoints: list[Checkpoint]


@dataclass(frozen=True)
class Results:
    """All entries, what they were made with, and each model's own figures.

    Attributes:
        settings: numbers of prompts, samples and training seeds, and the sampling settings.
        machine: versions of what ran.
        models: by task and training seed, its size, its seconds of training, and how sure its first token is.
        entries: the outcomes.
        trained: policies that were trained on rollouts.
    """

    settings: dict[str, Any]
    machine: dict[str, Any]
    models: list[dict[str, Any]]
    entries: list[Entry]
    trained: list[Trained]

    def write(self, path: Path) -> None:
        """One entry a line, so that a change of one is a change of a line."""
        fields = {
            "settings": self.settings,
            "machine": self.machine,
            "models": self.models,
            "entries": [
                {"task": entry.task, "seed": entry.seed, **asdict(entry.measured)} for entry in self.entries
            ],
            "trained": [asdict(policy) for policy in self.trained],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        summary.write(path, fields)

    @classmethod
    def read(cls, path: Path) -> "Results":
        raw = json.loads(path.read_text(encoding="utf-8"))
        entries = []
        for line in raw.pop("entries"):
            outcome = line.pop("outcome")
            for curve in ("answers", "first_tokens"):
                outcome[curve] = {int(n): value for n, value in outcome[curve].items()}
            task, seed = line.pop("task"), line.pop("seed")
            entries.append(Entry(task, seed, Measured(**line, outcome=Outcome(**outcome))))
        trained = [
            Trained(**{**line, "checkpoints": [Checkpoint(**each) for each in line["checkpoints"]]})
            for line in raw.pop("trained")
        ]
        return cls(**raw, entries=entries, trained=trained)

    def of(self, task: str, table: str, cell: str, way: str) -> list[Outcome]:
        """The outcomes of one key, by training seed."""
        wanted = (task, table, cell, way)
        found = sorted((entry for entry in self.entries if entry.key == wanted), key=lambda entry: entry.seed)
        return [entry.measured.outcome for entry in found]

    def cells(self, task: str, table: str) -> list[str]:
        """The cells of a table, in the order in which they were measured."""
        return list(dict.fromkeys(e.measured.cell for e in self.entries if e.key[:2] == (task, table)))

    def curves(self, task: str, remedy: str) -> list[list[Checkpoint]]:
        """The checkpoints of a remedy, by training seed."""
        return [p.checkpoints for p in self.trained if (p.task, p.remedy) == (task, remedy)]

    def names(self, task: str, table: str) -> list[str]:
        """The ways to sample of a table, in that order."""
        return list(dict.fromkeys(e.measured.way for e in self.entries if e.key[:2] == (task, table)))


def passes(outcome: Outcome, k: int) -> list[float]:
    """pass@k of each prompt."""
    return [pass_at_k(outcome.samples, correct, k) for correct in outcome.correct]


def pass_rate(outcomes: Iterable[Outcome], k: int) -> float:
    """pass@k, the mean over the prompts of all these outcomes."""
    return statistics.fmean(rate for outcome in outcomes for rate in passes(outcome, k))


def over_seeds(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation (of the sample: n − 1) over training seeds; 0 where there is one."""
    found = list(values)
    return statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else 0.0


def gain(plain: list[Outcome], other: list[Outcome], k: int) -> Interval:
    """What `other` adds to pass@k: mean over the prompts of all models, and its 95 % interval.

    Pairs are of one model and one prompt; prompts are drawn anew, so the interval says how far other prompts
    might move the mean for these models, not what other models would do: that is what the deviation over
    seeds shows.
    """
    differences = [
        b - a
        for one, another in zip(plain, other, strict=True)
        for a, b in zip(passes(one, k), passes(another, k), strict=True)
    ]
    return mean_interval(differences)
