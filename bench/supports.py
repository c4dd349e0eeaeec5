#!/usr/bin/env python3
"""What a support adds to sample_with_logprobs, in one interleaved run (see bench/README.md).

python bench/supports.py         measures, within two minutes, and prints the table of docs/benchmarks.md
python bench/supports.py --show  prints the table of the committed results, and puts it on that page
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from harness import machine, operators, results_file
from harness.cases import CPU_VOCABULARY, DTYPES, Case
from harness.records import records
from harness.rows import Rotation, make_pool
from harness.settings import SETTINGS
from harness.summary import Summary
from torch import Tensor
from views.text import markdown_table, microseconds, write_between_markers

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "supports" / "cpu.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLACE = (str(RESULTS.relative_to(ROOT)), "bench/supports.py")  # of its markers
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

Results = dict[str, Any]
Outputs = tuple[Tensor, ...]
Call = Callable[[Tensor], Outputs]


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
    """Times the calls in random order, each on the next row of a rotation, and checks the supports.

    Time is the thread's own on its processor, which no other process lengthens by taking turns.
    """
    rotation, calls = Rotation(case, make_pool([case], cache_bytes)), calls_of(case)
    order = random.Random(1)
    times: dict[str, list[int]] = {name: [] for name in calls}
    drawn: list[tuple[int, Outputs]] = []
    for turn in range(rounds + 3):
        for name in order.sample(list(calls), len(calls)):
            batch = rotation.take()
            begin = time.thread_time_ns()
            result = calls[name](rotation.batches[batch])
            if turn >= 3:  # the first find their code cold
                times[name].append(time.thread_time_ns() - begin)
            if name == OURS:
                drawn.append((batch, result))
    wrong = sum(is_wrong(ours, calls[ALONE](rotation.batches[batch])) for batch, ours in drawn)
    kept = sorted(int(ours[4]) for _, ours in drawn)
    return {
        **case.as_dict(),
        "width": WIDTH,
        "kept": kept[len(kept) // 2],
        "results": {name: asdict(Summary.of_nanoseconds(found)) for name, found in times.items()},
        "checked": len(drawn),
        "wrong": wrong,
    }


def cases() -> list[Case]:
    return [
        Case(CPU_VOCABULARY, 1, dtype, setting, kind, outputs)
        for outputs in ("logprobs", "reference")
        for setting, kind in MEASURED
        for dtype in DTYPES
    ]


def measure(rounds: int) -> Results:
    torch.set_num_threads(1)
    operators.load(None, with_cuda=False)
    stolen = machine.StolenTime()
    cells = [measure_cell(case, machine.last_level_cache(), rounds) for case in cases()]
    from fire_sampling import _native

    return {
        "machine": machine.describe(),
        "instruction_set": _native.build_info()["instruction_set"],
        "load": Path("/proc/loadavg").read_text().split()[0],
        "stolen_percent": stolen.percent(),
        "settings": {name: str(SETTINGS[name]) for name, _ in MEASURED},
        "cells": cells,
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


def page_part(run: Results) -> str:
    """The table, and what it was measured on."""
    measured_on, calls = run["machine"], run["cells"][0]["results"][OURS]["calls"]
    return (
        f"{table(run)}\n\n{measured_on['name']}, {run['instruction_set']}; {measured_on['date']}. Medians of "
        f"{calls} calls on a machine that others used: a load of {run['load']} on "
        f"{measured_on['facts']['cores']} cores."
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("--rounds", type=int, default=300, help="calls of each kind a cell; %(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: bench/results/supports/cpu.json")
    options = parser.parse_args()
    if options.show:
        run = json.loads(options.out.read_text())
        print(page_part(run))
        if options.out == RESULTS:
            name, program = PLACE
            write_between_markers(DOCUMENT, name, page_part(run), program)
        return 0
    run = measure(options.rounds)
    results_file.write(options.out, run)
    print(table(run))
    told = [f"missed: {one}" for one in missed(run)]
    wrong = sum(cell["wrong"] for cell in run["cells"])
    print("\n".join([*told, f"{wrong} wrong supports: {options.out}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
