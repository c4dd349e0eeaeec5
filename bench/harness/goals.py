"""The goals, as data, and how a run stands to them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .cases import CALL_VOCABULARY, CPU_VOCABULARY, GPU_VOCABULARY, Case
from .schema import Run

Results = Mapping[str, Any]

_LEAST_VOCABULARY = 128_256  # shorter rows are over before a rate shows
_ONE_PASS = (
    "hot T=30 k=16",
    "k=50 p=0.9",
    "k=50 p=0.95 T=0.7",
    "k=50 p=0.95 min-p=0.05",
    "min-p=0.05",
    "greedy",
)
_WHOLE_ROW = ("p=0.9", "no filter")

CALL_MICROSECONDS = 12.0
THREADS_SPEEDUP = 1.8
# "A few KB a row", and what resident memory moves by on its own account: pages of code, counters a core.
MEMORY_FIXED, MEMORY_A_ROW = 512 << 10, 8 << 10


@dataclass(frozen=True)
class Goal:
    """At most `limit` in every cell it is for: in reads of the row, or (unit "ms") in milliseconds a row."""

    title: str
    limit: float
    unit: str
    settings: tuple[str, ...]
    place: str | None = None
    kind: str = "peaked"
    vocabulary: int | None = None

    def is_for(self, cell: Results) -> bool:
        return (
            cell["setting"] in self.settings
            and (cell["kind"], cell["outputs"]) == (self.kind, "token")
            and self.place in (None, cell["place"])
            and (
                cell["vocabulary"] == self.vocabulary
                if self.vocabulary
                else cell["vocabulary"] >= _LEAST_VOCABULARY
            )
        )


GOALS = (
    Goal("top-k ≤ 50, min-p or greedy", 1.6, "reads", _ONE_PASS, "out of cache"),
    Goal("top-k ≤ 50, min-p or greedy", 3.5, "reads", _ONE_PASS, "in cache"),
    Goal("k ≤ 1000", 3.0, "reads", ("k=1000 p=0.95",), "out of cache"),
    Goal("peaked top-p alone, or no filter", 3.0, "reads", _WHOLE_ROW, "out of cache"),
    Goal("peaked top-p alone, or no filter", 9.0, "reads", _WHOLE_ROW, "in cache"),
    Goal("flat top-p", 1.5, "ms", ("p=0.9",), kind="flat", vocabulary=CPU_VOCABULARY),
)


# Of the kernels: microseconds on an H200 by number of rows, of a call among others in a graph, out of cache.
GPU_GOALS = {
    ("k=50 p=0.9", "bfloat16"): {1: 6, 32: 8, 64: 10, 128: 14, 512: 42, 1024: 78},
    ("no filter", "bfloat16"): {1: 8, 32: 11, 64: 15, 128: 22, 512: 55, 1024: 95},
    ("k=50 p=0.9", "float32"): {1: 7, 32: 10, 64: 14, 128: 22, 512: 75, 1024: 145},
    ("no filter", "float32"): {1: 8, 32: 13, 64: 19, 128: 28, 512: 85, 1024: 150},
}
# A row whose whole mass is wanted costs what an unfiltered one does, and its reference outputs 2 µs more.
REFERENCE_US = 2
# Top-p alone filters once more than no filter: 5 µs at 1,024 rows.
TOP_P_US_A_ROW = 5 / 1024
# Assumed of an H200, 90 % of its datasheet's: the floor is a read of every logit at that rate.
ASSUMED_COPY_BYTES_A_US = 4.3e6
PREDICTIONS = Path(__file__).parents[1] / "predictions.json"  # bench/predict.py writes it


def floor_us(case: Case) -> float:
    return case.bytes / ASSUMED_COPY_BYTES_A_US


def _is_promised(case: Case) -> bool:
    shape = (case.vocabulary, case.kind, case.place, case.launch)
    return shape == (GPU_VOCABULARY, "peaked", "out of cache", "graph")


def goal_us(case: Case) -> float | None:
    """None where nothing is promised."""
    more = {
        ("k=50 p=0.9", "token"): ("k=50 p=0.9", 0.0),
        ("no filter", "token"): ("no filter", 0.0),
        ("k=50 p=0.9", "reference"): ("no filter", REFERENCE_US),
        ("p=0.9", "token"): ("no filter", TOP_P_US_A_ROW * case.rows),
    }.get((case.setting, case.outputs))
    if more is None or not _is_promised(case):
        return None
    goal = GPU_GOALS[more[0], case.dtype].get(case.rows)
    return None if goal is None else goal + more[1]


@cache
def _predictions() -> dict[tuple[str, str, str, int], tuple[float, float]]:
    return {
        (row["setting"], row["outputs"], row["dtype"], row["rows"]): (row["best_us"], row["plain_us"])
        for row in json.loads(PREDICTIONS.read_text())
    }


def predicted_us(case: Case) -> tuple[float, float] | None:
    """A model's best and plain case; None where nothing is predicted."""
    key = (case.setting, case.outputs, case.dtype, case.rows)
    return _predictions().get(key) if _is_promised(case) else None


def promises(case: Case) -> dict[str, Any]:
    """goal_us and predicted_us of a results file's cell; each is absent where there is none."""
    goal, predicted = goal_us(case), predicted_us(case)
    found: dict[str, Any] = {} if goal is None else {"goal_us": goal}
    return found | ({} if predicted is None else {"predicted_us": list(predicted)})


@dataclass(frozen=True)
class Verdict:
    """How a run stands to one goal: its worst value, and where that was."""

    title: str
    limit: str
    worst: str
    where: str
    met: int
    cells: int


def cell_name(cell: Results) -> str:
    kind = "" if cell["kind"] == "peaked" else f" {cell['kind']}"
    outputs = "" if cell["outputs"] == "token" else f", {cell['outputs']}"
    shape = f"V={cell['vocabulary']:,} {cell['dtype']}{kind}"
    return f"{shape}, {cell['setting']}, {count_rows(cell['rows'])}, {cell['place']}{outputs}"


def count_rows(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


class Costs:
    """The cost of a call that samples 32 logits, to be subtracted from longer ones."""

    def __init__(self, run: Run) -> None:
        self._medians: dict[tuple[str, str, str], float] = {
            (cell["dtype"], cell["setting"], key): result["median"]
            for cell in run.get("calls", [])
            for key, result in cell["results"].items()
            if result["median"] is not None
        }
        self._limits = {key: one["limit"] for key, one in run["contenders"].items() if "limit" in one}

    def of_call(self, cell: Results, key: str) -> float:
        return self._medians.get((cell["dtype"], cell["setting"], key), 0.0)

    def per_row(self, cell: Results, key: str) -> float:
        """Microseconds a row, the cost of the call subtracted."""
        median: float = cell["results"][key]["median"]
        rows: int = cell["rows"]
        return max(0.0, median - self.of_call(cell, key)) / rows

    def limits(self, cell: Results, ours: str) -> float:
        """A row of ours as a multiple of its limit, one read of the row, both without their calls."""
        limit = self.per_row(cell, self._limits[ours])
        return self.per_row(cell, ours) / limit if limit > 0 else math.inf


def verdicts(run: Run) -> Iterator[Verdict]:
    """Every goal that the run measured anything for; those in reads of a row are a CPU's."""
    costs, goals = Costs(run), GOALS if run["device"] == "cpu" else ()
    for ours in (key for key, one in run["contenders"].items() if one["role"] == "ours"):
        instruction_set = ours.split("/")[-1]
        for goal in goals:
            cells = [cell for cell in run.get("cells", []) if goal.is_for(cell)]
            place = f", {goal.place}" if goal.place else ""
            yield from _judge(
                f"{goal.title}{place} ({instruction_set})",
                goal.limit,
                "{:.2f} " + goal.unit,
                [(_value(goal, costs, cell, ours), cell_name(cell)) for cell in cells],
            )
        yield from _judge(
            f"call at V = {CALL_VOCABULARY} ({instruction_set})",
            CALL_MICROSECONDS,
            "{:.1f} µs",
            [(cell["results"][ours]["median"] or math.inf, cell_name(cell)) for cell in run.get("calls", [])],
        )
        yield from _faster_than_peers(run, ours)
    yield from _judge("two threads", THREADS_SPEEDUP, "{:.2f} ×", _speedups(run), at_least=True)
    yield from _memory(run)


def _value(goal: Goal, costs: Costs, cell: Results, ours: str) -> float:
    return costs.per_row(cell, ours) / 1000 if goal.unit == "ms" else costs.limits(cell, ours)


def _faster_than_peers(run: Run, ours: str) -> Iterator[Verdict]:
    """Whole calls are compared, what the call costs included."""
    for peer in (key for key, one in run["contenders"].items() if one["role"] == "peer"):
        ratios: list[tuple[float, str]] = [
            (
                cell["results"][peer]["median"] / cell["results"][ours]["median"],  # type: ignore[operator]
                cell_name(cell),
            )
            for cell in run.get("cells", [])
            if peer in cell["results"]
        ]
        yield from _judge(
            f"faster than {peer} ({ours.split('/')[-1]})", 1.0, "{:.2f} ×", ratios, at_least=True
        )


def _speedups(run: Run) -> list[tuple[float, str]]:
    speedups = []
    for cell in run.get("threads", []):
        one, two = (result["median"] or math.inf for _, result in sorted(cell["results"].items()))
        speedups.append((one / two, cell_name(cell)))
    return speedups


def _memory(run: Run) -> Iterator[Verdict]:
    contenders = run["contenders"]
    ours = [peak for peak in run.get("memory", []) if contenders[peak["contender"]]["role"] == "ours"]
    for rows in sorted({record["rows"] for record in ours}):
        peaks = [
            (record["peak_bytes"] / 1024, cell_name(record)) for record in ours if record["rows"] == rows
        ]
        limit = (MEMORY_FIXED + rows * MEMORY_A_ROW) / 1024
        yield from _judge(f"peak extra memory, {count_rows(rows)}", limit, "{:.0f} KiB", peaks)


def _judge(
    title: str, limit: float, form: str, values: list[tuple[float, str]], at_least: bool = False
) -> Iterator[Verdict]:
    if not values:
        return
    worst, where = min(values) if at_least else max(values)
    passes: Callable[[float], bool] = (
        (lambda value: value >= limit) if at_least else (lambda value: value <= limit)
    )
    sign = "≥" if at_least else "≤"
    met = sum(passes(value) for value, _ in values)
    yield Verdict(title, f"{sign} {form.format(limit)}", form.format(worst), where, met, len(values))
