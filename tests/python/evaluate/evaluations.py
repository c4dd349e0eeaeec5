"""What the tests of the evaluation share: a tiny model in a folder, prompts, and the files of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tiny_models

from fire_sampling.evaluate.__main__ import main

# Settings under which a tiny model of random weights ends some answers and not others.
SMALL = (
    *("--no-chat-template", "--samples", "6", "--max-new-tokens", "12", "--temperature", "1.5"),
    *("--stop", *"ABCDEFGHIJ"),
)


def write_model(folder: Path) -> Path:
    """A Llama of 96 tokens, and a tokenizer of one character a token."""
    tiny_models.llama().save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return folder


def write_prompts(path: Path, count: int = 4) -> Path:
    lines = [{"id": f"p{n}", "prompt": "abcdef"[n] * 3 + "!7", "answer": "7"} for n in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def evaluate(model: Path, prompts: Path, output: Path, *more: str) -> int:
    """`python -m fire_sampling.evaluate` in this process."""
    return main(["--model", str(model), "--jsonl", str(prompts), "--output", str(output), *SMALL, *more])


def samples(output: Path) -> list[dict[str, Any]]:
    """The lines of a run's file of samples, without what differs from run to run."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in (output / "samples.jsonl").open()]
    for line in lines[1:]:
        for arm in line["arms"].values():
            assert arm.pop("seconds") > 0
    return lines


def an_arm(
    correct: list[int], answers: list[str | None], first: list[int], ended: list[int]
) -> dict[str, Any]:
    """A way's part of an entry: ten tokens a sample, at four samples a second."""
    count = len(correct)
    return {
        **{"correct": correct, "answers": answers, "first": first, "ended": ended},
        **{"tokens": 10 * count, "seconds": count / 4, "texts": [""] * count},
    }
