#!/usr/bin/env python3
"""Which kernels run in a call, and for how long.

python bench/profile_kernels.py --out DIR [axes of bench/kernels.py …]

Makes a few calls of every chosen cell, each in a range named after its cell, three times over:

- under torch's profiler: DIR/kernels.md and kernels.json, a line for each kernel in each range. This table is
  there wherever torch sees a GPU;
- under Nsight Systems, where nsys is installed: DIR/nsys.nsys-rep to open, DIR/nsys_*.csv with the same;
- under Nsight Compute, with --ncu, where it is installed and may count: DIR/ncu.txt.

The GPU's clocks are left alone: ncu runs with --clock-control none. A tool that is missing or fails is said,
and is no failure; the exit status is 1 where torch's table is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BENCH = Path(__file__).resolve().parent / "kernels.py"
REPORTS = ("nvtx_kern_sum", "nvtx_gpu_proj_sum", "cuda_gpu_kern_sum", "cuda_gpu_trace")
SECTIONS = ("SpeedOfLight", "MemoryWorkloadAnalysis", "Occupancy", "LaunchStats", "WarpStateStats")
MOST_LAUNCHES = 24  # that ncu looks at: it replays each many times. Two a cell: one belongs to no range
TOOL_S = 240


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and reports")
    parser.add_argument("--ncu", action="store_true", help="Nsight Compute too")
    parser.add_argument("--no-nsys", action="store_true", help="torch's profiler alone")
    chosen, axes = parser.parse_known_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    table = [sys.executable, str(BENCH), *axes, "--profile", str(chosen.out / "kernels.json")]
    calls = [sys.executable, str(BENCH), *axes, "--calls"]  # and how many
    code = subprocess.run(table).returncode
    if not chosen.no_nsys:
        print(nsys(chosen.out, calls))
    if chosen.ncu:
        print(ncu(chosen.out, calls))
    return 1 if code else 0


def nsys(out: Path, calls: list[str]) -> str:
    """Runs the calls under nsys, and exports what it can; a sentence on what came of it."""
    program = find("nsys")
    if program is None:
        return "nsys is not installed; kernels.md has the table"
    report = out / "nsys.nsys-rep"
    words = [program, "profile", "--trace=cuda,nvtx", "--force-overwrite=true", f"--output={out / 'nsys'}"]
    failure = run([*words, *calls, "5"])
    if failure or not report.exists():
        return f"nsys made no report ({failure or 'it left none'}); kernels.md has the table"
    words = [program, "stats", "--format=csv", "--force-export=true", f"--output={out / 'nsys'}"]
    failure = run([*words, *(f"--report={name}" for name in REPORTS), str(report)])
    if failure:
        return f"{report} is there, and could not be exported ({failure}); kernels.md has the table"
    return f"{report} and {len(list(out.glob('nsys_*.csv')))} tables from it"


def ncu(out: Path, calls: list[str]) -> str:
    """Counters of the kernels of fire-sampling; other people's are left out."""
    program = find("ncu")
    if program is None:
        return "ncu is not installed"
    text = out / "ncu.txt"
    words = [program, "--clock-control", "none", "--nvtx", "--launch-count", str(MOST_LAUNCHES)]
    words += ["--kernel-name-base", "demangled", "--kernel-name", "regex:fire::kernels"]
    words += ["--log-file", str(text)]
    for section in SECTIONS:
        words += ["--section", section]
    failure = run([*words, *calls, "1", "--contenders", "fire"])
    return f"ncu failed ({failure})" if failure else str(text)


def find(name: str) -> str | None:
    """On PATH, or where toolkits install it."""
    folders = [os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    folders += sorted(map(str, Path("/opt/nvidia").glob("nsight-*/*/")), reverse=True)
    folders += sorted(map(str, Path("/opt/nvidia").glob("nsight-*/*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join(folders))


def run(words: list[str]) -> str:
    """Empty where it went well, else what went wrong."""
    try:
        code = subprocess.run(words, timeout=TOOL_S).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if code == 0 else f"exit status {code}"


if __name__ == "__main__":
    sys.exit(main())
