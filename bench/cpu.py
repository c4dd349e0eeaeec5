#!/usr/bin/env python3
"""The CPU benchmark: fire-sampling beside real samplers, in one interleaved run (see bench/README.md).

python bench/cpu.py                          the default cells: within 10 minutes on 2 cores
python bench/cpu.py --full                   every vocabulary, kind of logits and size of batch: many hours
python bench/cpu.py --rows 1,256 --settings mixed,greedy    these; an axis not named keeps its usual value
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import contenders
from harness import axes, extras, loops, machine, results_file
from harness.cases import DEFAULT, FULL, Slice, by_pool, cases_of, pool_of
from harness.processes import INSTRUCTION_SETS, CpuSession, Remote
from harness.rows import ROTATION
from harness.schema import SCHEMA, Run, check
from harness.settings import SETTINGS
from views.results import Results

RESULTS = Path(__file__).resolve().parent / "results" / "cpu.json"
SECTIONS = ("calls", "cells", "threads", "memory")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all slices of harness/cases.py")
    axes.add(parser, without=("launches",))
    parser.add_argument(
        "--isa", default="", help="all, or a list of baseline, avx2, avx512; the machine's best and avx2"
    )
    parser.add_argument("--peers", default=",".join(contenders.CPU_PEERS), help="default: %(default)s")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="default: %(default)s")
    parser.add_argument("--budget", type=float, default=0.1, help="seconds of timing per contender and cell")
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: bench/results/cpu.json")
    return parser.parse_args(arguments)


def slices_of(options: argparse.Namespace) -> tuple[Slice, ...]:
    """The chosen cells. ValueError: a name that the table does not have."""
    chosen = axes.chosen(options)
    return (Slice(**chosen),) if chosen else FULL if options.full else DEFAULT


def instruction_sets(asked: str, folder: Path) -> list[str]:
    """Those to measure, the best first: by default the machine's best and avx2."""
    probe = Remote({"FIRE_CPU": ""}, contenders.load, "baseline", folder, 0)
    best = probe.ask("instruction_set")
    probe.close()
    here = INSTRUCTION_SETS[: INSTRUCTION_SETS.index(best) + 1]
    wanted = here if asked == "all" else axes.listed([asked]) or (best, "avx2")
    unknown = set(wanted) - set(here)
    if unknown and asked:
        raise ValueError(f"--isa: got {', '.join(sorted(unknown))}, expected of {', '.join(here)}")
    return [name for name in reversed(here) if name in wanted]


def measure(options: argparse.Namespace, save: Callable[[Run], None]) -> Run:
    """Runs what the options choose; saves what there is after every cell, for a full run takes hours."""
    slices, sections = slices_of(options), axes.names("sections", [options.sections], SECTIONS)
    peers = axes.names("peers", [options.peers], contenders.CPU_PEERS)
    settings = list(dict.fromkeys(name for one in slices for name in one.settings))
    dtypes = list(dict.fromkeys(name for one in slices for name in one.dtypes))
    begin, cache_bytes = time.monotonic(), machine.last_level_cache()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = instruction_sets(options.isa, folder)
        ours = (contenders.OURS, contenders.READ)
        session = CpuSession(folder, cache_bytes, sets, contenders.load, ours, peers, options.budget)
        run = _new_run(session, settings, cache_bytes)
        if "calls" in sections:
            run["calls"], run["packs"] = extras.call_costs(session, settings, dtypes)
        if "cells" in sections:
            cases = sorted(cases_of(slices, cache_bytes), key=pool_of)
            for group in by_pool(cases).values():
                session.use(group)
                for case in group:
                    progress = f"{len(run['cells']) + 1}/{len(cases)} {time.monotonic() - begin:.0f} s"
                    print(f"{progress}: {case}", file=sys.stderr)
                    run["cells"].append(session.measure(case))  # type: ignore[arg-type]
                    save(run)
            if loops.COUNTED_SET in sets:
                peak = session.workers[loops.COUNTED_SET].ask("instructions_per_ns")
                run["loops"], run["roofs"] = loops.loops(run), loops.roofs(run, peak)
        if "threads" in sections:
            for group in by_pool(extras.thread_cases(settings)).values():
                session.use(group)
                run["threads"] += [extras.threads(session, case) for case in group]  # type: ignore[misc]
        if "memory" in sections:
            run["memory"] = list(extras.memory(session, settings))
        session.close()
    run["seconds"] = round(time.monotonic() - begin)
    return check(run)


def _new_run(session: CpuSession, settings: Sequence[str], cache_bytes: int) -> Run:
    return {
        "schema": SCHEMA,
        "device": "cpu",
        "machine": machine.describe(),
        "about": [
            f"Out of cache: a rotation over {ROTATION} × {cache_bytes >> 20} MiB of rows.",
            "One thread unless said.",
        ],
        "settings": {name: str(SETTINGS[name]) for name in settings},
        "contenders": session.contenders(),
        "left_out": session.left_out,
        "calls": [],
        "packs": [],
        "cells": [],
        "threads": [],
        "memory": [],
    }


def main() -> int:
    options = parse_arguments()
    run = measure(options, functools.partial(results_file.write, options.out))
    results_file.write(options.out, run)
    wrong = Results(run).wrong()
    print(f"{len(run['cells'])} cells in {run['seconds']} s, {wrong} wrong draws: {options.out}")
    print(f"To read it: python bench/report.py {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
