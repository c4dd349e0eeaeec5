#!/usr/bin/env python3
"""The CPU benchmark: fire-sampling beside real samplers, in one interleaved run (see bench/README.md).

python bench/cpu.py                         the default cells: within 10 minutes on 2 cores
python bench/cpu.py --full                  every cell
python bench/cpu.py --report RESULTS.json   print an earlier run; --write-docs puts it into docs/
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
from harness import extras, machine
from harness.cases import DTYPES, PLACES, ROWS, SETTINGS, VOCABULARIES, Selection, by_pool
from harness.report import Report, write_between_markers
from harness.session import INSTRUCTION_SETS, Remote, Session

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "images" / "cpu_benchmark.png"
SECTIONS = ("calls", "cells", "threads", "memory")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--full", action="store_true", help="every cell: all shapes, and every setting on flat rows too"
    )
    parser.add_argument(
        "--isa", default="", help="all, or a list of baseline, avx2, avx512; the machine's best and avx2"
    )
    parser.add_argument("--peers", default=",".join(peers.PEERS), help="default: %(default)s")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="default: %(default)s")
    parser.add_argument("--vocabularies", default="", help=f"of {VOCABULARIES}, or any other")
    parser.add_argument("--dtypes", default="", help=f"of {DTYPES}")
    parser.add_argument("--settings", default="", help=f"of {tuple(SETTINGS)}")
    parser.add_argument("--rows", default="", help=f"of {ROWS}")
    parser.add_argument("--places", default="", help=f"of {PLACES}")
    parser.add_argument("--budget", type=float, default=0.15, help="seconds of timing per contender and cell")
    parser.add_argument("--out", type=Path, help="default: bench/results/cpu.json")
    parser.add_argument("--report", type=Path, metavar="RESULTS.json", help="measure nothing, print this run")
    parser.add_argument(
        "--write-docs", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} and its picture"
    )
    return parser.parse_args(arguments)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def selection_of(options: argparse.Namespace) -> Selection:
    """The chosen cells. ValueError: a name that the table does not have."""
    for field, chosen, known in (
        ("--dtypes", _list(options.dtypes), DTYPES),
        ("--settings", _list(options.settings), tuple(SETTINGS)),
        ("--places", _list(options.places), PLACES),
        ("--peers", _list(options.peers), peers.PEERS),
        ("--sections", _list(options.sections), SECTIONS),
    ):
        for name in chosen:
            if name not in known:
                raise ValueError(f"{field}: got {name!r}, expected of {known}")
    return Selection(
        vocabularies=tuple(map(int, _list(options.vocabularies))),
        dtypes=_list(options.dtypes),
        settings=_list(options.settings),
        rows=tuple(map(int, _list(options.rows))),
        places=_list(options.places),
        full=options.full,
    )


def instruction_sets(asked: str, folder: Path) -> list[str]:
    """Those to measure, the best first: by default the machine's best and avx2."""
    probe = Remote({"FIRE_CPU": ""}, "baseline", folder, 0)
    best = probe.ask("instruction_set")
    probe.close()
    here = INSTRUCTION_SETS[: INSTRUCTION_SETS.index(best) + 1]
    wanted = here if asked == "all" else _list(asked) or (best, "avx2")
    unknown = set(wanted) - set(here)
    if unknown and asked:
        raise ValueError(f"--isa: got {', '.join(sorted(unknown))}, expected of {', '.join(here)}")
    return [name for name in reversed(here) if name in wanted]


def measure(options: argparse.Namespace, save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Runs what the options choose; saves what there is after every cell, for a full run takes an hour."""
    selection, sections, begin = selection_of(options), _list(options.sections), time.monotonic()
    cache_bytes = machine.last_level_cache()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = instruction_sets(options.isa, folder)
        session = Session(folder, cache_bytes, sets, list(_list(options.peers)), options.budget)
        run: dict[str, Any] = {
            "machine": machine.describe(),
            "instruction_sets": sets,
            "cache_bytes": cache_bytes,
            "budget_seconds": options.budget,
            "left_out": session.left_out,
            "ours": _notes(list(peers.OURS)),
            "contenders": _notes([name for name in _list(options.peers) if name not in session.left_out]),
            "calls": [],
            "packs": [],
            "cells": [],
            "threads": [],
            "memory": [],
        }
        if "calls" in sections:
            run["calls"], run["packs"] = extras.call_costs(session, selection)
        if "cells" in sections:
            cases = selection.cases(cache_bytes)
            for pool, group in by_pool(cases).items():
                session.use_pool(pool)
                for case in group:
                    print(
                        f"{len(run['cells']) + 1}/{len(cases)} {time.monotonic() - begin:.0f} s: {case}",
                        file=sys.stderr,
                    )
                    run["cells"].append(session.measure(case))
                    save(run)
        if "threads" in sections:
            for pool, group in by_pool(extras.thread_cases(selection)).items():
                session.use_pool(pool)
                run["threads"] += [extras.threads(session, case) for case in group]
        if "memory" in sections:
            run["memory"] = list(extras.memory(session, selection))
        session.close()
    run["seconds"] = round(time.monotonic() - begin)
    return run


def _notes(names: list[str]) -> dict[str, dict[str, str]]:
    return {name: {"title": peers.load(name).title, "notes": peers.load(name).notes} for name in names}


def main() -> int:
    options = parse_arguments()
    if options.report:
        run = json.loads(options.report.read_text())
    else:
        out = options.out or ROOT / "bench" / "results" / "cpu.json"
        out.parent.mkdir(parents=True, exist_ok=True)

        def save(run: dict[str, Any]) -> None:
            out.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")

        run = measure(options, save)
        save(run)
    report = Report(run)
    print(report.render())
    if options.write_docs:
        from harness.picture import draw

        draw(run, PICTURE)
        write_between_markers(DOCUMENT, Report(run, markdown=True).render())
    return 1 if report.wrong_tokens() else 0


if __name__ == "__main__":
    sys.exit(main())
