"""Counts what a row costs the kernels outside their loops over the row, for bench/predict.py:

python tests/gates/count_rows.py --build build/tests          prints the table
python tests/gates/count_rows.py --build build/tests --write  and replaces row_work.json by it
python tests/gates/count_rows.py --build build/tests --check  fails where row_work.json differs from it

The build folder is CMake's, with the tests and the CUDA backend (`make build-tests`); it is brought up to
date first. Needs torch, no GPU.
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
    parser.add_argument("--write", action="store_true", help=f"replace {row_work.TABLE.name}")
    parser.add_argument("--check", action="store_true", help=f"fail where {row_work.TABLE.name} differs")
    chosen = parser.parse_args()
    text = row_work.table_text(row_work.count(chosen.program or row_work.program_of(chosen.build)))
    print(text, end="")
    if chosen.write:
        row_work.TABLE.write_text(text)
    if chosen.check and text != row_work.TABLE.read_text():
        print(f"{row_work.TABLE.name} differs: python bench/predict.py --build build/tests --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
