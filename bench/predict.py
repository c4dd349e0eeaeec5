"""Predicts the kernels' times on an H200, beside their goals: python bench/predict.py [--write-docs]

Nothing here is measured on a GPU. A row's time comes from the bytes it reads, the instructions it issues,
the barriers it waits at and the launch: geometry from the plan table, slots of the hot loops from the machine
code (tests/gates/resources.json), the rest of a row's work from row_work.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu import goals
from gpu.cells import ROWS, SETTINGS, VOCABULARY, Cell

from fire_sampling import _native

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "kernels_predicted.md"
ROW_WORK = Path(__file__).with_name("row_work.json")
RESOURCES = ROOT / "tests" / "gates" / "resources.json"
MULTIPROCESSORS = 132
SCHEDULERS = 4  # of a multiprocessor: each issues an instruction of a warp a clock
WARP = 32
TYPE_NAMES = {"bfloat16": "BFloat16", "float32": "Float32"}
ELEMENT_BYTES = {"bfloat16": 2, "float32": 4}
PREDICTED = ("k50 p.9", "none", "top-p .9", "k50 p.9 + reference")


@dataclass(frozen=True)
class Machine:
    """An H200 on a good day, or on a plain one. Where no source is named the value is an assumption: on a
    GPU, tests/gpu/prove measures it first.
    """

    name: str
    ghz: float  # the highest and the usual clock, NVIDIA H200 datasheet
    tb_s: float  # 90 % and 81 % of the datasheet's 4.8: the former is what copies reach
    sm_bytes_a_clock: float  # that one multiprocessor pulls at most
    launch_us: float  # of a kernel within a CUDA graph
    load_us: float  # of a first load from memory: 479 clocks without load on an H100 (arXiv:2402.13499)
    l2_us: float  # of a load that L2 serves: 262 clocks there
    cluster_barrier_us: float
    block_barrier_us: float  # until the last warp has arrived and all go on
    issue: float  # share of the issue slots that warps with work find
    overlap: float  # of loading and computing, where a multiprocessor holds blocks in different phases


BEST = Machine("best", 1.98, 4.3, 38, 2.0, 0.7, 0.15, 0.2, 0.02, 1.0, 0.9)
PLAIN = Machine("plain", 1.755, 3.9, 38, 3.0, 1.0, 0.3, 0.5, 0.04, 0.8, 0.5)


@dataclass(frozen=True)
class Work:
    """Warp instructions of a row outside the hot loops, and barriers. Counted on the simulated device for a
    row of bench/gpu/cells.py; it runs PTX, of which ptxas makes as many machine instructions, within 5 %.
    """

    leader_slots: int  # of the block that has the most to do
    slots: int  # of all blocks
    block_barriers: int  # of the leader
    cluster_barriers: int


@dataclass(frozen=True)
class Passes:
    """Cycles of a scheduler for 32 elements: in a row's first reading, and in those that need its maximum."""

    first: float
    second: float


def works() -> dict[tuple[str, str, int], Work]:
    return {
        (row["setting"], row["dtype"], row["cluster"]): Work(
            row["leader"], row["all"], row["block_barriers"], row["cluster_barriers"]
        )
        for row in json.loads(ROW_WORK.read_text())
    }


def loop_cycles() -> dict[tuple[str, str], float]:
    return {(row["kernel"], row["loop"]): row["cycles"] for row in json.loads(RESOURCES.read_text())["loops"]}


def plan_of(cell: Cell) -> _native.Plan:
    task = "sample_with_reference" if cell.setting.outputs == "reference" else "sample"
    return _native.plan(task, cell.rows, cell.vocabulary, cell.dtype)


def passes_of(cell: Cell, plan: _native.Plan, cycles: dict[tuple[str, str], float]) -> Passes:
    resident = str(plan["resident"]).lower()
    kernel = f"SampleRows<{TYPE_NAMES[cell.dtype]}, {resident}>"
    maximum = cycles[kernel, f"MaximumPass<true, {resident}>"]
    append = cycles[kernel, f"AppendPass<false, {resident}>"]
    mass = cycles[kernel, f"FastMassPass<false, {resident}>"]
    filters = cell.setting.top_k > 0 or cell.setting.min_p > 0 or cell.setting.top_p < 1
    needs_mass = cell.setting.outputs == "reference" or (cell.setting.top_k == 0 and cell.setting.min_p == 0)
    if not needs_mass and plan["prefix_shift"]:
        prefix = 1 / (1 << plan["prefix_shift"])
        streaming = cycles[kernel, "AppendPass<true, false>"]
        return Passes(prefix * (maximum + append) + (1 - prefix) * streaming, 0.0)
    return Passes(maximum, append * filters + mass * needs_mass)


def predict(cell: Cell, machine: Machine, plan: _native.Plan, passes: Passes, work: Work) -> float:
    """Microseconds of a call."""
    blocks = plan["cluster"]
    clock = 1e3 * machine.ghz  # of a microsecond
    slots = SCHEDULERS * clock * machine.issue  # of a multiprocessor and microsecond
    row_bytes = cell.vocabulary * ELEMENT_BYTES[cell.dtype]
    one_wave = cell.rows * blocks <= MULTIPROCESSORS
    load = max(
        cell.rows * row_bytes / (1e6 * machine.tb_s),
        row_bytes / (blocks * machine.sm_bytes_a_clock * clock),
    )
    start = machine.launch_us + machine.load_us
    barriers = (
        work.block_barriers * machine.block_barrier_us + work.cluster_barriers * machine.cluster_barrier_us
    )
    if one_wave:
        # A part of a row a multiprocessor; nothing else is there to run while its block waits.
        of_block = cell.vocabulary / blocks / WARP
        first, second = of_block * passes.first / slots, of_block * passes.second / slots
        record = 2 * machine.l2_us  # slot and record, read after the row's own vectors are asked for
        return start + record + max(load, first) + second + work.leader_slots / slots + barriers
    loops = cell.vocabulary / WARP * (passes.first + passes.second)
    issue = cell.rows * (loops + work.slots) / (MULTIPROCESSORS * slots)
    # Two blocks of a multiprocessor take turns at loading and computing; a resident one is alone.
    overlap = 0.0 if plan["resident"] else machine.overlap
    last = work.leader_slots / slots + barriers  # what remains when the last row has been read
    return start + max(load, issue) + (1 - overlap) * min(load, issue) + last


def verdict(best: float, plain: float, goal: float | None) -> str:
    if goal is None:
        return ""
    return "kept" if plain <= goal else "kept at best" if best <= goal else "missed"


def rows_of_table() -> Iterator[tuple[str, ...]]:
    known, cycles = works(), loop_cycles()
    for dtype in TYPE_NAMES:
        for setting in (one for one in SETTINGS if one.name in PREDICTED):
            for rows in ROWS:
                cell = Cell(setting, dtype, rows, VOCABULARY)
                plan = plan_of(cell)
                passes = passes_of(cell, plan, cycles)
                work = known[setting.name, dtype, plan["cluster"]]
                best, plain = (predict(cell, one, plan, passes, work) for one in (BEST, PLAIN))
                goal = goals.goal_us(cell)
                yield (
                    setting.name,
                    dtype,
                    str(rows),
                    f"{plan['cluster']} × {plan['threads']}{' resident' if plan['resident'] else ''}",
                    f"{goals.floor_us(cell):.1f}",
                    "—" if goal is None else f"{goal:.0f}",
                    f"{best:.1f} – {plain:.1f}",
                    verdict(best, plain, goal),
                    f"{work.slots / 1e3:.0f}",
                    f"{work.block_barriers} + {work.cluster_barriers}",
                )


HEADER = (
    "setting",
    "dtype",
    "R",
    "blocks a row",
    "floor",
    "goal",
    "predicted",
    "goal is",
    "10³ slots",
    "barriers",
)
TEXT = f"""# Predicted times of the kernels

**Predicted, not measured.** µs on an H200, V = {VOCABULARY:,}: the model's best and plain case, from bytes,
instructions, barriers and the launch. `python bench/predict.py --write-docs` writes this page; the constants
and their sources are in that file. "10³ slots" are the warp instructions of a row, all blocks together,
outside the hot loops; "barriers" are those of the row's leading block, and of its cluster. Both were
counted once, by running the kernels on a simulated device that counts them (bench/row_work.json); no command
here repeats that count, so it can lag behind the kernels. The floor
reads each logit once at 4.3 TB/s.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write-docs", action="store_true", help=f"write {DOCS.relative_to(ROOT)}")
    write = parser.parse_args().write_docs
    lines = ["| " + " | ".join(row) + " |" for row in (HEADER, ("---",) * len(HEADER), *rows_of_table())]
    text = TEXT + "\n" + "\n".join(lines) + "\n"
    print(text, end="")
    if write:
        DOCS.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
