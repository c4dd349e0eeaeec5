"""Goals and predictions of a measured cell, where it is one that goals.py speaks of."""

from __future__ import annotations

from typing import Any

from . import cells, goals
from .selection import SHOWN_VOCABULARY, Cell

# (setting, kind, outputs): what goals.py and bench/predict.py call it.
_NAMES = {
    ("k=50 p=0.9", "peaked", "token"): "k50 p.9",
    ("k=50 p=0.9", "peaked", "logprobs"): "k50 p.9 + logprobs",
    ("k=50 p=0.9", "peaked", "reference"): "k50 p.9 + reference",
    ("no filter", "peaked", "token"): "none",
    ("p=0.9", "peaked", "token"): "top-p .9",
    ("p=0.9", "flat", "token"): "top-p .9 flat",
}
_SETTINGS = {setting.name: setting for setting in cells.SETTINGS}


def promises(cell: Cell) -> dict[str, Any]:
    """goal_us and predicted_us of a results file's cell; each is absent where there is none."""
    name = _NAMES.get((cell.setting, cell.kind, cell.outputs))
    if name is None or cell.vocabulary != SHOWN_VOCABULARY or not cell.out_of_cache or cell.launch != "graph":
        return {}
    known = cells.Cell(_SETTINGS[name], cell.dtype, cell.rows, cell.vocabulary)
    goal, predicted = goals.goal_us(known), goals.predicted_us(known)
    found: dict[str, Any] = {} if goal is None else {"goal_us": goal}
    return found | ({} if predicted is None else {"predicted_us": list(predicted)})
