#!/usr/bin/env python3
"""A group of tokens from one row beside what it replaces, in one interleaved run (see bench/README.md).

python bench/groups.py            measures, within two minutes, and prints the table of docs/benchmarks.md
python bench/groups.py --show     prints the table of the committed results, and puts it on that page
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from harness import machine
from harness.cases import CPU_VOCABULARY, DTYPES, Case
from harness.comparison import Call, Comparison, Results, interleaved, measured_on
from harness.records import ALWAYS, records
from harness.rows import batches_of, make_pool
from harness.settings import SETTINGS
from torch import Tensor
from views.text import markdown_table, microseconds, ratio

SIZE = 16
DESIGN = 2  # stratified: it takes the most random numbers
MEASURED = ("k=50 p=0.9", "hot T=30 k=16", "no filter")
# The most that a group may cost, as multiples of one sample of its row.
GOALS = {"k=50 p=0.9": 1.3, "hot T=30 k=16": 1.3, "no filter": 2.0}
_HOT_BEGIN, _HOT_STEPS, _FLAGS, _GROUP = 8, 9, 10, 15  # words of a record (docs/semantics.md)


def grouped(case: Case, size: int) -> Tensor:
    """int32 [size, 16]: the case's filters at hot steps, a record a member."""
    record = records(case)
    record[:, 4:8] = record[:, 0:4]  # hot, as only there a design acts
    record[:, _HOT_BEGIN], record[:, _HOT_STEPS] = 0, ALWAYS
    record[:, _FLAGS] |= DESIGN << 5
    members = record.repeat(size, 1)
    members[:, _GROUP] = size - 1 | torch.arange(size, dtype=torch.int32) << 16
    return members


def calls_of(case: Case, size: int) -> dict[str, Call]:
    """What is timed, by name, of one row [1, V]."""
    fire, members, step = torch.ops.fire, grouped(case, size), torch.tensor(0)
    one = members[:1].clone()
    if case.outputs == "token":
        return {
            "one sample": lambda row: fire.sample(row, step, one),
            "group": lambda row: fire.sample_group(row, step, one, size=size),
            "samples": lambda row: fire.sample(row.expand(size, -1), step, members),
        }
    return {
        "one sample": lambda row: fire.sample_with_logprobs(row, step, one),
        "group": lambda row: fire.sample_group_with_logprobs(row, step, one, size=size),
        "samples": lambda row: fire.sample_with_logprobs(row.expand(size, -1), step, members),
    }


def tokens(result: Any) -> Tensor:
    """Those of what a call returns, be it alone or with log-probabilities."""
    found: Tensor = result if isinstance(result, Tensor) else result[0]
    return found


def measure_cell(case: Case, cache_bytes: int, rounds: int, size: int = SIZE) -> Results:
    """Times the calls, and checks the group's tokens."""
    calls = calls_of(case, size)
    batches = batches_of(make_pool([case], cache_bytes), case)
    results, drawn = interleaved(calls, batches, rounds, cold=3, kept="group")
    wrong = sum(int((tokens(group).view(-1) != tokens(calls["samples"](row))).sum()) for row, group in drawn)
    return {**case.as_dict(), "size": size, "results": results, "checked": len(drawn) * size, "wrong": wrong}


def cases() -> list[Case]:
    return [
        Case(CPU_VOCABULARY, 1, dtype, setting, outputs=outputs)
        for outputs in ("token", "reference")
        for setting in MEASURED
        for dtype in DTYPES
    ]


def measure(options: argparse.Namespace) -> Results:
    return {
        "settings": {name: str(SETTINGS[name]) for name in MEASURED},
        "cells": [measure_cell(case, machine.last_level_cache(), options.rounds) for case in cases()],
    }


def ratios(cell: Results) -> tuple[float, float]:
    """The group's time over one sample's, and that of as many samples over the group's."""
    one, group, samples = (cell["results"][name]["median"] for name in ("one sample", "group", "samples"))
    return group / one, samples / group


def missed(run: Results) -> list[str]:
    """The cells whose group costs more than its goal."""
    return [
        f"{cell['setting']}, {cell['dtype']}: {ratios(cell)[0]:.2f} of {GOALS[cell['setting']]}"
        for cell in run["cells"]
        if cell["outputs"] == "token" and ratios(cell)[0] > GOALS[cell["setting"]]
    ]


def table(run: Results) -> str:
    lines = []
    for cell in run["cells"]:
        found, (more, fewer) = cell["results"], ratios(cell)
        times = [microseconds(found[name]["median"]) for name in ("one sample", "group", "samples")]
        goal = f"≤ {GOALS[cell['setting']]:g}" if cell["outputs"] == "token" else "–"
        outputs = "token" if cell["outputs"] == "token" else "all"
        row = (cell["setting"], cell["dtype"], outputs, *times, f"{more:.2f}", goal, f"{ratio(fewer)}")
        lines.append(row)
    header = (
        "setting",
        "logits",
        "outputs",
        "one `sample`",
        f"`sample_group` of {SIZE}",
        f"{SIZE} `sample`s",
    )
    return markdown_table((*header, "group ÷ one", "goal", "samples ÷ group"), lines)


def about(run: Results) -> str:
    return measured_on(run, f" of {run['cells'][0]['results']['group']['calls']} calls ")


PROGRAM = Comparison("groups", "benchmarks.md", measure, table, about, missed, "draws")

if __name__ == "__main__":
    sys.exit(PROGRAM.main(PROGRAM.parser(__doc__, rounds=300).parse_args()))
