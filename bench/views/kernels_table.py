"""What a run found, for a reader in a hurry, as Markdown. bench/report.py draws the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .text import markdown_table, microseconds

HEADER = ("setting", "R", "µs", "first – last decile", "of the limit", "goal", "predicted", "verdict")
TITLE = ("vocabulary", "dtype", "place", "launch")  # of a table


def kernels_table(run: Mapping[str, Any]) -> str:
    """`run`: a results file (harness/schema.py). A table for each vocabulary, type, place and launch."""
    if not run.get("cells"):
        return "## Kernels\n\nnot measured"
    keys = [key for key in run["contenders"] if run["contenders"][key]["role"] in ("peer", "orientation")]
    tables: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for section in ("calls", "cells"):
        for cell in run.get(section, ()):
            tables.setdefault(tuple(cell[axis] for axis in TITLE), []).append(cell)
    caption = (
        "µs a call, median; of the limit: the time of a copy that moves as many bytes, over ours; a peer's "
        "time, and in brackets how many times ours. Goals and (a model's) predictions are for an H200."
    )
    return "\n\n".join(
        ["## Kernels", caption, *(_table(title, cells, keys) for title, cells in tables.items())]
    )


def _table(title: tuple[Any, ...], cells: list[Mapping[str, Any]], keys: list[str]) -> str:
    shown = [key for key in keys if any(key in cell["results"] for cell in cells)]
    vocabulary, *rest = title
    table = markdown_table((*HEADER, *shown), (_line(cell, shown) for cell in cells))
    return f"### V = {vocabulary:,}, {', '.join(rest)}\n\n{table}"


def _line(cell: Mapping[str, Any], shown: list[str]) -> tuple[str, ...]:
    results = cell["results"]
    ours = results.get("fire", {})
    time, limit = ours.get("median"), results.get("copy", {}).get("median")
    predicted = cell.get("predicted_us")
    kind = "" if cell["kind"] == "peaked" else f", {cell['kind']}"
    outputs = "" if cell["outputs"] == "token" else f" + {cell['outputs']}"
    return (
        f"{cell['setting']}{kind}{outputs}",
        str(cell["rows"]),
        microseconds(time),
        f"{microseconds(ours.get('p10'))} – {microseconds(ours.get('p90'))}",
        "–" if time is None or limit is None else f"{100 * limit / time:.0f} %",
        microseconds(cell.get("goal_us")),
        "–" if predicted is None else f"{microseconds(predicted[0])} – {microseconds(predicted[1])}",
        _verdict(cell, time),
        *(_peer(results.get(key), time) for key in shown),
    )


def _peer(result: Mapping[str, Any] | None, ours: float | None) -> str:
    if result is None:
        return ""
    times = "" if ours is None or result["median"] is None else f" ({result['median'] / ours:.1f} ×)"
    wrong = f" {result['wrong']} WRONG" if result["wrong"] else ""
    return microseconds(result["median"]) + times + wrong


def _verdict(cell: Mapping[str, Any], ours: float | None) -> str:
    wrong = cell["results"].get("fire", {}).get("wrong")
    if wrong:
        return f"{wrong} WRONG"
    goal = cell.get("goal_us")
    if ours is None or goal is None:
        return ""
    return "met" if ours <= goal else f"{ours / goal:.2f} × the goal"
