"""A sampled row as a point under the machine's roofs: instructions counted, times measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cases import ELEMENT_BYTES, GPU_VOCABULARY
from .goals import Costs
from .schema import Cell, Loop, Roof, Run

TESTS = Path(__file__).resolve().parents[2] / "tests"
COUNTS = TESTS / "counts" / "counts.json"
COUNTED_VOCABULARY = 32_000  # of tests/counts/row_passes.cpp
COUNTED_SET = "avx2"  # the best that callgrind counts
_OURS, _READ = f"fire/{COUNTED_SET}", f"read/{COUNTED_SET}"


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
                    "bytes": ELEMENT_BYTES[cell["dtype"]],
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
            cell["vocabulary"] * ELEMENT_BYTES[cell["dtype"]] / 1000 / time
            for cell in _one_row(run, place)
            if (time := costs.per_row(cell, _READ)) > 0
        ]
        if rates:
            found.append(_roof(title, round(sorted(rates)[len(rates) // 2], 3), None))
    return [*found, _roof("vector additions", None, round(instructions_per_ns, 3))] if found else []


def _roof(
    title: str, bytes_per_ns: float | None, instructions_per_ns: float | None, variant: str = COUNTED_SET
) -> Roof:
    return {
        "title": title,
        "variant": variant,
        "bytes_per_ns": bytes_per_ns,
        "instructions_per_ns": instructions_per_ns,
    }


# ---- a GPU: instructions counted in machine code ----
RESOURCES = TESTS / "gates" / "resources.json"
LEAST_ROWS = 512  # below, a call waits more than it computes
SCHEDULERS = 4  # of a multiprocessor: each issues an instruction of a warp a clock
WARP = 32
_KERNELS = {"bfloat16": "SampleRows<BFloat16Logits, false>", "float32": "SampleRows<Float32Logits, false>"}
# A row's loops where many rows stream, each with the share of the row that it reads (docs/kernels.md).
_PASSES = {
    "k=50 p=0.9": {
        "MaximumPass<true, false>": 1 / 8,
        "AppendPass<false>": 1.0,
    },
    "no filter": {"MaximumPass<true, false>": 1.0, "FastMassPass<false, false>": 1.0},
}


def gpu_loops(run: Mapping[str, Any], resources: Path = RESOURCES) -> list[Loop]:
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
    if cell["setting"] not in _PASSES or cell["vocabulary"] != GPU_VOCABULARY or cell["rows"] < LEAST_ROWS:
        return False
    return cell["results"].get("fire", {}).get("median") is not None


def gpu_roofs(run: Mapping[str, Any], multiprocessors: int, ghz: float) -> list[Roof]:
    """What copies reached, and what the schedulers issue at the highest clock."""
    rates = [
        cell["rows"] * cell["vocabulary"] * ELEMENT_BYTES[cell["dtype"]] / limit["median"] / 1e3
        for cell in run["cells"]
        if (limit := cell["results"].get("copy")) and limit["median"] and cell["place"] == "out of cache"
    ]
    if not rates:
        return []
    instructions = round(multiprocessors * SCHEDULERS * ghz, 1)
    return [_roof("the fastest copy, and every issue slot", round(max(rates), 1), instructions, variant="")]
