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
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from harness.cases import DTYPES, GPU_VOCABULARY, Case
from harness.records import records

TABLE = Path(__file__).with_name("row_work.json")
VOCABULARY = GPU_VOCABULARY
COUNTED = (("k=50 p=0.9", "token"), ("no filter", "token"), ("p=0.9", "token"), ("k=50 p=0.9", "reference"))
ROWS = (1, 8, 32, 64, 128, 512, 1024)
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
    outputs: str
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
        for setting, outputs in COUNTED
        for work in _count_case(program, Case(VOCABULARY, 1, dtype, setting, outputs=outputs))
    ]


def zipf_rows(dtype: str) -> torch.Tensor:
    """[SAMPLES, VOCABULARY] of random rows whose probabilities fall with rank as Zipf has it.

    In double precision, so that any machine's logarithm rounds to the same row: another row is another count.
    """
    rank = torch.rand(SAMPLES, VOCABULARY, generator=torch.Generator().manual_seed(1)) * VOCABULARY
    return (18 - 2.2 * torch.log1p(rank.double())).to(getattr(torch, dtype))


def _count_case(program: Path, case: Case) -> list[Work]:
    works = [_works_of_row(program, case, row) for row in zipf_rows(case.dtype)]
    found: dict[Work, list[int]] = {}
    for rows, of_samples in zip(ROWS, zip(*works, strict=True), strict=True):
        median = sorted(of_samples, key=lambda work: work.busiest)[SAMPLES // 2]
        found.setdefault(median, []).append(rows)
    return [Work(**{**asdict(work), "rows": tuple(rows)}) for work, rows in found.items()]


def _works_of_row(program: Path, case: Case, row: torch.Tensor) -> list[Work]:
    """For each of ROWS."""
    with tempfile.TemporaryDirectory(prefix="fire_row_work_") as folder:
        paths = {name: Path(folder) / name for name in ("logits", "record", "counts")}
        paths["logits"].write_bytes(row.view(torch.uint8).numpy().tobytes())
        paths["record"].write_bytes(records(case).numpy().tobytes())
        subprocess.run(
            [program, paths["logits"], paths["record"], case.dtype, case.outputs, *map(str, ROWS)],
            env={**os.environ, "FIRE_SIMULATOR": f"capability=9.0,bounds,counts={paths['counts']}"},
            check=True,
        )
        launches = [json.loads(line) for line in paths["counts"].read_text().splitlines()]
    return [work_of(launch, case, row) for launch in launches]


def work_of(launch: dict[str, Any], case: Case, row: torch.Tensor) -> Work:
    reading = [loop for loop in launch["loops"] if loop["vector_loads"] >= GROUP]
    read = sum(loop["instructions"] // loop["length"] * loop["vector_loads"] for loop in reading)
    readings = read * WARP * VECTOR_BYTES / (row.numel() * row.element_size())
    if readings < 0.5:
        raise RuntimeError(
            f"{case.setting}, {case.dtype}: of the loops of {launch['kernel']}, those with at least"
            f" {GROUP} loads of {VECTOR_BYTES} bytes read the row {readings:.2f} times; expected 1 or more"
        )
    busiest = launch["busiest"]
    return Work(
        setting=case.setting,
        outputs=case.outputs,
        dtype=case.dtype,
        rows=(),
        cluster=launch["cluster"][0],
        busiest=busiest["instructions"] - sum(loop["of_busiest"] for loop in reading),
        all=launch["instructions"] - sum(loop["instructions"] for loop in reading),
        block_barriers=busiest["block_barriers"],
        cluster_barriers=busiest["cluster_barriers"],
        readings=round(readings, 2),
    )
