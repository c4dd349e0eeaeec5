#!/usr/bin/env python3
"""What a support adds to sample_with_logprobs, in one interleaved run (see bench/README.md).

python bench/supports.py         measures, within two minutes, and prints the table of docs/benchmarks.md
python bench/supports.py --show  prints the table of the committed results, and puts it on that page
"""

from __future__ import annotations

import argparse
import sys

import torch
from harness import machine
from harness.cases import CPU_VOCABULARY, DTYPES, Case
from harness.comparison import Call, Comparison, Results, interleaved, measured_on
from harness.records import records
from harness.rows import batches_of, make_pool
from harness.settings import SETTINGS
from torch import Tensor
from views.text import markdown_table, microseconds

WIDTH = 64
# Settings and kinds of rows: the last two keep more tokens than there are places.
MEASURED = (
    ("k=50 p=0.9", "peaked"),
    ("hot T=30 k=16", "peaked"),
    ("p=0.9", "peaked"),
    ("p=0.9", "flat"),
    ("no filter", "peaked"),
)
GOAL = 1.1  # the most that a support of up to WIDTH tokens may cost, in samples without one
ALONE, OURS = "sample_with_logprobs", "sample_with_support"

Outputs = tuple[Tensor, ...]


def calls_of(case: Case) -> dict[str, Call]:
    """What is timed, by name, of one row [1, V]."""
    fire, record, step = torch.ops.fire, records(case), torch.tensor(0)
    reference = case.outputs == "reference"
    return {
        ALONE: lambda row: fire.sample_with_logprobs(row, step, record, reference=reference),
        OURS: lambda row: fire.sample_with_support(row, step, record, width=WIDTH, reference=reference),
    }


def is_wrong(ours: Outputs, alone: Outputs) -> bool:
    """Whether a support is not of its sample: it holds the token, and as many as were kept or fit."""
    token, logprob, kept, support, support_logprob = ours[0], ours[1], ours[4], ours[6], ours[7]
    same = all(torch.equal(ours[i], alone[i]) for i in (0, 1, 3, 4))
    filled = torch.equal((support >= 0).sum(1), kept.clamp(max=WIDTH).long())
    at_token = support == token[:, None]
    return not (same and filled and torch.equal(support_logprob[at_token], logprob))


def measure_cell(case: Case, cache_bytes: int, rounds: int) -> Results:
    """Times the calls, and checks the supports."""
    calls = calls_of(case)
    batches = batches_of(make_pool([case], cache_bytes), case)
    results, drawn = interleaved(calls, batches, rounds, cold=3, kept=OURS)
    kept = sorted(int(ours[4]) for _, ours in drawn)
    return {
        **case.as_dict(),
        "width": WIDTH,
        "kept": kept[len(kept) // 2],
        "results": results,
        "checked": len(drawn),
        "wrong": sum(is_wrong(ours, calls[ALONE](row)) for row, ours in drawn),
    }


def cases() -> list[Case]:
    return [
        Case(CPU_VOCABULARY, 1, dtype, setting, kind, outputs)
        for outputs in ("logprobs", "reference")
        for setting, kind in MEASURED
        for dtype in DTYPES
    ]


def measure(options: argparse.Namespace) -> Results:
    return {
        "settings": {name: str(SETTINGS[name]) for name, _ in MEASURED},
        "cells": [measure_cell(case, machine.last_level_cache(), options.rounds) for case in cases()],
    }


def times_of_a_sample(cell: Results) -> float:
    """The time of a sample with its support, over one without."""
    found: dict[str, dict[str, float]] = cell["results"]
    return found[OURS]["median"] / found[ALONE]["median"]


def missed(run: Results) -> list[str]:
    """The cells in which a support that is not cut costs more than the goal."""
    return [
        f"{cell['setting']}, {cell['dtype']}, {cell['outputs']}: {times_of_a_sample(cell):.2f} of {GOAL}"
        for cell in run["cells"]
        if cell["kept"] <= WIDTH and times_of_a_sample(cell) > GOAL
    ]


def table(run: Results) -> str:
    lines = []
    for cell in run["cells"]:
        name = cell["setting"] + (", flat" if cell["kind"] == "flat" else "")
        found = cell["results"]
        times = []
        for call in (ALONE, OURS):
            spread = f"{microseconds(found[call]['p10'])} – {microseconds(found[call]['p90'])}"
            times += [microseconds(found[call]["median"]), spread]
        reference = "yes" if cell["outputs"] == "reference" else "no"
        goal = f"≤ {GOAL:g}" if cell["kept"] <= WIDTH else "–"
        shown = f"{times_of_a_sample(cell):.2f}"
        lines.append((name, f"{cell['kept']:,}", cell["dtype"], reference, *times, shown, goal))
    header = ("setting", "kept", "logits", "reference", f"`{ALONE}`", "deciles", f"`{OURS}`", "deciles")
    return markdown_table((*header, "times", "goal"), lines)


def about(run: Results) -> str:
    return measured_on(run, f" of {run['cells'][0]['results'][OURS]['calls']} calls ")


PROGRAM = Comparison("supports", "benchmarks.md", measure, table, about, missed, "supports")

if __name__ == "__main__":
    sys.exit(PROGRAM.main(PROGRAM.parser(__doc__, rounds=300).parse_args()))
