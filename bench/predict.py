"""Predicts the kernels' times on an H200, beside their goals:

python bench/predict.py                              prints the table
python bench/predict.py --write                      and writes what others read of it
python bench/predict.py --build build/tests --write  counts the rows' work first, after a change

Nothing here is measured on a GPU. A row's time comes from the bytes it reads, the instructions it issues,
the barriers it waits at and the launch: geometry from the plan, slots of the hot loops from the machine
code (tests/gates/resources.json), the rest of a row's work from row_work.json beside it, which count_rows.py
there counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gates"))

import row_work  # noqa: E402
from harness import goals  # noqa: E402
from harness.cases import ELEMENT_BYTES, GPU_VOCABULARY, Case  # noqa: E402
from row_work import COUNTED, ROWS, Work  # noqa: E402

from fire_sampling import _native  # noqa: E402

DOCS = ROOT / "docs" / "kernels_predicted.md"
RESOURCES = ROOT / "tests" / "gates" / "resources.json"
MULTIPROCESSORS = 132
SCHEDULERS = 4  # of a multiprocessor: each issues an instruction of a warp a clock
WARP = 32
TYPE_NAMES = {"bfloat16": "BFloat16Logits", "float32": "Float32Logits"}


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
class Passes:
    """Cycles of a scheduler for 32 elements: in a row's first reading, and in those that need its maximum."""

    first: float
    second: float


@dataclass(frozen=True)
class Prediction:
    case: Case
    plan: _native.Plan
    work: Work
    best: float  # microseconds
    plain: float


def loop_cycles() -> dict[tuple[str, str], float]:
    return {(row["kernel"], row["loop"]): row["cycles"] for row in json.loads(RESOURCES.read_text())["loops"]}


def plan_of(case: Case) -> _native.Plan:
    task = "sample_with_reference" if case.outputs == "reference" else "sample"
    return _native.plan(task, case.rows, case.vocabulary, case.dtype)


def passes_of(case: Case, plan: _native.Plan, cycles: dict[tuple[str, str], float]) -> Passes:
    resident = str(plan["resident"]).lower()
    kernel = f"SampleRows<{TYPE_NAMES[case.dtype]}, {resident}>"
    maximum = cycles[kernel, f"MaximumPass<true, {resident}>"]
    append = cycles[kernel, f"AppendPass<{resident}>"]
    mass = cycles[kernel, f"FastMassPass<false, {resident}>"]
    one = case.sampled_with.of_rows[0]
    filters = one.top_k > 0 or one.min_p > 0 or one.top_p < 1
    needs_mass = case.outputs == "reference" or (one.top_k == 0 and one.min_p == 0)
    if not needs_mass and plan["pilot_shift"]:
        return Passes(maximum / (1 << plan["pilot_shift"]) + append, 0.0)
    return Passes(maximum, append * filters + mass * needs_mass)


def predict(case: Case, machine: Machine, plan: _native.Plan, passes: Passes, work: Work) -> float:
    """Microseconds of a call."""
    blocks = plan["cluster"]
    clock = 1e3 * machine.ghz  # of a microsecond
    slots = SCHEDULERS * clock * machine.issue  # of a multiprocessor and microsecond
    row_bytes = case.vocabulary * ELEMENT_BYTES[case.dtype]
    one_wave = case.rows * blocks <= MULTIPROCESSORS
    load = max(
        case.rows * row_bytes / (1e6 * machine.tb_s),
        row_bytes / (blocks * machine.sm_bytes_a_clock * clock),
    )
    start = machine.launch_us + machine.load_us
    barriers = (
        work.block_barriers * machine.block_barrier_us + work.cluster_barriers * machine.cluster_barrier_us
    )
    if one_wave:
        # A part of a row a multiprocessor; nothing else is there to run while its block waits.
        of_block = case.vocabulary / blocks / WARP
        first, second = of_block * passes.first / slots, of_block * passes.second / slots
        record = machine.l2_us  # the record; its slot came with the row
        return start + record + max(load, first) + second + work.busiest / slots + barriers
    loops = case.vocabulary / WARP * (passes.first + passes.second)
    issue = case.rows * (loops + work.all) / (MULTIPROCESSORS * slots)
    # Two blocks of a multiprocessor take turns at loading and computing; a resident one is alone.
    overlap = 0.0 if plan["resident"] else machine.overlap
    last = work.busiest / slots + barriers  # what remains when the last row has been read
    return start + max(load, issue) + (1 - overlap) * min(load, issue) + last


def verdict(best: float, plain: float, goal: float | None) -> str:
    if goal is None:
        return ""
    return "kept" if plain <= goal else "kept at best" if best <= goal else "missed"


def predictions() -> Iterator[Prediction]:
    works = {
        (work.setting, work.outputs, work.dtype, rows): work
        for work in row_work.read_table()
        for rows in work.rows
    }
    cycles = loop_cycles()
    for dtype in TYPE_NAMES:
        for setting, outputs in COUNTED:
            for rows in ROWS:
                case = Case(GPU_VOCABULARY, rows, dtype, setting, outputs=outputs, launch="graph")
                plan, work = plan_of(case), works[setting, outputs, dtype, rows]
                if work.cluster != plan["cluster"]:
                    sys.exit(
                        f"{title(case)}, {dtype}, {rows} rows: {row_work.TABLE.name} was counted with"
                        f" {work.cluster} blocks a row, the installed package plans {plan['cluster']}:"
                        " install this tree's package, or count anew with --build"
                    )
                passes = passes_of(case, plan, cycles)
                best, plain = (predict(case, one, plan, passes, work) for one in (BEST, PLAIN))
                yield Prediction(case, plan, work, best, plain)


def title(case: Case) -> str:
    return case.setting + ("" if case.outputs == "token" else f" + {case.outputs}")


def line(found: Prediction) -> str:
    case, plan, work = found.case, found.plan, found.work
    goal = goals.goal_us(case)
    columns = (
        title(case),
        case.dtype,
        str(case.rows),
        f"{plan['cluster']} × {plan['threads']}{' resident' if plan['resident'] else ''}",
        f"{goals.floor_us(case):.1f}",
        "—" if goal is None else f"{goal:.0f}",
        f"{found.best:.1f} – {found.plain:.1f}",
        verdict(found.best, found.plain, goal),
        f"{work.all / 1e3:.0f}",
        f"{work.block_barriers} + {work.cluster_barriers}",
    )
    return "| " + " | ".join(columns) + " |"


def page(found: Sequence[Prediction]) -> str:
    heads = ["| " + " | ".join(row) + " |" for row in (HEADER, ("---",) * len(HEADER))]
    return TEXT + "\n" + "\n".join([*heads, *map(line, found)]) + "\n"


def figures(found: Sequence[Prediction]) -> str:
    """What bench/harness/goals.py reads: a line for each cell."""
    rows = [
        json.dumps(
            {
                "setting": one.case.setting,
                "outputs": one.case.outputs,
                "dtype": one.case.dtype,
                "rows": one.case.rows,
                "best_us": round(one.best, 1),
                "plain_us": round(one.plain, 1),
            }
        )
        for one in found
    ]
    return "[\n " + ",\n ".join(rows) + "\n]\n"


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

**Predicted, not measured.** µs on an H200, V = {GPU_VOCABULARY:,}: the model's best and plain case, from
bytes, instructions, barriers and the launch. `python bench/predict.py --write` writes this page; the
constants and their sources are in that file. "10³ slots" are the warp instructions of a row, all blocks
together, outside the loops that read it; "barriers" are those of the row's busiest block, and of its cluster.
Both come from tests/gates/row_work.json, which the simulated device counted; with `--build build/tests`, the
same command counts them anew. The floor reads each logit once at 4.3 TB/s.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, help="count the rows' work with this build of the tests")
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"write {DOCS.relative_to(ROOT)}, {goals.PREDICTIONS.relative_to(ROOT)} and what was counted",
    )
    chosen = parser.parse_args()
    if chosen.build is not None and not chosen.write:
        parser.error("--build goes with --write; tests/gates/count_rows.py only counts")
    if chosen.build is not None:
        works = row_work.count(row_work.program_of(chosen.build))
        row_work.TABLE.write_text(row_work.table_text(works))
    found = list(predictions())
    print(page(found), end="")
    if chosen.write:
        DOCS.write_text(page(found))
        goals.PREDICTIONS.write_text(figures(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
