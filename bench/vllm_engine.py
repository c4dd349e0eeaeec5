#!/usr/bin/env python3
"""vLLM's CPU engine with its own sampler and with the fused one: tokens a second, and the sampler's share.

python bench/vllm_engine.py                         both runners, into bench/results/engines/vllm_cpu.json
python bench/vllm_engine.py --runners 1             one of them; the other's results stay
python bench/vllm_engine.py --report RESULTS.json   print an earlier run

The model is random and tiny, its vocabulary that of Qwen: so the sampler's share is far above that of a
real model, and what counts is the sampler's time for a step. One engine serves both samplers, in turns of one
batch each, in random order. vLLM's V2 runner has no kernels for a CPU: Triton's interpreter runs them here,
which says nothing of their speed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import machine, results_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "engines"))
RESULTS = ROOT / "bench" / "results" / "engines" / "vllm_cpu.json"
VOCABULARY = 151_936
TOKENS = {1: 16, 2: 4}  # that each request of a batch generates
ROUNDS = {1: 7, 2: 3}
ROWS = {1: (1, 8, 32), 2: (1,)}
SETTINGS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "no filter": {"temperature": 1.0},
    "k=50 p=0.95 T=0.7": {"temperature": 0.7, "top_k": 50, "top_p": 0.95},
    "p=0.9": {"top_p": 0.9},
    "min-p=0.05": {"min_p": 0.05},
    "k=50 p=0.95 T=0.7, seeded": {"temperature": 0.7, "top_k": 50, "top_p": 0.95, "seed": 1},
    "k=50 p=0.95 T=0.7, logprobs": {"temperature": 0.7, "top_k": 50, "top_p": 0.95, "logprobs": 0},
    "k=50 T=0.7, hot first token": {
        "temperature": 0.7,
        "top_k": 50,
        "extra_args": {"fire_temperature": 30.0, "fire_top_k": 16},
    },
}

# In the interpreter a step of V2 takes seconds.
NAMES = {1: tuple(SETTINGS), 2: ("k=50 p=0.95 T=0.7", "k=50 p=0.95 T=0.7, logprobs")}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runners", default="1,2", help="vLLM's model runners, default: %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", type=Path, metavar="RESULTS.json", help="measure nothing, print this run")
    parser.add_argument("--runner", type=int, help=argparse.SUPPRESS)  # of the child that measures
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


class Clock:
    """Nanoseconds inside the sampler, a number for each call."""

    def __init__(self) -> None:
        self.spent: list[int] = []

    def watching(self, sampler: type[Any]) -> type[Any]:
        """A subclass of the sampler's class whose calls are timed."""
        clock = self

        class Watched(sampler):  # type: ignore[misc]
            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                begin = time.perf_counter_ns()
                try:
                    return super().__call__(*args, **kwargs)
                finally:
                    clock.spent.append(time.perf_counter_ns() - begin)

        return Watched


def measure(number: int, model: Path) -> list[dict[str, Any]]:
    """One engine on one of the runners; a dict for each cell."""
    os.environ |= {
        "VLLM_USE_V2_MODEL_RUNNER": str(number - 1),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if number == 2:
        import triton_interpreter

        triton_interpreter.install()
        triton_interpreter.replace_filters()
    from engine import engine, model_runner

    from fire_sampling.integrations.vllm import fused

    clock = Clock()
    options = {"dtype": "bfloat16", "skip_tokenizer_init": True, "max_num_seqs": max(ROWS[number])}
    with engine(str(model), **options) as llm:
        sampler = model_runner(llm).sampler
        kinds = {"vllm": clock.watching(type(sampler))}
        fused.install(model_runner(llm))
        kinds["fused"] = clock.watching(type(sampler))
        return [
            measure_cell(llm, sampler, kinds, clock, number, rows, name)
            for rows in ROWS[number]
            for name in NAMES[number]
        ]


def measure_cell(
    llm: Any, sampler: Any, kinds: dict[str, type[Any]], clock: Clock, number: int, rows: int, name: str
) -> dict[str, Any]:
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=TOKENS[number], ignore_eos=True, detokenize=False, **SETTINGS[name])
    prompts = [{"prompt_token_ids": [11 + row, 7, 1000, 5]} for row in range(rows)]
    turns = [kind for kind in kinds for _ in range(ROUNDS[number])]
    random.Random(3).shuffle(turns)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    inside: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in [*kinds, *turns]:  # the first turn of each warms up
        sampler.__class__ = kinds[kind]
        clock.spent.clear()
        begin = time.perf_counter()
        llm.generate(prompts, params, use_tqdm=False)
        seconds[kind].append(time.perf_counter() - begin)
        inside[kind].append(statistics.median(clock.spent) / 1e6)
    cell: dict[str, Any] = {"runner": number, "rows": rows, "setting": name}
    for kind in kinds:
        rates = sorted(rows * TOKENS[number] / each for each in seconds[kind][1:])
        steps = sorted(inside[kind][1:])
        share = [
            ms * TOKENS[number] / 1e3 / total
            for ms, total in zip(inside[kind][1:], seconds[kind][1:], strict=True)
        ]
        cell[kind] = {
            "tokens_per_second": [round(each, 2) for each in (rates[0], statistics.median(rates), rates[-1])],
            "sampler_ms_a_step": [round(each, 4) for each in (steps[0], statistics.median(steps), steps[-1])],
            "sampler_share": round(statistics.median(share), 3),
        }
    return cell


def report(results: dict[str, Any]) -> str:
    """A table in Markdown: medians, in brackets the least and the most of the turns."""
    lines = [
        "| runner | rows | setting | vLLM: ms a step in the sampler | fused | vLLM: tokens/s | fused | "
        "vLLM: share | fused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in (cell for runner in results["runners"].values() for cell in runner["cells"]):
        columns = [f"V{cell['runner']}", str(cell["rows"]), cell["setting"]]
        for quantity in ("sampler_ms_a_step", "tokens_per_second"):
            for kind in ("vllm", "fused"):
                low, median, high = cell[kind][quantity]
                columns.append(f"{_short(median)} ({_short(low)} to {_short(high)})")
        columns += [f"{100 * cell[kind]['sampler_share']:.0f} %" for kind in ("vllm", "fused")]
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def summary(results: dict[str, Any], runner: int) -> str:
    """The table of docs/vllm.md: medians on one runner, vLLM's own sampler before the fused one."""
    cells = {(cell["setting"], cell["rows"]): cell for cell in results["runners"][str(runner)]["cells"]}
    batches = sorted({rows for _, rows in cells})
    most = batches[-1]
    names = [f"{rows} row{'s' * (rows > 1)}" for rows in batches]
    titles = [f"ms, {name}" for name in names] + [f"tokens/s, {names[-1]}", f"share of the step, {names[-1]}"]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name in dict.fromkeys(name for name, _ in cells):
        pairs = [
            [_short(cells[name, rows][kind]["sampler_ms_a_step"][1]) for kind in ("vllm", "fused")]
            for rows in batches
        ]
        pairs.append(
            [f"{cells[name, most][kind]['tokens_per_second'][1]:,.0f}" for kind in ("vllm", "fused")]
        )
        pairs.append(
            [f"{100 * cells[name, most][kind]['sampler_share']:.0f} %" for kind in ("vllm", "fused")]
        )
        lines.append(f"| {name} | " + " | ".join(" → ".join(pair) for pair in pairs) + " |")
    return "\n".join(lines)


def main() -> None:
    arguments = parse_arguments()
    if arguments.report:
        results = json.loads(arguments.report.read_text())
        print(report(results))
        for runner in results["runners"]:
            print(f"\nV{runner}\n\n{summary(results, int(runner))}")
        return
    if arguments.runner:
        print(json.dumps(measure(arguments.runner, arguments.model)))
        return
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"runners": {}}
    with tempfile.TemporaryDirectory() as folder:
        from tiny_llama import random_llama

        # Only its vocabulary is of a real model's size.
        random_llama(VOCABULARY, layers=1).bfloat16().save_pretrained(folder)
        for runner in arguments.runners.split(","):
            stolen = machine.StolenTime()
            command = [sys.executable, __file__, "--runner", runner, "--model", folder]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results["runners"][runner] = {
                "machine": machine.describe(),
                "load": round(os.getloadavg()[1], 1),  # the average of five minutes
                "stolen_percent": stolen.percent(),
                "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
                "vocabulary": VOCABULARY,
                "cells": json.loads(child.stdout.splitlines()[-1]),
            }
    results_file.write(arguments.out, results, depth=4)
    print(report(results))


if __name__ == "__main__":
    main()
