"""What sampling a row issues, and what the latency model makes of it: the table row_work.json, and how it is
counted.

A count runs the kernels on the tests' simulated device (tests/simulator), one row by the launch that a batch
gets; the model (latency/) replays what each warp did on the multiprocessors of an H200.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from harness.cases import GPU_VOCABULARY
from harness.records import pack
from harness.settings import SETTINGS, Filters

TABLE = Path(__file__).with_name("row_work.json")
VOCABULARY = GPU_VOCABULARY
ROWS = (1, 8, 16, 24, 32, 33, 64, 67, 128, 132, 256, 265, 512, 1024)
FILTERS = {name: setting.of_row(0) for name, setting in SETTINGS.items()} | {
    "k=100 p=0.9": Filters(top_k=100, top_p=0.9),
    "k=200 p=0.9": Filters(top_k=200, top_p=0.9),
}


@dataclass(frozen=True)
class Cell:
    setting: str
    task: str = "token"  # of run_row.cpp
    dtype: str = "bfloat16"
    kind: str = "peaked"  # of make_row


_FOUR = (("k=50 p=0.9", "token"), ("no filter", "token"), ("p=0.9", "token"), ("k=50 p=0.9", "reference"))
_OTHERS = ("min-p=0.05", "hot T=30 k=16", "k=100 p=0.9", "k=200 p=0.9", "k=1000 p=0.95")
_KINDS = ("masked to 20", "masked to 2000", "gaussian", "flat")
CELLS = (
    *(Cell(setting, task) for setting, task in _FOUR),
    *(Cell(setting) for setting in _OTHERS),
    *(Cell(setting, kind=kind) for kind in _KINDS for setting in ("k=50 p=0.9", "p=0.9", "no filter")),
    *(Cell("k=50 p=0.9", kind=kind) for kind in ("all equal", "two values")),
    *(Cell("k=50 p=0.9", task) for task in ("group", "support")),
    *(Cell("hot T=30 k=16", task) for task in ("group", "support")),
    *(Cell(setting, task, "float32") for setting, task in _FOUR),
)
EVERYTHING = dict.fromkeys(CELLS, ROWS)
# Few enough for a test: each launch of three settings, and one of each other way through the kernels.
QUICK = dict.fromkeys(CELLS[:3], (1, 24, 32, 64, 128, 265)) | dict.fromkeys(
    (
        Cell("k=50 p=0.9", "reference"),
        Cell("k=50 p=0.9", kind="masked to 20"),
        Cell("k=50 p=0.9", "group"),
        Cell("k=50 p=0.9", "support"),
        Cell("p=0.9", dtype="float32"),
    ),
    (1,),
)


@dataclass(frozen=True)
class Work:
    """Of one of `rows` rows that are alike."""

    setting: str
    task: str
    dtype: str
    kind: str
    rows: int
    cluster: int  # blocks of a row
    threads: int  # of a block
    at_once: int  # rows that the same multiprocessors hold beside each other
    busiest: int  # issue slots of warps, in the block that has the most to do
    all: int  # of all blocks
    block_barriers: int  # of the busiest block
    cluster_barriers: int
    code_bytes: int  # that it came by
    readings: float  # of the row, from memory
    cycles: int  # that the model has, until the last row is done, in the plain case
    us: tuple[float, float]  # with the launch, in the best case and the plain one
    cold_us: tuple[float, float]  # more, where no cache holds the code

    @property
    def cell(self) -> Cell:
        return Cell(self.setting, self.task, self.dtype, self.kind)


def _work(row: dict[str, Any]) -> Work:
    return Work(**{**row, "us": tuple(row["us"]), "cold_us": tuple(row["cold_us"])})


def read_table() -> list[Work]:
    return [_work(row) for row in json.loads(TABLE.read_text())]


def table_text(works: Sequence[Work]) -> str:
    """JSON with a line for each row, so that differences can be read."""
    return "[\n " + ",\n ".join(json.dumps(asdict(work)) for work in works) + "\n]\n"


def program_of(build: Path) -> Path:
    """Builds what counts, where it is not up to date. `build` is a CMake build folder of the tests."""
    subprocess.run(["cmake", "--build", str(build), "--target", "run_row"], check=True)
    return build.resolve() / "tests" / "gates" / "run_row"


def make_row(kind: str, dtype: str) -> Tensor:
    """[VOCABULARY] of logits. In double precision, so that any machine's logarithm rounds to the same row:
    another row is another count.

    peaked: probabilities that fall with rank as Zipf has it, in random order. masked to n: all but n at
    random are −inf. gaussian and flat: normal noise of deviation 3 and 1. two values: one for every other
    token.
    """
    generator = torch.Generator().manual_seed(1)
    if kind in ("gaussian", "flat"):
        row = torch.randn(VOCABULARY, generator=generator, dtype=torch.float64)
        row *= 3 if kind == "gaussian" else 1
    elif kind in ("all equal", "two values"):
        row = torch.zeros(VOCABULARY, dtype=torch.float64)
        row[1::2] += kind == "two values"
    else:
        rank = torch.rand(VOCABULARY, generator=generator) * VOCABULARY
        row = 18 - 2.2 * torch.log1p(rank.double())
        if kind.startswith("masked to "):
            finite = int(kind.removeprefix("masked to "))
            row[torch.randperm(VOCABULARY, generator=generator)[finite:]] = -math.inf
        elif kind != "peaked":
            raise ValueError(f"kind of row: got {kind!r}")
    return row.to(getattr(torch, dtype))


def run(program: Path, cell: Cell, rows: Iterable[int], *options: str) -> str:
    """What run_row.cpp prints."""
    with tempfile.TemporaryDirectory(prefix="fire_row_work_") as folder:
        logits, record = Path(folder) / "logits", Path(folder) / "record"
        logits.write_bytes(make_row(cell.kind, cell.dtype).view(torch.uint8).numpy().tobytes())
        record.write_bytes(pack([FILTERS[cell.setting]]).numpy().tobytes())
        return subprocess.run(
            [program, *options, logits, record, cell.dtype, cell.task, *map(str, rows)],
            env={**os.environ, "FIRE_SIMULATOR": "capability=9.0,bounds"},
            check=True,
            text=True,
            stdout=subprocess.PIPE,
        ).stdout


def count(program: Path, cells: Mapping[Cell, Sequence[int]]) -> list[Work]:
    """Each cell by so many rows."""

    def of_cell(cell: Cell) -> list[Work]:
        lines = run(program, cell, cells[cell]).splitlines()
        return [_work(asdict(cell) | json.loads(line)) for line in lines]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [work for works in pool.map(of_cell, cells) for work in works]


def write_table(works: Iterable[Work]) -> None:
    """Puts them in the places of those that were counted before, and drops what no cell asks for any more."""
    known = {(work.cell, work.rows): work for work in (*read_table(), *works)}
    places = ((cell, rows) for cell in CELLS for rows in ROWS)
    TABLE.write_text(table_text([known[place] for place in places if place in known]))
