"""Stage `table`: the report's figures for a reader, as Markdown."""

from __future__ import annotations

import json
import sys
from typing import Any

from .context import ROOT, Context, leave
from .measure import UNKNOWNS

FIGURES = ("benchmark", "unit", "value", "low", "high")


def write(context: Context) -> None:
    report = json.loads((context.out / "report.json").read_text())
    sys.path.insert(0, str(ROOT / "bench"))
    from views.kernels_table import kernels_table

    parts = [_heading(report)]
    parts += [_unknown(name, _result(report, f"measure-{name}").get("results", [])) for name in UNKNOWNS]
    parts.append(kernels_table(_result(report, "kernels")))
    text = "\n\n".join(part for part in parts if part) + "\n"
    (context.out / "table.md").write_text(text)
    leave({"lines": text.count("\n")})


def _result(report: dict[str, Any], stage: str) -> dict[str, Any]:
    found: dict[str, Any] = report["stages"].get(stage, {}).get("result", {})
    return found


def _heading(report: dict[str, Any]) -> str:
    environment = _result(report, "environment")
    if report["rehearsal"]:
        return "# A rehearsal on the simulated device: no figure here is a measurement"
    gpu = environment.get("gpu", {})
    torch = environment.get("torch", {})
    return (
        f"# {gpu.get('name', 'unknown GPU')}, measured\n\n"
        f"Driver {gpu.get('driver_version', '?')}, torch {torch.get('version', '?')}, "
        f"{torch.get('multiprocessors', '?')} multiprocessors, L2 {torch.get('l2_bytes', 0) >> 20} MiB."
    )


def _unknown(name: str, results: list[dict[str, Any]]) -> str:
    """A line for each result; what they are told apart by comes first."""
    if not results:
        return f"## {name}\n\nnot measured"
    lines = []
    for result in results:
        keys = ", ".join(
            f"{key} {value}"
            for key, value in result.items()
            if key not in ("benchmark", "unit", "value", "low", "high")
        )
        lines.append(
            f"| {keys} | {_figure(result['value'])} | {_figure(result['low'])} – {_figure(result['high'])} |"
        )
    head = f"| {name} | {_units(results)} | first – last decile |\n| --- | --- | --- |"
    return f"## {name}\n\n" + "\n".join([head, *lines])


def _units(results: list[dict[str, Any]]) -> str:
    return " or ".join(dict.fromkeys(result["unit"] for result in results))


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
