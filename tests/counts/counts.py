"""The instructions of a sampled row, and of a shard, on a CPU, counted by callgrind: the table counts.json.

python tests/counts/counts.py PROGRAM          prints the table of row_passes, which `make build-tests` builds
python tests/counts/counts.py PROGRAM --write  and replaces tests/counts/counts.json by it

Valgrind knows no AVX-512: its row passes are the same templates, and are not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("counts.json")
INSTRUCTION_SETS = ("baseline", "avx2")
# A program repeats its count exactly; another build of the same compiler may place a few instructions anew.
SAME_COMPILER = 0.001
# Another compiler schedules as it likes. What is left to find there is a loop that lost its vectors.
OTHER_COMPILER = 0.25

Counts = dict[str, int]


def count(program: Path, instruction_set: str) -> Counts:
    """Instructions of each case of row_passes.cpp, by its name.

    Raises:
        RuntimeError: callgrind failed, or wrote another number of counts than the program has cases.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no"),
            *("--toggle-collect=CountedCall", "--dump-after=CountedCall", str(program), instruction_set),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {run.returncode}\n{run.stderr}")
        names = run.stdout.splitlines()
        dumps = [out.with_name(f"out.{number}") for number in range(1, len(names) + 1)]
        if not all(dump.exists() for dump in dumps):
            raise RuntimeError(
                f"callgrind wrote {len(list(out.parent.glob('out.*')))} counts of {len(names)} cases"
            )
        return {name: _summary(dump.read_text()) for name, dump in zip(names, dumps, strict=True)}


def _summary(dump: str) -> int:
    found = re.search(r"^summary: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise RuntimeError("a file of callgrind's has no line 'summary: N'")
    return int(found[1])


def compiler() -> str:
    """`g++ (Debian 12.2.0-14) 12.2.0` is g++ 12.2.0: a distribution's own number changes no code."""
    shown = subprocess.run(
        [os.environ.get("CXX", "g++"), "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    version = re.search(r"(\d+\.\d+\.\d+)", shown.rpartition(")")[2] or shown)
    return f"{'clang' if 'clang' in shown else 'g++'} {version[1] if version else 'unknown'}"


def measure(program: Path) -> dict[str, Any]:
    return {"compiler": compiler(), **{name: count(program, name) for name in INSTRUCTION_SETS}}


def complaints(committed: Mapping[str, int], made: Mapping[str, int], tolerance: float) -> list[str]:
    """The cases that only one table has, and those whose counts differ by more than the tolerance."""
    told = [
        f"{name}: {'not counted' if name in committed else 'not in the table'}"
        for name in committed.keys() ^ made
    ]
    for name in committed.keys() & made:
        change = made[name] / committed[name] - 1
        if abs(change) > tolerance:
            told.append(f"{name}: {made[name]:,} instructions, {change:+.2%} from {committed[name]:,}")
    return sorted(told)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path)
    parser.add_argument("--write", action="store_true", help=f"replace {TABLE.name}")
    options = parser.parse_args()
    made = json.dumps(measure(options.program), indent=1) + "\n"
    print(made, end="")
    if options.write:
        TABLE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
