"""What a row costs a kernel outside its loops over the row: the table row_work.json, and how it is counted.

A count runs the kernels on the tests' simulated device (tests/simulator), one row by the launch that a
batch gets; of several rows, the one whose busiest block does the median work speaks for all. Loops that read
vectors in groups are left out: what an iteration of those costs is counted in machine code
(tests/gates/resources.json).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from .cells import DTYPES, ROWS, SETTINGS, VOCABULARY, Setting, logits, records

TABLE = Path(__file__).parents[1] / "row_work.json"
COUNTED = ("k50 p.9", "none", "top-p .9", "k50 p.9 + reference")  # settings
SAMPLES = 5  # rows
GROUP = 2  # 16-byte loads of an iteration: a loop with so many reads the row
WARP = 32
VECTOR_BYTES = 16


@dataclass(frozen=True)
class Work:
    """Warp instructions of a row outside the loops that read it, and barriers. They are of PTX, of which
    ptxas makes as many machine instructions, within 5 %.
    """

    setting: str
    dtype: str
    rows: tuple[int, ...]  # numbers of rows whose launch does this work for each
    cluster: int  # blocks of a row
    busiest: int  # instructions of the block that has the most to do
    all: int  # of all blocks
    block_barriers: int  # of the busiest block
    cluster_barriers: int
    readings: float  # of the row, by the loops left out


def read_table() -> list[Work]:
    return [Work(**{**row, "rows": tuple(row["rows"])}) for row in json.loads(TABLE.read_text())]


def table_text(works: Sequence[Work]) -> str:
    """JSON with a line for each row, so that differences can be read."""
    return "[\n " + ",\n ".join(json.dumps(asdict(work)) for work in works) + "\n]\n"


def program_of(build: Path) -> Path:
    """Builds what counts, where it is not up to date. `build` is a CMake build folder of the tests."""
    subprocess.run(["cmake", "--build", str(build), "--target", "run_row"], check=True)
    return build.resolve() / "tests" / "gates" / "run_row"


def count(program: Path) -> list[Work]:
    """Of every setting and dtype, for every number of rows of the benchmark."""
    return [
        work
        for dtype in DTYPES
        for setting in SETTINGS
        if setting.name in COUNTED
        for work in _count_setting(program, setting, dtype)
    ]


def _count_setting(program: Path, setting: Setting, dtype: str) -> list[Work]:
    samples = logits(SAMPLES, VOCABULARY, DTYPES[dtype], setting.flat, torch.device("cpu")).split(1)
    works = [_works_of_row(program, setting, dtype, row) for row in samples]
    found: dict[Work, list[int]] = {}
    for rows, of_samples in zip(ROWS, zip(*works, strict=True), strict=True):
        median = sorted(of_samples, key=lambda work: work.busiest)[SAMPLES // 2]
        found.setdefault(median, []).append(rows)
    return [Work(**{**asdict(work), "rows": tuple(rows)}) for work, rows in found.items()]


def _works_of_row(program: Path, setting: Setting, dtype: str, row: torch.Tensor) -> list[Work]:
    """For each of ROWS."""
    with tempfile.TemporaryDirectory(prefix="fire_row_work_") as folder:
        paths = {name: Path(folder) / name for name in ("logits", "record", "counts")}
        paths["logits"].write_bytes(row.view(torch.uint8).numpy().tobytes())
        paths["record"].write_bytes(records(setting, 1).numpy().tobytes())
        subprocess.run(
            [program, paths["logits"], paths["record"], dtype, setting.outputs, *map(str, ROWS)],
            env={**os.environ, "FIRE_SIMULATOR": f"capability=9.0,bounds,counts={paths['counts']}"},
            check=True,
        )
        launches = [json.loads(line) for line in paths["counts"].read_text().splitlines()]
    return [work_of(launch, setting, dtype, row) for launch in launches]


def work_of(launch: dict[str, Any], setting: Setting, dtype: str, row: torch.Tensor) -> Work:
    reading = [loop for loop in launch["loops"] if loop["vector_loads"] >= GROUP]
    read = sum(loop["instructions"] // loop["length"] * loop["vector_loads"] for loop in reading)
    readings = read * WARP * VECTOR_BYTES / (row.numel() * row.element_size())
    if readings < 0.5:
        raise RuntimeError(
            f"{setting.name}, {dtype}: of the loops of {launch['kernel']}, those with at least {GROUP} loads"
            f" of {VECTOR_BYTES} bytes read the row {readings:.2f} times; expected about 1 or more"
        )
    busiest = launch["busiest"]
    return Work(
        setting=setting.name,
        dtype=dtype,
        rows=(),
        cluster=launch["cluster"][0],
        busiest=busiest["instructions"] - sum(loop["of_busiest"] for loop in reading),
        all=launch["instructions"] - sum(loop["instructions"] for loop in reading),
        block_barriers=busiest["block_barriers"],
        cluster_barriers=busiest["cluster_barriers"],
        readings=round(readings, 2),
    )
