"""A sampled row as a point under the machine's roofs: instructions counted (tests/counts), times measured."""

from __future__ import annotations

import json
from pathlib import Path

from .goals import Costs
from .schema import Cell, Loop, Roof, Run

COUNTS = Path(__file__).resolve().parents[2] / "tests" / "counts" / "counts.json"
COUNTED_VOCABULARY = 32_000  # of tests/counts/row_passes.cpp
COUNTED_SET = "avx2"  # the best that callgrind counts
_OURS, _READ = f"fire/{COUNTED_SET}", f"read/{COUNTED_SET}"
_BYTES = {"float32": 4, "bfloat16": 2}


def _one_row(run: Run, place: str) -> list[Cell]:
    """One row of the vocabulary and by the instruction set that were counted."""
    return [
        cell
        for cell in run["cells"]
        if (cell["vocabulary"], cell["rows"], cell["place"]) == (COUNTED_VOCABULARY, 1, place)
        and cell["outputs"] == "token"
        and _OURS in cell["results"]
    ]


def loops(run: Run) -> list[Loop]:
    """Every setting that was both counted and timed out of cache: a logit's share, without the call."""
    counts, costs = json.loads(COUNTS.read_text())[COUNTED_SET], Costs(run)
    found: list[Loop] = []
    for cell in _one_row(run, "out of cache"):
        name = cell["setting"] if cell["kind"] == "peaked" else f"{cell['setting']}, {cell['kind']}"
        count = counts.get(f"{cell['dtype']}, {name}")
        if count is not None:
            found.append(
                {
                    "name": name,
                    "variant": f"{COUNTED_SET}, {cell['dtype']}",
                    "bytes": _BYTES[cell["dtype"]],
                    "instructions": round(count / COUNTED_VOCABULARY, 4),
                    "ns": round(1000 * costs.per_row(cell, _OURS) / cell["vocabulary"], 5),
                }
            )
    return found


def roofs(run: Run, instructions_per_ns: float) -> list[Roof]:
    """What one read reaches from memory and from the cache, and additions of vectors without a load."""
    costs, found = Costs(run), []
    for place, title in (("out of cache", "one read from memory"), ("in cache", "one read from the cache")):
        rates = [
            cell["vocabulary"] * _BYTES[cell["dtype"]] / 1000 / time
            for cell in _one_row(run, place)
            if (time := costs.per_row(cell, _READ)) > 0
        ]
        if rates:
            found.append(_roof(title, round(sorted(rates)[len(rates) // 2], 3), None))
    return [*found, _roof("vector additions", None, round(instructions_per_ns, 3))] if found else []


def _roof(title: str, bytes_per_ns: float | None, instructions_per_ns: float | None) -> Roof:
    return {
        "title": title,
        "variant": COUNTED_SET,
        "bytes_per_ns": bytes_per_ns,
        "instructions_per_ns": instructions_per_ns,
    }
