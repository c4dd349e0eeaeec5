"""Times fire-sampling beside the samplers that people use on a GPU, and checks every token that it timed.

python bench/kernels.py                              the default cells, within 4 minutes
python bench/kernels.py --full --out FILE            every cell: hours
python bench/kernels.py --goals                      ours alone, where goals are set
python bench/kernels.py --rehearse                   without a GPU: the same calls on short rows, and no times

bench/README.md says how it measures; bench/report.py shows the results.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import torch
from contenders import COPY, GPU, OURS, load
from contenders.compiled import Compiled
from harness import axes, loops, machine, operators, results_file, trace, tracing
from harness.cases import (
    GPU_DEFAULT,
    GPU_FULL,
    GPU_GOALS,
    REHEARSED,
    REHEARSED_VOCABULARY,
    ROWS,
    Case,
    GpuSlice,
    Slice,
    call_cases,
    cases_of,
)
from harness.device import GpuSession, clocks_of
from harness.goals import promises
from harness.schema import LAUNCHES, SCHEMA, Machine, Run
from harness.settings import SETTINGS
from views.kernels_table import kernels_table
from views.results import Results

LIMIT_S = 240.0
COMPILING_S = 120
REHEARSED_CACHE = 1 << 16


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = found.add_mutually_exclusive_group()
    chosen.add_argument("--full", action="store_true", help="every cell")
    chosen.add_argument("--goals", action="store_true", help="the cells that have goals, ours and the limit")
    found.add_argument("--rehearse", action="store_true", help="on the CPU, on short rows; no times")
    found.add_argument("--contenders", nargs="+", choices=GPU, help="just these")
    axes.add(found)
    found.add_argument(
        "--limit-s", type=float, help=f"ends the run after it ({LIMIT_S:.0f}; none if full or rehearsed)"
    )
    found.add_argument("--out", type=Path, help="results file, rewritten after every cell")
    found.add_argument("--operators", type=Path, help="folder of the operators' objects")
    found.add_argument(
        "--calls", type=int, metavar="N", help="N calls of each in named ranges, for a profiler"
    )
    found.add_argument("--profile", type=Path, help="FILE.json and FILE.md: the kernels of those, by torch")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    begin = time.monotonic()
    chosen = parser().parse_args(arguments)
    device = torch.device("cpu" if chosen.rehearse else "cuda:0")
    try:
        wanted = slices(chosen)
    except ValueError as error:
        parser().error(str(error))
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("bench/kernels.py: torch sees no GPU; --rehearse makes the same calls on the CPU")
    if chosen.full or chosen.settings:
        Compiled.settings = None
    operators.load(chosen.operators, with_cuda=device.type == "cuda")
    cache = (
        torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else REHEARSED_CACHE
    )
    names = chosen.contenders or ([OURS, COPY] if chosen.goals else list(GPU))
    session = GpuSession(device, cache, clocks_of(device), load, names)
    cells = cases_of(wanted, cache)
    if chosen.calls or chosen.profile:
        return watch(session, cells, chosen.calls, chosen.profile)
    settings = axes.listed(chosen.settings) or tuple(SETTINGS)
    calls = [] if chosen.goals else call_cases(settings, launches=LAUNCHES)
    if device.type == "cuda":
        compile_ahead(session, cells, chosen.operators)
    limit_s = chosen.limit_s or (float("inf") if chosen.full or chosen.rehearse else LIMIT_S)
    run = measure(session, cells, calls, begin + limit_s, chosen.out)
    print(kernels_table(run))
    wrong = Results(cast(Run, run)).wrong()
    missed = len(cells) + len(calls) - len(run["cells"]) - len(run["calls"])
    for name, why in run["left_out"].items():
        print(f"left out: {name}: {why}")
    print(f"{len(run['cells'])} cells, {missed} not reached, {wrong} wrong tokens, {run['seconds']} s")
    return 1 if wrong or OURS in run["left_out"] or (chosen.goals and missed) else 0


def compile_ahead(session: GpuSession, cells: Sequence[Case], folder: Path | None) -> None:
    """Lets contenders that compile fill their caches on the disk, each setting in a process of its own: on
    the many cores of a GPU's host that takes as long as one of them would.
    """
    wanted = dict.fromkeys(
        (name, cell.setting, cell.dtype) for cell in cells for name in session.that_compile(cell)
    )
    place = [] if folder is None else ["--operators", str(folder)]

    def compile_one(key: tuple[str, str, str]) -> None:
        name, setting, dtype = key
        axes = ["--contenders", name, "--settings", setting, "--dtypes", dtype, "--rows", *map(str, ROWS)]
        words = [sys.executable, __file__, *axes, "--kinds", "peaked", "--calls", "1", *place]
        # What goes wrong here goes wrong again where it is reported.
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=COMPILING_S)

    with ThreadPoolExecutor(max_workers=max(1, len(os.sched_getaffinity(0)) - 1)) as pool:
        for done in [pool.submit(compile_one, key) for key in wanted]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                done.result()


def watch(session: GpuSession, cells: list[Case], count: int | None, table: Path | None) -> int:
    """A few calls of every cell in ranges that profilers see; with torch's own profiler, a table of them."""
    if table is None:
        tracing.call_all(session, cells, count or tracing.CALLS)
        return 0
    lines = tracing.profile(session, cells, count or tracing.CALLS)
    table.parent.mkdir(parents=True, exist_ok=True)
    table.with_suffix(".json").write_text(json.dumps(trace.as_json(lines), indent=1) + "\n")
    table.with_suffix(".md").write_text(trace.markdown(lines))
    print(f"{len(lines)} lines: {table.with_suffix('.md')}")
    return 0 if lines or session.device.type != "cuda" else 1


def slices(chosen: argparse.Namespace) -> Sequence[Slice]:
    """The run's own cells; where axes are named, the product of those and a default for the others."""
    named = axes.chosen(chosen)
    if not named:
        whole = GPU_FULL if chosen.full else GPU_GOALS if chosen.goals else GPU_DEFAULT
        return REHEARSED if chosen.rehearse else whole
    if chosen.rehearse:
        named = {"vocabularies": (REHEARSED_VOCABULARY,), "rows": (1, 8)} | named
    return [GpuSlice(**named)]


def measure(
    session: GpuSession, cells: list[Case], calls: list[Case], end: float, out: Path | None
) -> dict[str, Any]:
    """A Run, until time.monotonic() is `end`."""
    begin = time.monotonic()
    run: dict[str, Any] = {
        "schema": SCHEMA,
        "device": "cuda",
        "machine": described_machine(session.device),
        "about": about(session),
        "settings": {name: str(SETTINGS[name]) for name in SETTINGS},
        "contenders": {},
        "left_out": session.left_out,
        "cells": [],
        "calls": [],
    }
    for section, wanted in (("calls", calls), ("cells", cells)):
        for shape, group in itertools.groupby(wanted, key=lambda cell: (cell.vocabulary, cell.dtype)):
            together = list(group)
            same_pools = [cell for cell in wanted if (cell.vocabulary, cell.dtype) == shape]
            if time.monotonic() > end:
                break
            session.use(same_pools)
            for cell in together:
                if time.monotonic() > end:
                    break
                found = session.measure(cell)
                run[section].append({**found, **promises(cell)})
                save(run, session, begin, out)
    add_roofline(run)
    save(run, session, begin, out)
    return run


def described_machine(device: torch.device) -> Machine:
    found = machine.describe(cuda=device.type == "cuda")
    return found if device.type == "cuda" else {**found, "name": "no GPU: a rehearsal"}


def add_roofline(run: dict[str, Any]) -> None:
    """Where the largest batches stand under what the device copies and issues."""
    ghz = machine.highest_ghz(run["machine"]["facts"])
    if ghz is not None:
        run["loops"] = loops.gpu_loops(run)
        run["roofs"] = loops.gpu_roofs(run, int(run["machine"]["facts"]["multiprocessors"]), ghz)


def about(session: GpuSession) -> list[str]:
    if session.device.type != "cuda":
        return ["A rehearsal: the calls were made on a CPU, on short rows, and nothing was timed."]
    return [
        "One call takes model logits and returns tokens on the device. Graph: calls captured in one CUDA "
        "graph, its replays timed by events. Eager: calls from Python, until the device is done.",
        "Out of cache: each call of a turn reads other logits, and twice the cache is read before each turn. "
        "In cache: the same batch again and again.",
        "Peak memory is what torch's allocator gave out within one call, its results included.",
        *(f"{name} is not in: {'; '.join(sorted(why))}." for name, why in sorted(session.refusals.items())),
        *(f"{name} failed in {'; '.join(why)}." for name, why in sorted(session.failures.items())),
    ]


def save(run: dict[str, Any], session: GpuSession, begin: float, out: Path | None) -> None:
    measured = {name for cell in (*run["cells"], *run["calls"]) for name in cell["results"]}
    run["contenders"] = {name: described(name) for name in GPU if name in measured}
    run["about"] = about(session)
    run["seconds"] = round(time.monotonic() - begin)
    if out is not None:
        results_file.write(out, run)


def described(name: str) -> dict[str, str]:
    adapter = load(name)
    limit = {"limit": COPY} if adapter.role == "ours" else {}
    return {"title": adapter.title, "notes": adapter.notes, "role": adapter.role, **limit}


if __name__ == "__main__":
    sys.exit(main())
