"""Prompts, and how they are read from a jsonl file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fire_sampling._messages import shown
from fire_sampling.evaluate.packages import EvaluationError

Messages = list[dict[str, str]]


class Judgement(NamedTuple):
    """What a completion came to.

    Attributes:
        answer: The answer found in it, in a form in which equal answers are equal strings; None for none.
        correct: Whether it is right.
    """

    answer: str | None
    correct: bool


@dataclass(frozen=True)
class Prompt:
    """One question.

    Attributes:
        name: Tells it from the others of the run.
        messages: What is asked, as a chat; its last turn may be the assistant's, to be continued. Or the
            prompt's text, to be continued as it is.
        expected: The right answer, for the reader.
        judge: Judges a completion that ended.
        stops: Strings that end a completion and are no part of it.
    """

    name: str
    messages: Messages | str
    expected: str
    judge: Callable[[str], Judgement]
    stops: tuple[str, ...] = ()


# What judges: given a line of the file, it makes the judge of that line's completions.
MakeJudge = Callable[[dict[str, Any]], Callable[[str], Judgement]]


def read_jsonl(path: Path, make_judge: MakeJudge, stops: Sequence[str] = ()) -> list[Prompt]:
    """The prompts of a file with one JSON object a line: `prompt` or `messages`, `answer`, and maybe `id`.

    Raises:
        EvaluationError: The file cannot be read, a line is none such, or two have the same `id`.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a U+2028 in a text ends no line
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"--jsonl: got {str(path)!r}, which cannot be read: {error}") from error
    prompts = []
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"--jsonl: {path}, line {number}"
        entry = _object(line, where)
        name = str(entry.get("id", number))
        if name in names:
            raise EvaluationError(f"{where}: id is {name!r} as on an earlier line, expected another")
        names.add(name)
        expected = entry["answer"] if isinstance(entry["answer"], str) else json.dumps(entry["answer"])
        prompts.append(Prompt(name, _question(entry, where), expected, make_judge(entry), tuple(stops)))
    if not prompts:
        raise EvaluationError(f"--jsonl: {path} holds no prompt, expected one JSON object a line")
    return prompts


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise EvaluationError(f"{where}: got {shown(line)}, expected a JSON object ({error})") from error
    if not isinstance(entry, dict):
        raise EvaluationError(f"{where}: got {shown(entry)}, expected a JSON object")
    if entry.get("answer") is None:
        raise EvaluationError(f"{where}: has no answer, expected the right one under that key")
    if ("prompt" in entry) == ("messages" in entry):
        raise EvaluationError(f"{where}: expected a prompt or messages, and not both")
    return entry


def _question(entry: dict[str, Any], where: str) -> Messages | str:
    if "prompt" in entry:
        if not isinstance(entry["prompt"], str) or not entry["prompt"]:
            raise EvaluationError(f"{where}: prompt is {shown(entry['prompt'])}, expected a text")
        text: str = entry["prompt"]
        return text
    messages = entry["messages"]
    fine = isinstance(messages, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in messages
    )
    if not fine or not messages:
        expected = 'a list of turns, each {"role": …, "content": …}'
        raise EvaluationError(f"{where}: messages is {shown(messages)}, expected {expected}")
    return list(messages)
