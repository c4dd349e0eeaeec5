"""What the kernels are held to: microseconds on an H200, V = 128,256, by number of rows.

A goal is a promise, a prediction a model's best and plain case; none of them was measured. Times of other
GPUs are set beside them too: there they still speak of an H200.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from .cells import VOCABULARY, Cell

PREDICTIONS = Path(__file__).with_name("predictions.json")  # bench/predict.py writes it

MEASURED_COPY_BYTES_A_US = 4.3e6  # of an H200: the floor is a read of every logit at that rate

GOALS = {
    ("k50 p.9", "bfloat16"): {1: 6, 32: 8, 64: 10, 128: 14, 512: 42, 1024: 78},
    ("none", "bfloat16"): {1: 8, 32: 11, 64: 15, 128: 22, 512: 55, 1024: 95},
    ("k50 p.9", "float32"): {1: 7, 32: 10, 64: 14, 128: 22, 512: 75, 1024: 145},
    ("none", "float32"): {1: 8, 32: 13, 64: 19, 128: 28, 512: 85, 1024: 150},
}

# A row whose whole mass is wanted costs what an unfiltered one does, and its reference outputs 2 µs more.
REFERENCE = "k50 p.9 + reference"
REFERENCE_US = 2
# Top-p alone filters once more than no filter: 5 µs at 1,024 rows.
TOP_P = "top-p .9"
TOP_P_US_A_ROW = 5 / 1024


def floor_us(cell: Cell) -> float:
    return cell.bytes / MEASURED_COPY_BYTES_A_US


def goal_us(cell: Cell) -> float | None:
    """None where nothing is promised."""
    name = cell.setting.name
    goal = GOALS.get(("none" if name in (REFERENCE, TOP_P) else name, cell.dtype), {}).get(cell.rows)
    if goal is None:
        return None
    return goal + (REFERENCE_US if name == REFERENCE else TOP_P_US_A_ROW * cell.rows if name == TOP_P else 0)


@cache
def _predictions() -> dict[tuple[str, str, int], tuple[float, float]]:
    return {
        (row["setting"], row["dtype"], row["rows"]): (row["best_us"], row["plain_us"])
        for row in json.loads(PREDICTIONS.read_text())
    }


def predicted_us(cell: Cell) -> tuple[float, float] | None:
    """The best and the plain case; None where nothing is predicted."""
    if cell.vocabulary != VOCABULARY:
        return None
    return _predictions().get((cell.setting.name, cell.dtype, cell.rows))
