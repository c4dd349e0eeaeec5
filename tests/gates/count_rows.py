"""Counts what a row issues, and asks the latency model how long batches take, for bench/predict.py:

python tests/gates/count_rows.py --build build/tests          prints the table
python tests/gates/count_rows.py --build build/tests --write  and puts it into row_work.json
python tests/gates/count_rows.py --build build/tests --write --setting "p=0.9" --rows 16 24
                                                              these rows of that setting's cells
python tests/gates/count_rows.py --build build/tests --check  fails where row_work.json differs, in some cells
python tests/gates/count_rows.py --build build/tests --chain "k=50 p=0.9" --kind "masked to 20" --rows 1 512
                                                              prints the model's phases, and a line of a table
python tests/gates/count_rows.py --build build/tests --chain "p=0.9" --warp 12
                                                              and when that warp issues what

The build folder is CMake's, with the tests and the CUDA backend (`make build-tests`); it is brought up to
date first. Needs torch, no GPU. All cells take two minutes of CPU time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import row_work


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    counter = parser.add_mutually_exclusive_group(required=True)
    counter.add_argument("--build", type=Path, help="a CMake build folder of the tests")
    counter.add_argument("--program", type=Path, help="the program run_row, built")
    parser.add_argument(
        "--write", action="store_true", help=f"put what is counted into {row_work.TABLE.name}"
    )
    parser.add_argument("--check", action="store_true", help=f"fail where {row_work.TABLE.name} differs")
    parser.add_argument("--chain", choices=row_work.FILTERS, metavar="SETTING", help="of one cell, by phase")
    parser.add_argument("--task", default="token", help="of run_row.cpp; with --chain, as the next ones")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--kind", default="peaked", help="of row")
    parser.add_argument("--warp", type=int, help="of the leading block, with --chain: told by instruction")
    parser.add_argument("--setting", choices=row_work.FILTERS, help="without --chain: of its cells alone")
    parser.add_argument("--rows", type=int, nargs="+")
    chosen = parser.parse_args()
    if chosen.write and not {*(chosen.rows or ())} <= {*row_work.ROWS}:
        parser.error(f"{row_work.TABLE.name} has rows {row_work.ROWS}")
    program = chosen.program or row_work.program_of(chosen.build)
    if chosen.chain:
        cell = row_work.Cell(chosen.chain, chosen.task, chosen.dtype, chosen.kind)
        watched = () if chosen.warp is None else (f"--warp={chosen.warp}",)
        print(row_work.run(program, cell, chosen.rows or [1], "--chain", *watched), end="")
        return 0
    cells = {
        cell: chosen.rows or rows
        for cell, rows in row_work.EVERYTHING.items()
        if chosen.setting in (None, cell.setting)
    }
    works = row_work.count(program, row_work.QUICK if chosen.check else cells)
    print(row_work.table_text(works), end="")
    if chosen.write:
        row_work.write_table(works)
    if chosen.check and not set(works) <= set(row_work.read_table()):
        print(f"{row_work.TABLE.name} differs: python bench/predict.py --build build/tests --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
