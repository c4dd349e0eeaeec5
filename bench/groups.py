#!/usr/bin/env python3
"""A group of tokens from one row beside what it replaces, in one interleaved run (see bench/README.md).

python bench/groups.py            measures, within two minutes, and prints the table of docs/benchmarks.md
python bench/groups.py --show     prints the table of the committed results, and puts it on that page
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
from harness.records import ALWAYS, records
from harness.rows import Rotation, make_pool
from harness.settings import SETTINGS
from harness.summary import Summary
from torch import Tensor
from views.text import markdown_table, microseconds, ratio, write_between_markers

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "groups" / "cpu.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLACE = (str(RESULTS.relative_to(ROOT)), "bench/groups.py")  # of its markers
SIZE = 16
DESIGN = 2  # stratified: it takes the most random numbers
MEASURED = ("k=50 p=0.9", "hot T=30 k=16", "no filter")
# The most that a group may cost, as multiples of one sample of its row.
GOALS = {"k=50 p=0.9": 1.3, "hot T=30 k=16": 1.3, "no filter": 2.0}
_HOT_BEGIN, _HOT_STEPS, _FLAGS, _GROUP = 8, 9, 10, 15  # words of a record (docs/semantics.md)

Results = dict[str, Any]
Call = Callable[[Tensor], Any]


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
    """Times the calls in random order, each on the next row of a rotation, and checks the group's tokens.

    Time is the thread's own on its processor, which no other process lengthens by taking turns.
    """
    rotation, calls, order = (
        Rotation(case, make_pool([case], cache_bytes)),
        calls_of(case, size),
        random.Random(1),
    )
    times: dict[str, list[int]] = {name: [] for name in calls}
    drawn: list[tuple[int, Any]] = []
    for turn in range(rounds + 3):
        for name in order.sample(list(calls), len(calls)):
            batch = rotation.take()
            begin = time.thread_time_ns()
            result = calls[name](rotation.batches[batch])
            if turn >= 3:  # the first find their code cold
                times[name].append(time.thread_time_ns() - begin)
            if name == "group":
                drawn.append((batch, result))
    wrong = sum(
        int((tokens(group).view(-1) != tokens(calls["samples"](rotation.batches[batch]))).sum())
        for batch, group in drawn
    )
    return {
        **case.as_dict(),
        "size": size,
        "results": {name: asdict(Summary.of_nanoseconds(found)) for name, found in times.items()},
        "checked": len(drawn) * size,
        "wrong": wrong,
    }


def cases() -> list[Case]:
    return [
        Case(CPU_VOCABULARY, 1, dtype, setting, outputs=outputs)
        for outputs in ("token", "reference")
        for setting in MEASURED
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
        "load": _load(),
        "stolen_percent": stolen.percent(),
        "settings": {name: str(SETTINGS[name]) for name in MEASURED},
        "cells": cells,
    }


def _load() -> str:
    """Processes that wanted to run in the last minute, ours among them: the reader's measure of trust."""
    return Path("/proc/loadavg").read_text().split()[0]


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


def page_part(run: Results) -> str:
    """The table, and what it was measured on."""
    measured_on, calls = run["machine"], run["cells"][0]["results"]["group"]["calls"]
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
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: bench/results/groups/cpu.json")
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
    print("\n".join([*told, f"{wrong} wrong draws: {options.out}"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
