"""The command line of `tests/gpu/prove`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from . import stages
from .context import ROOT, Context, MissingToolError, StageError, leave, unpack_shipped
from .report import Report
from .runner import MISSING_TOOL_EXIT, Runner, Stage

TOTAL_S = 530.0
REHEARSAL_S = 7200.0  # its device is interpreted, on however few cores: nothing is learnt from a limit


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests/gpu/prove",
        description="Builds fire-sampling for the GPU of this machine, proves it there and measures it.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for report.json, log.txt and table.md"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build/gpu-proof", help="folder to build in")
    parser.add_argument(
        "--pack", type=Path, default=ROOT / "build/gpu-pack", help="what tests/gpu/pack wrote"
    )
    parser.add_argument("--dry-run", action="store_true", help="rehearse on the simulated device")
    parser.add_argument(
        "--total-s",
        type=float,
        help=f"seconds for everything ({TOTAL_S:.0f}; of a rehearsal {REHEARSAL_S:.0f})",
    )
    parser.add_argument("--only", nargs="+", metavar="STAGE", choices=stages.names(), help="just these")
    parser.add_argument(
        "--stage", choices=stages.names(), help="run one stage in this process, for debugging"
    )
    chosen = parser.parse_args(arguments)
    context = Context(
        out=chosen.out.resolve(),
        work=chosen.work.resolve(),
        pack=chosen.pack.resolve(),
        dry_run=chosen.dry_run,
    )
    unpack_shipped(context)
    if chosen.stage is not None:
        return run_stage(chosen.stage, context)
    return run_all(context, chosen.total_s or (REHEARSAL_S if context.dry_run else TOTAL_S), chosen.only)


def run_stage(name: str, context: Context) -> int:
    """What each process of a run does."""
    try:
        stages.definition(name).function(context)
    except MissingToolError as missing:
        leave({"reason": str(missing)})
        return MISSING_TOOL_EXIT if stages.definition(name).may_lack_tool else 1
    except StageError as failure:
        print(failure, flush=True)
        leave({**failure.found, "reason": str(failure)})
        return 1
    return 0


def run_all(context: Context, total_s: float, only: Sequence[str] | None) -> int:
    # So that a run which is told to end takes the stage that runs along.
    signal.signal(signal.SIGTERM, _exit)
    chosen = [stage for stage in stages.DEFINITIONS if only is None or stage.name in only]
    names = [stage.name for stage in chosen]
    report = Report(context.out / "report.json", names, rehearsal=context.dry_run)
    runner = Runner(report, context.out / "log.txt", context.work / "results", total_s)
    passed = runner.run([_as_run(stage, context, names, total_s) for stage in chosen])
    table = context.out / "table.md"
    if table.exists() and "table" in names:
        print(table.read_text())
    print(f"{'PASSED' if passed else 'FAILED'} after {runner.seconds():.0f} s: {report.path}")
    return 0 if passed else 1


def _as_run(stage: stages.Definition, context: Context, names: Sequence[str], total_s: float) -> Stage:
    command = [
        sys.executable,
        str(Path(__file__).resolve().parents[1] / "prove"),
        *("--stage", stage.name, "--out", str(context.out), "--work", str(context.work)),
        *("--pack", str(context.pack), *(["--dry-run"] if context.dry_run else [])),
    ]
    return Stage(
        name=stage.name,
        command=command,
        limit_s=total_s if context.dry_run else stage.limit_s,
        expected_s=stage.expected_s,
        needs=[name for name in stage.needs if name in names],
        optional=stage.optional,
    )


def _exit(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
