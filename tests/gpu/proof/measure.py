"""The stages that measure: first what the design of the kernels had to assume, then the kernels."""

from __future__ import annotations

import json
import sys
import time

from .context import ROOT, Context, json_lines_of, leave, run, seconds_left, tool
from .environment import gpu_now

# The programs' own names; docs/kernels.md says what hangs on each.
UNKNOWNS = ("cluster-barrier", "dsmem", "shared-atomics", "read-bandwidth", "instructions", "launch")


def unknown(context: Context, name: str) -> None:
    rehearse = ["--rehearse"] if context.dry_run else []
    results = json_lines_of([context.program("measure"), name, *rehearse])
    leave({"results": results, **_clocks(context)})


def kernels(context: Context) -> None:
    """The operators, timed; a cell that time does not reach is absent, and that is a failure."""
    begin = time.monotonic()
    path = context.work / "results" / "kernels-cells.json"
    path.unlink(missing_ok=True)
    command = [
        sys.executable,
        ROOT / "bench" / "kernels.py",
        "--operators",
        context.operators(),
        "--json",
        path,
    ]
    command += ["--rehearse"] if context.dry_run else ["--limit-s", f"{seconds_left(begin) - 5:.0f}"]
    try:
        run(command)
    finally:
        if path.exists():
            leave({**json.loads(path.read_text()), **_clocks(context)})


def profile(context: Context) -> None:
    """Nsight Compute over a few launches, where it is installed and allowed to count."""
    program = tool("ncu")
    if context.dry_run:
        leave({"program": program})
        return
    report = context.out / "ncu.txt"
    options = ["--clock-control", "none", "--launch-count", "12", "--log-file", report]
    options += ["--kernel-name-base", "demangled", "--kernel-name", "regex:fire"]
    for section in ("SpeedOfLight", "Occupancy", "LaunchStats"):
        options += ["--section", section]
    run([program, *options, *_bench(context), "--once"])
    leave({"report": report.name})


def _bench(context: Context) -> list[object]:
    return [sys.executable, ROOT / "bench" / "kernels.py", "--operators", context.operators()]


def _clocks(context: Context) -> dict[str, object]:
    """The clocks just after the work, which say whether the GPU was held back."""
    if context.dry_run:
        return {}
    now = gpu_now()
    return {"gpu_after": {name: now[name] for name in ("clocks.sm", "clocks.mem", "temperature.gpu")}}
