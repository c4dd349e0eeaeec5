"""What the kernels are held to: microseconds on an H200, V = 128,256, by number of rows.

A goal is a promise, a prediction a model's best and plain case; none of them was measured. Times of other
GPUs are set beside them too: there they still speak of an H200.
"""

from __future__ import annotations

from .cells import Cell

MEASURED_COPY_BYTES_A_US = 4.3e6  # of an H200: the floor is a read of every logit at that rate

GOALS = {
    ("k50 p.9", "bfloat16"): {1: 6, 32: 8, 64: 10, 128: 14, 512: 42, 1024: 78},
    ("none", "bfloat16"): {1: 8, 32: 11, 64: 15, 128: 22, 512: 55, 1024: 95},
    ("k50 p.9", "float32"): {1: 7, 32: 10, 64: 14, 128: 22, 512: 75, 1024: 145},
    ("none", "float32"): {1: 8, 32: 13, 64: 19, 128: 28, 512: 85, 1024: 150},
}

# Bytes over bandwidth, instruction slots, barriers and a launch; best and plain case.
PREDICTIONS = {
    ("k50 p.9", "bfloat16"): {
        1: (4.2, 7.0),
        8: (4.2, 7.0),
        32: (5.6, 8.3),
        64: (7.5, 10.4),
        128: (11.1, 13.8),
        512: (36, 51),
        1024: (68, 96),
    },
    ("none", "bfloat16"): {
        1: (5.2, 8.4),
        8: (5.2, 8.4),
        32: (7.5, 11.2),
        64: (11.1, 15.7),
        128: (18.0, 23.5),
        512: (37, 65),
        1024: (71, 125),
    },
    ("k50 p.9", "float32"): {
        1: (4.6, 7.2),
        8: (4.7, 7.3),
        32: (7.5, 10.4),
        64: (11.3, 14.6),
        128: (18.8, 22.2),
        512: (66, 87),
        1024: (129, 168),
    },
    ("none", "float32"): {
        1: (5.6, 8.8),
        8: (5.7, 8.9),
        32: (9.3, 13.2),
        64: (14.8, 19.7),
        128: (25.3, 31.4),
        512: (68, 96),
        1024: (132, 186),
    },
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


def predicted_us(cell: Cell) -> tuple[float, float] | None:
    return PREDICTIONS.get((cell.setting.name, cell.dtype), {}).get(cell.rows)
