"""Writes of the kernels' predicted times on an H200, beside their goals:

python bench/predict.py                              prints the page
python bench/predict.py --write                      and writes what others read of it
python bench/predict.py --build build/tests --write  counts and models the rows' work first, after a change

Nothing here is measured on a GPU: tests/gates/row_work.json has what a latency model (latency/ beside it)
makes of the instructions that the simulated device counts. count_rows.py there shows one cell by its phases.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "gates"))

import row_work  # noqa: E402
from harness import goals  # noqa: E402
from harness.cases import GPU_VOCABULARY, Case  # noqa: E402
from harness.settings import SETTINGS  # noqa: E402
from row_work import ROWS, Work  # noqa: E402
from views.text import markdown_table  # noqa: E402

from fire_sampling import _native  # noqa: E402

DOCS = ROOT / "docs" / "kernels_predicted.md"
TASKS = {
    "token": "sample",
    "reference": "sample_with_reference",
    "group": "sample_group",
    "support": "sample_with_support",
}


def case_of(work: Work) -> Case | None:
    """The benchmark's, where it has one."""
    if work.setting not in SETTINGS or work.kind != "peaked" or work.task not in ("token", "reference"):
        return None
    return Case(GPU_VOCABULARY, work.rows, work.dtype, work.setting, outputs=work.task, launch="graph")


def predictions() -> list[Work]:
    works = row_work.read_table()
    for work in works:
        plan = _native.plan(TASKS[work.task], work.rows, row_work.VOCABULARY, work.dtype)
        if (work.cluster, work.threads) != (plan["cluster"], plan["threads"]):
            sys.exit(
                f"{title(work)}, {work.dtype}, {work.rows} rows: {row_work.TABLE.name} was counted with"
                f" {work.cluster} × {work.threads} threads a row, the installed package plans"
                f" {plan['cluster']} × {plan['threads']}: install this tree's package, or count anew with"
                " --build"
            )
    return works


def verdict(us: tuple[float, float], goal: float | None) -> str:
    if goal is None:
        return ""
    return "kept" if us[1] <= goal else "kept at best" if us[0] <= goal else "missed"


def title(work: Work) -> str:
    task = {"token": "", "group": ", a group of 64", "support": ", support of 64"}.get(
        work.task, f" + {work.task}"
    )
    return work.setting + ("" if work.kind == "peaked" else f", {work.kind}") + task


def span(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.1f} – {pair[1]:.1f}"


def goal_line(work: Work, case: Case) -> list[str]:
    goal = goals.goal_us(case)
    return [
        title(work),
        work.dtype,
        str(work.rows),
        f"{work.cluster} × {work.threads}",
        f"{goals.floor_us(case):.1f}",
        "—" if goal is None else f"{goal:.0f}",
        span(work.us),
        verdict(work.us, goal),
        span(work.cold_us),
        f"{work.cycles:,}",
        f"{work.all / 1e3:.0f}",
        f"{work.block_barriers} + {work.cluster_barriers}",
        f"{work.readings:.1f}",
    ]


def page(works: Sequence[Work]) -> str:
    with_goals = [(work, case) for work in works if (case := case_of(work)) and has_goals(case)]
    by_cell: dict[row_work.Cell, list[Work]] = {}
    for work in works:
        by_cell.setdefault(work.cell, []).append(work)
    others = [
        [title(of_cell[0]), of_cell[0].dtype, *(f"{work.us[1]:,.0f}" for work in of_cell)]
        for of_cell in by_cell.values()
    ]
    return "\n".join(
        (
            TEXT,
            markdown_table(HEADER, (goal_line(*one) for one in with_goals)) + "\n",
            OTHERS_TEXT,
            markdown_table(("setting", "dtype", *map(str, ROWS)), others) + "\n",
        )
    )


def has_goals(case: Case) -> bool:
    return goals.goal_us(replace(case, rows=1)) is not None


def figures(works: Sequence[Work]) -> str:
    """What bench/harness/goals.py reads: a line for each cell."""
    rows = [
        json.dumps(
            {
                "setting": case.setting,
                "outputs": case.outputs,
                "dtype": case.dtype,
                "rows": case.rows,
                "best_us": work.us[0],
                "plain_us": work.us[1],
            }
        )
        for work in works
        if (case := case_of(work))
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
    "cold code",
    "cycles",
    "10³ slots",
    "barriers",
    "readings",
)
TEXT = f"""# Predicted times of the kernels

**Predicted, not measured.** µs on an H200, V = {GPU_VOCABULARY:,}, in the best and the plain case of a
latency model: the launch, and the cycles that the multiprocessors take for what each warp issues on the
simulated device. `python bench/predict.py --build build/tests --write` counts, models and writes this page;
`python tests/gates/count_rows.py --build build/tests --chain "k=50 p=0.9" --rows 1` shows one cell by its
phases.

The model (`tests/gates/latency`; its constants and their sources are in `machine.h` and `instruction.cpp`
there) has four schedulers a multiprocessor, instructions in order of readiness within a basic block, units
by their rates, memory's latency and bandwidth, L2 as what was touched last, and as many clusters as fit. It
does not have conflicts of shared memory's banks and of atomics, the L1 cache, nor the start of a block, and
takes a load that gathers for one stretch of memory. It replays PTX: what ptxas makes better or worse of
that is unknown. No measurement stands behind it, so it may be wrong by tens of percent; its use is to show
where cycles go, and cliffs.

The floor reads each logit once at 4.3 TB/s. "Cold code" comes on top where no cache holds the kernel's
code, as after the rest of a decoding step; a benchmark that repeats a call never sees it. "Cycles" are the
plain case's, without the launch; "10³ slots" are what the warps of a row's blocks issue, "barriers" those
of its busiest block and of its cluster, "readings" of the row from HBM.
"""
OTHERS_TEXT = """## All settings and rows

Predicted µs in the plain case, by the number of rows. They are peaked (Zipf) unless they are said to be
masked to so many finite logits, Gaussian with deviation 3, flat with deviation 1, all equal, or of two
values in turn.
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
        row_work.write_table(row_work.count(row_work.program_of(chosen.build), row_work.EVERYTHING))
    found = predictions()
    print(page(found), end="")
    if chosen.write:
        DOCS.write_text(page(found))
        goals.PREDICTIONS.write_text(figures(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
