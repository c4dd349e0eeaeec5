"""The command line of `python -m fire_sampling.evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire_sampling as fire
from fire_sampling._messages import shown
from fire_sampling.evaluate.packages import EvaluationError
from fire_sampling.metrics import powers_of_two

_REGULAR = ("temperature", "top_k", "top_p", "min_p")
LEAST = {
    **{"samples": 1, "limit": 1, "skip": 0, "max_new_tokens": 1, "batch": 1},
    **{"first_tokens": 1, "continuations": 1},
}
_HOT = ("hot_temperature", "hot_top_k", "hot_top_p", "hot_min_p", "hot_begin", "hot_steps")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked; argparse ends the program for a wrong one.

    Raises:
        EvaluationError: A value that does not fit; the message names its option.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    for name, least in LEAST.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise EvaluationError(f"--{name.replace('_', '-')}: got {value}, expected at least {least}")
    asked = options.pass_at or sorted({*powers_of_two(options.samples), min(10, options.samples)})
    if not all(1 <= k <= options.samples for k in asked):
        raise EvaluationError(f"--pass-at: got {shown(asked)}, expected 1 to {options.samples} (--samples)")
    options.pass_at = sorted(set(asked))
    options.engine = _engine(options)
    return options


def configs(options: argparse.Namespace) -> dict[str, fire.SamplingConfig]:
    """The two ways to sample: the same but for the hot steps.

    Raises:
        EvaluationError: A value out of range; or with these no step would be hot.
    """
    given = {name: getattr(options, name) for name in (*_REGULAR, *_HOT)}
    try:
        hot = fire.SamplingConfig(**given, seed=options.seed)
    except ValueError as error:
        name, colon, rest = str(error).partition(":")
        raise EvaluationError(f"--{name.replace('_', '-')}{colon}{rest}") from error
    if not hot.hot_window:
        raise EvaluationError("--hot-steps: no step is hot with these options, expected at least one")
    plain = fire.SamplingConfig(**{name: given[name] for name in _REGULAR}, hot_steps=0, seed=options.seed)
    return {"plain": plain, "FIRE": hot}


def settings(options: argparse.Namespace, hot: fire.SamplingConfig) -> dict[str, Any]:
    """What a result depends on: what `--resume` compares and the result records."""
    full = dataclasses.asdict(hot.resolve())
    source = {"task": options.task} if options.task else {"jsonl": Path(options.jsonl).name}
    return {
        "title": options.title or f"{Path(options.model).name}, {' '.join(source.values())}",
        "model": options.model,
        "backend": options.backend,
        **source,
        "tasks_folder": options.tasks_folder,
        "judge": None if options.task else options.judge,
        "filter": options.filter,
        "metric": options.metric,
        "fewshot": options.fewshot,
        "chat_template": options.chat,
        "stop": options.stop,
        "skip": options.skip,
        "limit": options.limit,
        "samples": options.samples,
        "pass_at": options.pass_at,
        "max_new_tokens": options.max_new_tokens,
        "together": options.together,
        "seed": options.seed,
        "dtype": options.dtype,
        "device": options.device if options.backend == "transformers" else None,
        "engine": options.engine,
        **{name: full[name] for name in (*_REGULAR, *_HOT)},
        **_table(options),
    }


def _table(options: argparse.Namespace) -> dict[str, Any]:
    """What only a branch table depends on."""
    if not options.branch_table:
        return {}
    return {"branch_table": [options.first_tokens, options.continuations]}


def _engine(options: argparse.Namespace) -> dict[str, Any]:
    if options.engine is None:
        return {}
    if options.backend != "vllm":
        raise EvaluationError("--engine: got one with --backend transformers, expected it with vllm")
    try:
        engine = json.loads(options.engine)
    except ValueError as error:
        raise EvaluationError(f"--engine: got {shown(options.engine)}, expected JSON: {error}") from error
    if not isinstance(engine, dict):
        raise EvaluationError(f"--engine: got {shown(engine)}, expected a JSON object")
    return engine


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fire_sampling.evaluate",
        description="n samples a prompt, plain beside FIRE at the same settings: pass@k, different answers, "
        "first tokens, speed, and paired intervals. See docs/evaluate.md.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a model of transformers, by folder or name")
    parser.add_argument(
        "--backend", choices=("transformers", "vllm"), default="transformers", help="who draws"
    )
    parser.add_argument("--engine", help="vLLM's own arguments as JSON: '{\"tensor_parallel_size\": 2}'")
    parser.add_argument("--dtype", default="auto", help="of the model: auto, float32, bfloat16 or float16")
    parser.add_argument("--device", default="cpu", help="of transformers: cpu, cuda, cuda:1")
    parser.add_argument(
        "--together", action="store_true", help="both ways in one batch: faster, and their speed is one"
    )
    parser.add_argument("--batch", type=int, default=64, help="rows of transformers at once")
    prompts = parser.add_argument_group("prompts")
    source = prompts.add_mutually_exclusive_group(required=True)
    source.add_argument("--jsonl", help='a line a prompt: {"prompt": … or "messages": …, "answer": …}')
    source.add_argument("--task", help="a task of lm-evaluation-harness that generates")
    prompts.add_argument("--judge", default="math", help="math, number, exact or MODULE:FUNCTION")
    prompts.add_argument("--tasks-folder", help="with task files (YAML) of your own; for --task")
    prompts.add_argument("--filter", help="of the task, by name; else its first")
    prompts.add_argument("--metric", help="of the task, by name; else its first. 1 counts as right")
    prompts.add_argument("--fewshot", type=int, help="examples before the question; else as the task says")
    prompts.add_argument("--no-chat-template", dest="chat", action="store_false", help="prompts as they are")
    prompts.add_argument("--stop", nargs="*", default=[], help="strings that end an answer")
    prompts.add_argument("--skip", type=int, default=0, help="prompts to leave out at the beginning")
    prompts.add_argument("--limit", type=int, help="the most prompts")
    sampling = parser.add_argument_group("sampling, the same in both ways but for the hot steps")
    sampling.add_argument("--samples", type=int, default=40, help="of each prompt and way")
    sampling.add_argument("--max-new-tokens", type=int, default=512, help="an answer cut off counts as wrong")
    sampling.add_argument("--temperature", type=float, default=0.7)
    sampling.add_argument("--top-k", type=int, default=50)
    sampling.add_argument("--top-p", type=float, default=0.95)
    sampling.add_argument("--min-p", type=float, default=0.0)
    sampling.add_argument("--hot-temperature", type=float, default=30.0)
    sampling.add_argument("--hot-top-k", type=int, default=16)
    sampling.add_argument("--hot-top-p", type=float, help="(default: --top-p)")
    sampling.add_argument("--hot-min-p", type=float, help="(default: --min-p)")
    sampling.add_argument("--hot-begin", type=int, default=0, help="the first hot step")
    sampling.add_argument("--hot-steps", type=int, default=1, help="how many are hot")
    sampling.add_argument("--seed", type=int, default=0)
    table = parser.add_argument_group("to choose a design before paying for it")
    table.add_argument(
        "--branch-table",
        action="store_true",
        help="predict every design from answers by first token",
    )
    table.add_argument("--first-tokens", type=int, default=16, help="the most probable ones of each prompt")
    table.add_argument("--continuations", type=int, default=8, help="answers begun by each of them")
    output = parser.add_argument_group("results")
    output.add_argument("--output", type=Path, default=Path("evaluation"), help="folder for the three files")
    output.add_argument("--resume", action="store_true", help="go on with the samples that are there")
    output.add_argument("--pass-at", type=int, nargs="+", metavar="K", help="(default: powers of two, 10)")
    output.add_argument("--title", help="of the picture (default: model and prompts)")
    return parser
