#!/usr/bin/env python3
"""support_log_prob with its gradient beside torch's own operations, in one interleaved run (bench/README.md).

python bench/support_log_prob.py         measures, within ten minutes; prints the table of docs/benchmarks.md
python bench/support_log_prob.py --show  prints that of the committed results, and puts it on the page
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from harness import memory
from harness.cases import CPU_VOCABULARY
from harness.comparison import Comparison, Results, interleaved, measured_on
from harness.rows import make_rows
from torch import Tensor
from views.text import markdown_table, microseconds, ratio

import fire_sampling as fire

# So many that each gradient is memory of its own, which the system gives and takes back.
ROWS, MANY_ROWS, WIDTH = 256, 4096, 128
DTYPES = ("float32", "bfloat16")
OURS = "support_log_prob"
GOAL = 2.0  # how many times as fast as any of torch's

Values = tuple[Tensor, Tensor]  # over the support and over the row, float32 [R]
Call = Callable[[Tensor], Values]  # of what is stepped


class Rollout(NamedTuple):
    """Rows of logits, and the token and support that were drawn from each at top-p 0.8."""

    logits: Tensor
    token: Tensor
    support: Tensor


def make_rollout(rows: int, dtype: str, vocabulary: int = CPU_VOCABULARY) -> Rollout:
    logits = make_rows("peaked", rows, vocabulary, dtype)
    config = fire.SamplingConfig(top_p=0.8, hot_steps=0, seed=1)
    drawn = fire.sample_with_support(logits, 0, config, width=WIDTH, reference=False)
    return Rollout(logits, drawn.token, drawn.support)


def calls_of(rollout: Rollout) -> dict[str, Call]:
    """What is timed, by name. The temperature is 1, so that none of torch's has to divide."""
    _, token, support = rollout
    column = token[:, None]
    behind = support < 0
    ids = support.long().masked_fill(behind, 0)

    def ours(logits: Tensor) -> Values:
        found = fire.support_log_prob(logits, token, support, 1.0)
        return found.logprob, found.full_logprob

    def masked(logits: Tensor) -> Values:
        scores = logits.float()
        kept = torch.zeros(logits.shape, dtype=torch.bool)
        kept.scatter_(1, torch.where(behind, column, ids), True)
        over_support = scores.masked_fill(~kept, -torch.inf).log_softmax(dim=1)
        return over_support.gather(1, column)[:, 0], scores.log_softmax(dim=1).gather(1, column)[:, 0]

    def gathered(logits: Tensor) -> Values:
        scores = logits.float()
        over_support = scores.gather(1, ids).masked_fill(behind, -torch.inf).logsumexp(dim=1)
        at_token = scores.gather(1, column)[:, 0]
        return at_token - over_support, at_token - scores.logsumexp(dim=1)

    compiled = torch.compile(gathered, dynamic=False)
    return {
        OURS: ours,
        "log_softmax, masked": masked,
        "logsumexp, gathered": gathered,
        "logsumexp, gathered, compiled": compiled,
    }


def step(call: Call, logits: Tensor) -> Tensor:
    """Forward and backward: the gradient of a loss that reads both values."""
    leaf = logits.detach().requires_grad_()
    over_support, over_row = call(leaf)
    torch.autograd.backward((over_support - 0.1 * over_row).sum())
    assert leaf.grad is not None
    return leaf.grad


def measure_cell(rollout: Rollout, rounds: int) -> Results:
    """Times the steps, and compares the gradients."""
    logits, calls = rollout.logits, calls_of(rollout)
    steps = {name: functools.partial(step, call) for name, call in calls.items()}
    rows, vocabulary = logits.shape
    gradient = steps[OURS](logits).float()
    apart = {name: float((one(logits).float() - gradient).abs().max()) for name, one in steps.items()}
    results, _ = interleaved(steps, [logits], rounds, per=rows)
    gradient_bytes = logits.numel() * logits.element_size()
    peaks = {
        name: round(memory.peak_extra_bytes(functools.partial(one, logits), 2) / gradient_bytes, 2)
        for name, one in steps.items()
    }
    return {
        "dtype": str(logits.dtype).removeprefix("torch."),
        "rows": rows,
        "vocabulary": vocabulary,
        "mean_support": round(float((rollout.support >= 0).sum(dim=1).float().mean()), 1),
        "results": results,
        "peak_in_gradients": peaks,
        "largest_difference": apart,
    }


def measure_many(rollout: Rollout) -> Results:
    """Ours alone, of a whole batch: for torch's there is no memory."""
    call = calls_of(rollout)[OURS]
    gradient_bytes = rollout.logits.numel() * rollout.logits.element_size()
    peak = memory.peak_extra_bytes(lambda: step(call, rollout.logits), 1)
    begin = time.thread_time_ns()
    step(call, rollout.logits)
    taken = (time.thread_time_ns() - begin) / rollout.logits.shape[0]
    return {
        "dtype": str(rollout.logits.dtype).removeprefix("torch."),
        "rows": rollout.logits.shape[0],
        "microseconds_a_row": round(taken / 1000, 1),
        "peak_in_gradients": round(peak / gradient_bytes, 3),
    }


def measure(options: argparse.Namespace) -> Results:
    return {
        "cells": [measure_cell(make_rollout(ROWS, dtype), options.rounds) for dtype in DTYPES],
        "many": [] if options.few else [measure_many(make_rollout(MANY_ROWS, dtype)) for dtype in DTYPES],
    }


def times_as_fast(cell: Results) -> dict[str, float]:
    """Of each of torch's, its time over ours."""
    medians = {name: found["median"] for name, found in cell["results"].items()}
    return {name: median / medians[OURS] for name, median in medians.items() if name != OURS}


def missed(run: Results) -> list[str]:
    """The peers that are not slower by the goal."""
    return [
        f"{cell['dtype']}, {name}: {times:.2f} of {GOAL:g}"
        for cell in run["cells"]
        for name, times in times_as_fast(cell).items()
        if times < GOAL
    ]


def table(run: Results) -> str:
    lines = []
    for cell in run["cells"]:
        slower = times_as_fast(cell)
        for name, found in cell["results"].items():
            spread = f"{microseconds(found['p10'])} – {microseconds(found['p90'])}"
            times = f"{ratio(slower[name])} ×" if name in slower else "1"
            what = f"`{name}`" if name == OURS else f"torch: {name}"
            peak = f"{cell['peak_in_gradients'][name]:.2f}"
            lines.append((cell["dtype"], what, microseconds(found["median"]), spread, times, peak))
    header = (
        "logits",
        "forward and backward",
        "µs a row",
        "first to last decile",
        "÷ ours",
        "peak ÷ gradient",
    )
    return markdown_table(header, lines)


def about(run: Results) -> str:
    cell = run["cells"][0]
    many = "; ".join(
        f"{one['dtype']} {microseconds(one['microseconds_a_row'])} µs a row and a peak of "
        f"{one['peak_in_gradients']:.2f} gradients"
        for one in run["many"]
    )
    calls = f" of {cell['results'][OURS]['calls']} calls on {cell['rows']} rows,\n"
    return (
        f"{measured_on(run, calls)} {run['many'][0]['rows']:,} rows, for which torch's lack the memory here, "
        f"ours alone:\n{many}."
    )


PROGRAM = Comparison("support_log_prob", "benchmarks.md", measure, table, about, missed)


def main() -> int:
    parser = PROGRAM.parser(__doc__, rounds=9)
    few = f"leave out the {MANY_ROWS:,} rows, which take 6 GB"
    parser.add_argument("--few", action="store_true", help=few)
    return PROGRAM.main(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
