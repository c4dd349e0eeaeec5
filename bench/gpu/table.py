"""The kernels' times for a reader, as Markdown."""

from __future__ import annotations

from typing import Any

HEADER = (
    "dtype",
    "setting",
    "R",
    "µs",
    "first – last decile",
    "GB/s",
    "floor",
    "goal",
    "predicted",
    "verdict",
)


def kernels_table(found: dict[str, Any]) -> str:
    """`found` is what bench/kernels.py writes; cells without a time have a dash for it."""
    if not found.get("cells"):
        return "## Kernels\n\nnot measured"
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    lines += ["| " + " | ".join(_line(cell)) + " |" for cell in found["cells"]]
    caption = (
        f"V = {found['vocabulary']:,}; median µs a call within a CUDA graph over rotating rows; the floor "
        "reads each logit once at 4.3 TB/s; goals and (a model's) predictions are for an H200."
    )
    parts = ["## Kernels", caption, "\n".join(lines)]
    eager = found.get("eager", [])
    if eager:
        calls = ", ".join(f"R = {cell['rows']} {_number(cell['us'])} µs" for cell in eager)
        parts.append(f"Eager calls from Python, {eager[0]['setting']}: {calls}.")
    return "\n\n".join(parts)


def _line(cell: dict[str, Any]) -> tuple[str, ...]:
    predicted = cell["predicted_us"]
    return (
        cell["dtype"],
        cell["setting"],
        str(cell["rows"]),
        _number(cell["us"]),
        f"{_number(cell['low'])} – {_number(cell['high'])}",
        _number(cell["gb_s"]),
        _number(cell["floor_us"]),
        _number(cell["goal_us"]),
        "—" if predicted is None else f"{_number(predicted[0])} – {_number(predicted[1])}",
        _verdict(cell),
    )


def _verdict(cell: dict[str, Any]) -> str:
    if cell["wrong"]:
        return f"{cell['wrong']} WRONG"
    if cell["us"] is None or cell["goal_us"] is None:
        return ""
    return "met" if cell["us"] <= cell["goal_us"] else f"{cell['us'] / cell['goal_us']:.2f} × the goal"


def _number(value: float | None) -> str:
    return (
        "—"
        if value is None
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:,.0f}"
    )
