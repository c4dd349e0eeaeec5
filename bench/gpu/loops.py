"""A sampled row as a point under the device's roofs: instructions counted in machine code, times measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.schema import Loop, Roof

from .selection import SHOWN_VOCABULARY

RESOURCES = Path(__file__).resolve().parents[2] / "tests" / "gates" / "resources.json"
LEAST_ROWS = 512  # below, a call waits more than it computes
SCHEDULERS = 4  # of a multiprocessor: each issues an instruction of a warp a clock
WARP = 32
ELEMENT_BYTES = {"bfloat16": 2.0, "float32": 4.0}
_KERNELS = {"bfloat16": "SampleRows<BFloat16, false>", "float32": "SampleRows<Float32, false>"}
# A row's loops where many rows stream, each with the share of the row that it reads (docs/kernels.md).
_PASSES = {
    "k=50 p=0.9": {
        "MaximumPass<true, false>": 1 / 8,
        "AppendPass<false>": 1.0,
    },
    "no filter": {"MaximumPass<true, false>": 1.0, "FastMassPass<false, false>": 1.0},
}


def loops(run: Mapping[str, Any], resources: Path = RESOURCES) -> list[Loop]:
    """Of the largest measured batch of each setting and type that was counted."""
    found = json.loads(resources.read_text())["loops"]
    counted = {(row["kernel"], row["loop"]): row["slots"] for row in found}
    largest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for cell in run["cells"]:
        key = (cell["setting"], cell["dtype"])
        if _streams(cell) and cell["rows"] > largest.get(key, {"rows": 0})["rows"]:
            largest[key] = cell
    points: list[Loop] = []
    for (setting, dtype), cell in largest.items():
        passes = {(_KERNELS[dtype], name): share for name, share in _PASSES[setting].items()}
        if not passes.keys() <= counted.keys():
            continue
        slots = sum(counted[one] * share for one, share in passes.items())
        points.append(
            {
                "name": f"{setting}, {cell['rows']} rows",
                "variant": dtype,
                "bytes": ELEMENT_BYTES[dtype],
                "instructions": slots / WARP,  # of a warp
                "ns": cell["results"]["fire"]["median"] * 1e3 / (cell["rows"] * cell["vocabulary"]),
            }
        )
    return points


def _streams(cell: Mapping[str, Any]) -> bool:
    """Whether a cell is one whose instructions were counted, and has a time."""
    axes = {"kind": "peaked", "outputs": "token", "place": "out of cache", "launch": "graph"}
    if any(cell[axis] != value for axis, value in axes.items()):
        return False
    if cell["setting"] not in _PASSES or cell["vocabulary"] != SHOWN_VOCABULARY or cell["rows"] < LEAST_ROWS:
        return False
    return cell["results"].get("fire", {}).get("median") is not None


def roofs(run: Mapping[str, Any], multiprocessors: int, ghz: float) -> list[Roof]:
    """What copies reached, and what the schedulers issue at the highest clock."""
    rates = [
        cell["rows"] * cell["vocabulary"] * ELEMENT_BYTES[cell["dtype"]] / limit["median"] / 1e3
        for cell in run["cells"]
        if (limit := cell["results"].get("copy")) and limit["median"] and cell["place"] == "out of cache"
    ]
    if not rates:
        return []
    return [
        {
            "title": "the fastest copy, and every issue slot",
            "variant": "",
            "bytes_per_ns": round(max(rates), 1),
            "instructions_per_ns": round(multiprocessors * SCHEDULERS * ghz, 1),
        }
    ]
