"""Draws the samples, prompt by prompt, and writes samples.jsonl, result.json and result.svg."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire_sampling as fire
from fire_sampling.evaluate import arguments, branch_table, judges, prompts, summary
from fire_sampling.evaluate.backends import Drawn
from fire_sampling.evaluate.packages import EvaluationError, need
from fire_sampling.evaluate.prompts import Prompt
from fire_sampling.evaluate.samples_file import Entry, SamplesFile


def main(given: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status is 0, or 1 after a message."""
    try:
        options = arguments.parse(given)
        configs = arguments.configs(options)
        asked = chosen(read(options), options)
        if options.branch_table:
            branch_table.check(options, configs["FIRE"])
        result = run(options, configs, asked)
    except EvaluationError as error:
        print(f"fire_sampling.evaluate: {error}", file=sys.stderr)
        return 1
    shown = branch_table.table(result) if options.branch_table else summary.table(result)
    print(f"\n{shown}\n\n{options.output / 'result.json'}, {options.output / 'result.svg'}")
    return 0


def read(options: argparse.Namespace) -> list[Prompt]:
    """All prompts that the options name."""
    if options.task:
        from fire_sampling.evaluate import lm_eval_tasks

        return lm_eval_tasks.read(options)
    return prompts.read_jsonl(Path(options.jsonl), judges.named(options.judge), options.stop)


def chosen(every: list[Prompt], options: argparse.Namespace) -> list[Prompt]:
    """Those that `--skip` and `--limit` leave."""
    end = None if options.limit is None else options.skip + options.limit
    left = every[options.skip : end]
    if not left:
        raise EvaluationError(f"--skip: got {options.skip} of {len(every)} prompts, expected to leave some")
    return left


def run(
    options: argparse.Namespace, configs: dict[str, fire.SamplingConfig], asked: list[Prompt]
) -> dict[str, Any]:
    """Draws what is missing, and writes the result."""
    progress_bar = need("tqdm", "tqdm", "fire_sampling.evaluate").tqdm
    need("matplotlib", "matplotlib", "the picture of a result")
    from fire_sampling.evaluate import picture

    settings = arguments.settings(options, configs["FIRE"])
    settings["prompts_sha256"] = fingerprint(asked)
    file = SamplesFile(options.output / "samples.jsonl", settings, options.resume)
    try:
        backend = load(options) if len(file.entries) < len(asked) else None
        if backend is not None and file.entries:
            same_versions(file.entries[-1]["versions"], backend.versions)
        with progress_bar(total=len(asked), initial=len(file.entries), unit="prompt") as progress:
            for number in range(len(file.entries), len(asked)):
                file.add(one_prompt(backend, asked[number], number, configs, options))
                progress.set_postfix_str(_so_far(file.entries))
                progress.update()
    finally:
        file.close()
    if options.branch_table:
        result = branch_table.summarise(settings, options, configs["FIRE"], file.entries)
    else:
        result = summary.summarise(settings, file.entries[-1]["versions"], file.entries)
    summary.write(options.output / "result.json", result)
    draw = picture.draw_designs if options.branch_table else picture.draw
    draw(result, options.output / "result.svg")
    return result


def same_versions(earlier: dict[str, str], now: dict[str, str]) -> None:
    """Refuses to go on with samples that other versions have drawn: their numbers may differ.

    Raises:
        EvaluationError: A package has another version than the entries before.
    """
    for package in {**earlier, **now}:
        if earlier.get(package) != now.get(package):
            raise EvaluationError(
                f"--resume: the samples there are of {package} {earlier.get(package)}, and this run has "
                f"{now.get(package)}; expected the same"
            )


def load(options: argparse.Namespace) -> Any:
    """The backend, with the model."""
    if options.backend == "vllm":
        from fire_sampling.evaluate import vllm_backend

        return vllm_backend.load(
            options.model, options.dtype, options.engine, options.chat, options.max_new_tokens
        )
    need("torch", "torch", "--backend transformers")
    need("transformers", "transformers", "--backend transformers")
    from fire_sampling.evaluate import transformers_backend

    return transformers_backend.load(
        options.model, options.dtype, options.device, options.chat, options.max_new_tokens, options.batch
    )


def one_prompt(
    backend: Any,
    prompt: Prompt,
    number: int,
    configs: dict[str, fire.SamplingConfig],
    options: argparse.Namespace,
) -> Entry:
    """The samples of the prompt of this number in both ways, or its row of the branch table.

    Sample i of a prompt has the same seed in both. Apart, the two take turns in going first: whatever else
    the machine does falls on both alike.
    """
    if options.branch_table:
        return branch_table.one_prompt(backend, prompt, number, configs["plain"], options)
    ways = list(configs)
    turns = [ways] if options.together else [[way] for way in (ways if number % 2 == 0 else ways[::-1])]
    first_row = number * options.samples
    arms: dict[str, Any] = {}
    for turn in turns:
        drawn = backend.draw(prompt, [configs[way] for way in turn], options.samples, first_row)
        arms.update({way: _arm(prompt, one) for way, one in zip(turn, drawn, strict=True)})
    return {
        "name": prompt.name,
        "prompt": prompt.messages,
        "expected": prompt.expected,
        "arms": {way: arms[way] for way in ways},
        "versions": backend.versions,
    }


def _arm(prompt: Prompt, drawn: Drawn) -> dict[str, Any]:
    # A completion that was cut off is wrong whatever stands in it: its last number is no answer.
    judged = [prompt.judge(one.text) if one.ended else (None, False) for one in drawn.completions]
    return {
        "correct": [int(correct) for _, correct in judged],
        "answers": [answer for answer, _ in judged],
        "first": [one.first for one in drawn.completions],
        "ended": [int(one.ended) for one in drawn.completions],
        "tokens": sum(one.tokens for one in drawn.completions),
        "seconds": drawn.seconds,
        "texts": [one.text for one in drawn.completions],
    }


def fingerprint(asked: Sequence[Prompt]) -> str:
    """Of names, questions and right answers, in order."""
    text = json.dumps([(prompt.name, prompt.messages, prompt.expected) for prompt in asked])
    return hashlib.sha256(text.encode()).hexdigest()


def _so_far(entries: Sequence[Entry]) -> str:
    shares = []
    if "arms" not in entries[-1]:
        plain = [one for entry in entries for one in entry["plain"]]
        return f"pass@1 plain {sum(plain) / len(plain):.3f}"
    for way in summary.ARMS:
        correct = [one for entry in entries for one in entry["arms"][way]["correct"]]
        shares.append(f"{way} {sum(correct) / len(correct):.3f}")
    return "pass@1 " + ", ".join(shares)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())
