"""What the samples of all prompts say: each way by itself, and FIRE − plain prompt by prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fire_sampling.evaluate.samples_file import Entry
from fire_sampling.metrics import (
    Interval,
    distinct_answers,
    mean_interval,
    paired_bootstrap,
    pass_at_k,
)

ARMS = ("plain", "FIRE")
Arm = dict[str, Any]
Value = Callable[[Arm], float]


def quantities(ks: Sequence[int], samples: int) -> dict[str, Value]:
    """What is computed of a prompt's samples under one way, by name."""

    def passing(k: int) -> Value:
        return lambda arm: pass_at_k(len(arm["correct"]), sum(arm["correct"]), k)

    def differing(key: str, k: int) -> Value:
        return lambda arm: distinct_answers(arm[key], k)

    return {
        **{f"pass@{k}": passing(k) for k in ks},
        **{f"answers@{k}": differing("answers", k) for k in ks},
        f"first tokens@{samples}": differing("first", samples),
        "ended": lambda arm: sum(arm["ended"]) / len(arm["ended"]),
    }


def summarise(settings: dict[str, Any], versions: dict[str, str], entries: Sequence[Entry]) -> dict[str, Any]:
    """The result: means over prompts with 95 % bootstrap intervals, and what each prompt came to."""
    computed = quantities(settings["pass_at"], settings["samples"])
    arms = {arm: [entry["arms"][arm] for entry in entries] for arm in ARMS}
    values = {
        arm: {name: [value(one) for one in of] for name, value in computed.items()}
        for arm, of in arms.items()
    }
    plain, hot = ARMS
    return {
        "settings": settings,
        "versions": versions,
        "prompts": len(entries),
        **{arm: {**_intervals(values[arm]), "speed": _speed(arms[arm])} for arm in ARMS},
        "FIRE - plain": {
            name: rounded(paired_bootstrap(values[plain][name], values[hot][name])) for name in computed
        },
        "by prompt": [_one(entry) for entry in entries],
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Writes the result, an entry a line, so that a change can be read; the file is replaced at once."""
    parts = []
    for key, value in result.items():
        if isinstance(value, dict):
            lines = ",\n".join(f"{_json(name)}: {_json(one)}" for name, one in value.items())
            parts.append(f"{_json(key)}: {{\n{lines}\n}}")
        elif isinstance(value, list):
            parts.append(f"{_json(key)}: [\n" + ",\n".join(map(_json, value)) + "\n]")
        else:
            parts.append(f"{_json(key)}: {_json(value)}")
    beside = path.with_name(path.name + ".new")
    beside.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    os.replace(beside, path)


def table(result: dict[str, Any]) -> str:
    """The result for a terminal."""
    rows = [["", *ARMS, "FIRE − plain [95 %]"]]
    for name, difference in result["FIRE - plain"].items():
        rows.append([name, *(f"{result[arm][name]['mean']:.3f}" for arm in ARMS), interval_text(difference)])
    speeds = [f"{result[arm]['speed']['tokens per second']:.1f}" for arm in ARMS]
    rows.append(["tokens per second", *speeds, ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def interval_text(interval: dict[str, float]) -> str:
    """`+0.012 [−0.003, +0.027]`."""
    mean, low, high = (f"{interval[key]:+.3f}".replace("-", "−") for key in Interval._fields)
    return f"{mean} [{low}, {high}]"


def rounded(interval: Interval) -> dict[str, float]:
    """An interval for a result."""
    return {name: round(value, 6) for name, value in interval._asdict().items()}


def _intervals(values: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: rounded(mean_interval(of)) for name, of in values.items()}


def _speed(arms: Sequence[Arm]) -> dict[str, float]:
    tokens, seconds = sum(arm["tokens"] for arm in arms), sum(arm["seconds"] for arm in arms)
    return {"tokens": tokens, "seconds": round(seconds, 3), "tokens per second": round(tokens / seconds, 3)}


def _one(entry: Entry) -> dict[str, Any]:
    """A prompt's counts: enough to compute every pass@k again."""
    line: dict[str, Any] = {"name": entry["name"]}
    for arm in ARMS:
        of = entry["arms"][arm]
        count = len(of["correct"])
        line[arm] = {
            "correct": sum(of["correct"]),
            "answers": round(distinct_answers(of["answers"], count)),
            "first": round(distinct_answers(of["first"], count)),
            "ended": sum(of["ended"]),
        }
    return line


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
