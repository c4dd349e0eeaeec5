"""The stages that measure: first what the design of the kernels had to assume, then the kernels."""

from __future__ import annotations

import json
import sys
import time

from .context import ROOT, Context, json_lines_of, leave, run, seconds_left
from .environment import gpu_now

BENCH = ROOT / "bench" / "kernels.py"
REHEARSED = ["--rehearse"]
PROFILED = [
    "--settings",
    "k=50 p=0.9",
    "no filter",
    "--outputs",
    "token",
    "reference",
    "--rows",
    "1",
    "64",
    "512",
]
# The programs' own names; docs/kernels.md says what hangs on each.
UNKNOWNS = ("cluster-barrier", "dsmem", "shared-atomics", "read-bandwidth", "instructions", "launch")


def unknown(context: Context, name: str) -> None:
    rehearse = ["--rehearse"] if context.dry_run else []
    results = json_lines_of([context.program("measure"), name, *rehearse])
    leave({"results": results, **_clocks(context)})


def kernels(context: Context) -> None:
    """The operators, timed where they have goals; a cell that time does not reach is a failure."""
    begin = time.monotonic()
    path = context.work / "results" / "kernels-cells.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, BENCH, "--goals", "--operators", context.operators(), "--out", path]
    command += REHEARSED if context.dry_run else ["--limit-s", f"{seconds_left(begin) - 5:.0f}"]
    try:
        run(command)
    finally:
        if path.exists():
            leave({**json.loads(path.read_text()), **_clocks(context)})


def profile(context: Context) -> None:
    """The kernels of some cells of each regime: by torch's profiler and, where it may count, by ncu."""
    axes = [*PROFILED, "--contenders", "fire", "--operators", context.operators()]
    axes += REHEARSED if context.dry_run else []
    run(
        [
            sys.executable,
            ROOT / "bench" / "profile_kernels.py",
            "--out",
            context.out,
            "--no-nsys",
            "--ncu",
            *axes,
        ]
    )
    leave({"files": sorted(path.name for path in context.out.glob("*") if path.suffix != ".json")})


def _clocks(context: Context) -> dict[str, object]:
    """The clocks just after the work, which say whether the GPU was held back."""
    if context.dry_run:
        return {}
    now = gpu_now()
    return {"gpu_after": {name: now[name] for name in ("clocks.sm", "clocks.mem", "temperature.gpu")}}
